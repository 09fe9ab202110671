"""How sure a difference between two variants is: intervals over queries and over seeds, and a verdict."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Integer, Real
from scipy.stats import rankdata, t

LEVEL = 0.95  # of every interval
RESAMPLES = 10_000

Interval = tuple[float, float]
Verdict = Literal["reproduced", "not reproduced", "inconclusive"]
PerQuery = Sequence[Real[np.ndarray, "_"]]  # one array a seed, one value a query; NaN where a query has none
People = Sequence[Integer[np.ndarray, "_"]]  # the pids of those queries


@dataclass(frozen=True)
class Effect:
    """A difference ours - theirs: its mean over seeds, and 95 % intervals over queries and over seeds.

    An interval is None where nothing is known: over queries when there is one number a seed or a seed has one person
    only, over seeds when there is one seed. `queries` counts those with a value, in all seeds together.
    """

    mean: float
    per_seed: tuple[float, ...]
    over_queries: Interval | None
    over_seeds: Interval | None
    queries: int

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.per_seed)


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's rho of observed orders with a published one and one-sided p (the same order), a seed and pooled."""

    per_seed: tuple[float, ...]
    p_per_seed: tuple[float, ...]
    pooled: float
    p: float


def paired_effect(
    ours: PerQuery, theirs: PerQuery, people: People, *, resamples: int = RESAMPLES, rng: np.random.Generator
) -> Effect:
    """Return the mean over seeds of the mean difference over queries, both variants on the same queries of each seed.

    Over queries: percentile bootstrap that draws people, not queries, since the queries of a person hang together; the
    seeds are held fixed and each is drawn by itself, as seeds whose data are other people are. Over seeds: Student's t
    on the differences of the seeds; a percentile bootstrap of three seeds would cover about 75 % instead of 95 %.
    Raises ValueError when there is no seed, lengths differ, variants lack values for different queries or a seed has
    no value at all.
    """
    if not len(ours) == len(theirs) == len(people) > 0:
        raise ValueError(
            f"{len(ours)} seeds of ours, {len(theirs)} of theirs and people for {len(people)}; expected the same seeds "
            "of both, at least one: give one array a seed"
        )
    means, drawn, queries, fewest = [], np.zeros(resamples), 0, np.inf
    for seed, values in enumerate(zip(ours, theirs, people, strict=True)):
        difference, pids = _differences(seed, *values)
        _, places = np.unique(pids, return_inverse=True)
        sums, counts = np.bincount(places, difference), np.bincount(places)
        times = _times_drawn(len(counts), resamples, rng)
        drawn += (times @ sums) / (times @ counts) / len(ours)
        means.append(float(difference.mean()))
        queries, fewest = queries + len(difference), min(fewest, len(counts))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    over_queries = (float(low), float(high)) if fewest > 1 else None
    return Effect(float(np.mean(means)), tuple(means), over_queries, _over_seeds(means), queries)


def seed_effect(ours: Sequence[float | int], theirs: Sequence[float | int]) -> Effect:
    """Return the effect of one number a seed, such as a cluster-count error, ARI or FID: an interval over seeds alone.

    Raises ValueError when there is no seed, lengths differ or a number is not finite.
    """
    if not len(ours) == len(theirs) > 0:
        raise ValueError(
            f"{len(ours)} numbers of ours and {len(theirs)} of theirs; expected one of each for every seed"
        )
    differences = np.subtract(ours, theirs, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise ValueError(f"the differences of the seeds are {differences.tolist()}; leave seeds without a number out")
    means = differences.tolist()
    return Effect(float(differences.mean()), tuple(means), None, _over_seeds(means), 0)


def verdict(effect: Effect, *, smallest: float | int, one_seed_decides: bool = False) -> Verdict:
    """Return what an effect says of a claim that it is positive; `smallest` is the least effect worth having, >= 0.

    Not reproduced: an interval ends at or below 0, or below `smallest`, be it surely positive. Reproduced: otherwise,
    when all intervals there are lie above 0. Inconclusive: all else, and whatever one seed shows (another may show the
    opposite) unless the protocol says that one decides.
    """
    intervals = [interval for interval in (effect.over_queries, effect.over_seeds) if interval is not None]
    if not intervals or (effect.seeds == 1 and not one_seed_decides):
        return "inconclusive"
    if any(high <= 0 or high < smallest for _, high in intervals):
        return "not reproduced"
    return "reproduced" if all(low > 0 for low, _ in intervals) else "inconclusive"


def rank_agreement(observed: Real[np.ndarray, "seeds n"], published: Real[np.ndarray, " n"]) -> RankAgreement:
    """Return how far the order of `n` values in each seed, and of their mean ranks over seeds, is the published one.

    p is the share of all n! orders that agree as well or better: exact, so n is at most 8. Pooled, one order applies to
    all seeds at once: seeds that share an order of their own are no independent witnesses for the published one. Equal
    values throughout a seed agree with nothing: rho 0, p 1. Raises ValueError for more than 8 values, fewer than 3 or
    one that is not finite.
    """
    size = len(published)
    if not 3 <= size <= 8 or not (np.isfinite(observed).all() and np.isfinite(published).all()):
        raise ValueError(f"observed {observed.tolist()}, published {published.tolist()}; expected 3 to 8 finite values")
    ranks = rankdata(observed, axis=1)
    orders = rankdata(published)[np.array(list(itertools.permutations(range(size))))]
    tested = [_permutation_test(values, published, orders) for values in (*ranks, ranks.mean(axis=0))]
    rhos, ps = zip(*tested, strict=True)
    return RankAgreement(rhos[:-1], ps[:-1], rhos[-1], ps[-1])


def _differences(
    seed: int, ours: np.ndarray, theirs: np.ndarray, people: np.ndarray
) -> tuple[Float64[np.ndarray, " q"], np.ndarray]:
    """Return the differences of a seed's queries that have one, and their pids."""
    if not len(ours) == len(theirs) == len(people):
        raise ValueError(
            f"seed {seed}: {len(ours)} values of ours, {len(theirs)} of theirs, {len(people)} pids; expected the same "
            "queries in all three: evaluate both variants on one query list"
        )
    known = np.isfinite(ours)
    odd = int((known != np.isfinite(theirs)).sum())
    if odd:
        raise ValueError(
            f"seed {seed}: {odd} of {len(ours)} queries have a value in one variant only; whether a query has one "
            "depends on the query alone: evaluate both variants on one query list"
        )
    if not known.any():
        raise ValueError(f"seed {seed}: none of {len(ours)} queries has a value; leave this seed out")
    return np.subtract(ours[known], theirs[known], dtype=np.float64), people[known]


def _times_drawn(people: int, resamples: int, rng: np.random.Generator) -> Float64[np.ndarray, "resamples people"]:
    """Return how often each person is drawn in each resample: multinomial, by counting draws, which is faster."""
    drawn = rng.integers(people, size=(resamples, people)) + people * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _over_seeds(differences: Sequence[float]) -> Interval | None:
    if len(differences) == 1:
        return None
    half = t.ppf((1 + LEVEL) / 2, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return float(np.mean(differences) - half), float(np.mean(differences) + half)


def _permutation_test(values: np.ndarray, published: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    centred = rankdata(values) - (len(values) + 1) / 2  # rho rises with the sum of products of ranks and nothing else
    ranks = rankdata(published)
    as_well = orders @ centred >= ranks @ centred - 1e-9
    rho = float(np.corrcoef(centred, ranks)[0, 1]) if np.ptp(values) > 0 else 0.0
    return rho, float(as_well.mean())
