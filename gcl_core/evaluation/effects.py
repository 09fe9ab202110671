"""How sure a difference between two variants is: intervals over queries and over seeds."""

import itertools
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Integer, Real, UInt
from scipy.special import stdtr, stdtrit

LEVEL = 0.95  # of every interval
RESAMPLES = 10_000

Interval = tuple[float, float]
PerQuery = Sequence[Real[np.ndarray, "_"]]  # one array per seed, one value per query; NaN where a query has none
People = Sequence[Integer[np.ndarray, "_"]]  # the pids of those queries


@dataclass(frozen=True)
class Effect:
    """A difference ours - theirs: its mean over seeds, and 95 % intervals over queries and over seeds.

    An interval is None where nothing is known: over queries when there is one number per seed or a seed has one person
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
    """Spearman's rho of observed orders with a published one, a seed and pooled; the rest is of the pooled one.

    `p` is one-sided (the same order), `p_reverse` the other side's: how many of all orders agree as badly or worse.
    """

    per_seed: tuple[float, ...]
    pooled: float
    p: float
    p_reverse: float


def paired_effect(
    ours: PerQuery,
    theirs: PerQuery,
    people: People,
    *,
    same_people: bool = False,
    resamples: int = RESAMPLES,
    rng: np.random.Generator,
) -> Effect:
    """Return the mean over seeds of the mean difference over queries, both variants on the same queries of each seed.

    Over queries: percentile bootstrap that draws people, not queries, since the queries of a person hang together; the
    seeds are held fixed. Each draws its own people, and if `same_people` says that equal pids are the same people, one
    draw serves all: as many trainings as one likes show no more people. Over seeds: Student's t on the differences of
    the seeds; a percentile bootstrap of three seeds would cover about 75 % instead of 95 %. Raises ValueError when
    there is no seed, lengths differ, variants lack values for different queries, a seed has no value at all, or seeds
    of the same people have other pids. `rng` is of `numpy_rng`, a PCG64.
    """
    if not len(ours) == len(theirs) == len(people) > 0:
        raise ValueError(
            f"{len(ours)} seeds of ours, {len(theirs)} of theirs and people for {len(people)}; expected the same seeds "
            "of both, at least one: give one array a seed"
        )
    means, drawn, queries, fewest = [], np.zeros(resamples), 0, np.inf
    first, times = np.empty(0), np.empty(0, dtype=np.uint8)
    for seed, values in enumerate(zip(ours, theirs, people, strict=True)):
        difference, pids = _differences(seed, *values)
        known, places = np.unique(pids, return_inverse=True)
        sums, counts = np.bincount(places, difference), np.bincount(places)
        if seed == 0 or not same_people:
            first, times = known, _times_drawn(len(counts), resamples, rng)
        elif not np.array_equal(known, first):
            raise ValueError(f"seed {seed} has queries of other people than seed 0; same_people says they are the same")
        drawn += (times * sums).sum(axis=1) / (times @ counts) / len(ours)  # `@` rounds by processor, but whole numbers
        means.append(float(difference.mean()))
        queries, fewest = queries + len(difference), min(fewest, len(counts))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    over_queries = (float(low), float(high)) if fewest > 1 else None
    return Effect(float(np.mean(means)), tuple(means), over_queries, _over_seeds(means), queries)


def seed_effect(ours: Sequence[float | int], theirs: Sequence[float | int]) -> Effect:
    """Return the effect of one number per seed, such as a cluster-count error, ARI or FID, over seeds.

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


def correlation_effect(correlations: Sequence[float], size: int) -> Effect:
    """Return the mean over seeds of rank correlations of `size` values, and its interval, on Fisher's z scale.

    Interval and mean are Student's t of artanh(rho) turned back, so they stay within -1 and 1. A correlation of ±1,
    whose z is infinite, counts as half a step below: rho moves in steps of 12 / (n^3 - n). Raises ValueError when there
    is no seed or a correlation is not within -1 and 1.
    """
    if not len(correlations) or not all(-1 <= rho <= 1 for rho in correlations):
        raise ValueError(f"rank correlations {list(correlations)}; expected one per seed, each within -1 and 1")
    most = 1 - 6 / (size**3 - size)
    z = [math.atanh(min(max(rho, -most), most)) for rho in correlations]  # numpy's differ by processor in the last bit
    interval = _over_seeds(z)
    turned = None if interval is None else (math.tanh(interval[0]), math.tanh(interval[1]))
    return Effect(math.tanh(float(np.mean(z))), tuple(correlations), None, turned, 0)


def pooled_effect(parts: Sequence[tuple[float, Interval | None, int]]) -> tuple[float, Interval | None, int]:
    """Return mean, 95 % interval over seeds and number of seeds of all seeds together, as if from one study.

    `parts` are those three of each study; Student's interval and the number of seeds give back the sum of squares that
    it was made of, so the result is that of the seeds' own values. A study of one seed has no interval. Raises
    ValueError when a study of several seeds has none, or there is no study.
    """
    if not parts or any((interval is None) != (seeds == 1) for _, interval, seeds in parts):
        raise ValueError(f"{list(parts)}: expected studies of one seed without an interval, of more with one")
    counts, means = np.array([seeds for *_, seeds in parts]), np.array([mean for mean, *_ in parts])
    total, mean = int(counts.sum()), float((counts * means).sum() / counts.sum())  # `@` would round by processor
    mean = 0.0 if abs(mean) < 1e-12 else mean  # what is left when sums of floats cancel
    if total == 1:
        return mean, None, 1
    squares = float((counts * (means - mean) ** 2).sum())
    for _, interval, seeds in parts:
        if interval is not None:
            error = (interval[1] - interval[0]) / 2 / _quantile(seeds)
            squares += seeds * (seeds - 1) * error**2
    half = _quantile(total) * np.sqrt(squares / (total - 1) / total)
    return mean, (mean - float(half), mean + float(half)), total


def p_value(interval: Interval, seeds: int) -> float:
    """Return the two-sided p of Student's test that an effect is 0, from its 95 % interval over seeds."""
    low, high = interval
    if low == high:
        return float(low == 0)
    errors = abs(low + high) / (high - low) * _quantile(seeds)
    return 2 * float(stdtr(seeds - 1, -errors))


def rank_agreement(observed: Real[np.ndarray, "seeds n"], published: Real[np.ndarray, " n"]) -> RankAgreement:
    """Return how far the order of `n` values in each seed, and of their mean ranks over seeds, is the published one.

    p is the share of all n! orders that agree as well or better (of the reverse: as badly or worse): exact, so n is at
    most 8. Pooled, one order applies to all seeds at once: seeds that share an order of their own are no independent
    witnesses for the published one. Equal values throughout a seed agree with nothing: rho 0, p 1. Raises ValueError
    for more than 8 values, fewer than 3 or one that is not finite.
    """
    size = len(published)
    if not 3 <= size <= 8 or not (np.isfinite(observed).all() and np.isfinite(published).all()):
        raise ValueError(f"observed {observed.tolist()}, published {published.tolist()}; expected 3 to 8 finite values")
    ranks = _ranks(observed)
    orders = _ranks(published)[np.array(list(itertools.permutations(range(size))))]
    tested = [_permutation_test(values, published, orders) for values in (*ranks, ranks.mean(axis=0))]
    *seeds, (pooled, p, reverse) = tested
    return RankAgreement(tuple(rho for rho, _, _ in seeds), pooled, p, reverse)


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


def _times_drawn(people: int, resamples: int, rng: np.random.Generator) -> UInt[np.ndarray, "resamples people"]:
    """Return how often each person is drawn in each resample: multinomial, by counting draws, which is faster."""
    times, rng.bit_generator.state = _drawn(people, resamples, pickle.dumps(rng.bit_generator.state))
    return times


@lru_cache(maxsize=32)  # a study's comparisons are all made with the same draws; ten seeds take ten places
def _drawn(people: int, resamples: int, state: bytes) -> tuple[UInt[np.ndarray, "resamples people"], Any]:
    """Return the draws that follow a state of PCG64, and the state after them."""
    bits = np.random.PCG64()
    bits.state = pickle.loads(state)
    drawn = (
        np.random.Generator(bits).integers(people, size=(resamples, people)) + people * np.arange(resamples)[:, None]
    )
    times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
    return times.astype(np.min_scalar_type(people)), bits.state


def _over_seeds(differences: Sequence[float]) -> Interval | None:
    if len(differences) == 1:
        return None
    half = _quantile(len(differences)) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return float(np.mean(differences) - half), float(np.mean(differences) + half)


def _quantile(seeds: int) -> float:
    """Return how many standard errors an interval over so many seeds reaches to each side."""
    return float(stdtrit(seeds - 1, (1 + LEVEL) / 2))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along the last axis, from 1; equal values share their mean rank."""
    return pd.DataFrame(values.T).rank().to_numpy().reshape(values.T.shape).T


def _permutation_test(values: np.ndarray, published: np.ndarray, orders: np.ndarray) -> tuple[float, float, float]:
    centred = _ranks(values) - (len(values) + 1) / 2  # rho rises with the sum of products of ranks and nothing else
    ranks = _ranks(published)
    agreement = orders @ centred - ranks @ centred
    rho = float(np.corrcoef(centred, ranks)[0, 1]) if np.ptp(values) > 0 else 0.0
    return rho, float((agreement >= -1e-9).mean()), float((agreement <= 1e-9).mean())
