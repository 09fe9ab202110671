"""Effects: cases by hand, closed forms, and coverage on simulated people and seeds."""

import itertools
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from gcl_core.evaluation.effects import (
    Effect,
    Interval,
    correlation_effect,
    paired_effect,
    pooled_effect,
    rank_agreement,
    seed_effect,
)
from gcl_core.seeding import numpy_rng


def paired(differences: list[list[float]], people: list[list[int]], resamples: int = 2000) -> Effect:
    """Return the effect of given differences: ours double, theirs single, so that NaN stands in both."""
    theirs = [np.array(values) for values in differences]
    ours = [2 * values for values in theirs]
    pids = [np.array(values) for values in people]
    return paired_effect(ours, theirs, pids, resamples=resamples, rng=numpy_rng(0, "test"))


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.asarray(spearmanr(first, second))[0])


def covered(interval: Interval | None, truth: float) -> bool:
    assert interval is not None
    return interval[0] <= truth <= interval[1]


def drawn_effects() -> list[object]:
    """Effects of made-up numbers, by every way that takes sums or logarithms."""
    rng = numpy_rng(0, "test")
    theirs = [rng.random(200) for _ in range(3)]
    people = [rng.integers(40, size=200) for _ in theirs]
    rhos = [[value, value / 3, -value / 7] for value in rng.random(20)]
    return [
        paired_effect([values**2 for values in theirs], theirs, people, resamples=500, rng=rng),
        *(correlation_effect(each[:seeds], 7) for each in rhos for seeds in (1, 3)),
        *(pooled_effect([(a, (a - 1, a + 1), 3), (b, (b - 2, b + 2), 5)]) for a, b, _ in rhos),
    ]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other kinds of processor cannot play an older one")
def test_an_older_processor_gives_the_same_bits(repository: Path):
    """Tables made anew from kept records equal the committed ones on every machine."""
    older = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR", "OPENBLAS_CORETYPE": "Sandybridge"}
    command = "from tests.evaluation.test_effects import drawn_effects; print(drawn_effects())"
    there = subprocess.run(
        [sys.executable, "-c", command], cwd=repository, env={**os.environ, **older}, capture_output=True, text=True
    )
    assert there.stdout.strip() == repr(drawn_effects()), there.stderr


def test_two_people_of_unequal_many_queries_have_the_interval_that_can_be_counted():
    effect = paired([[0.0, 0.0, 0.0, 0.4]], [[7, 7, 7, 3]])
    assert effect.mean == pytest.approx(0.1)  # over queries, not over people
    assert effect.over_queries == pytest.approx((0.0, 0.4))  # each person alone has chance 1/4
    assert (effect.seeds, effect.queries) == (1, 4)


def test_every_seed_counts_the_same_however_many_queries_it_has():
    effect = paired([[0.3], [0.0, 0.1] * 10], [[1], list(range(20))])
    assert effect.mean == pytest.approx((0.3 + 0.05) / 2)
    assert effect.per_seed == pytest.approx((0.3, 0.05))


def test_more_trainings_on_the_same_people_do_not_narrow_the_interval_over_them():
    random = numpy_rng(0, "people")
    pids, difference = np.repeat(np.arange(40), 3), np.repeat(random.standard_normal(40), 3)
    nothing = [np.zeros(120)]
    (one, others, same) = (
        paired_effect([difference] * seeds, nothing * seeds, [pids] * seeds, same_people=same, rng=numpy_rng(0, "a"))
        for seeds, same in ((1, True), (3, False), (3, True))
    )
    assert same.over_queries == pytest.approx(one.over_queries)
    assert others.over_queries is not None
    assert same.over_queries is not None
    narrower = (others.over_queries[1] - others.over_queries[0]) / (same.over_queries[1] - same.over_queries[0])
    assert narrower == pytest.approx(1 / np.sqrt(3), rel=0.05)
    with pytest.raises(ValueError, match="seed 1 has queries of other people than seed 0"):
        paired_effect([difference] * 2, nothing * 2, [pids, pids + 1], same_people=True, rng=numpy_rng(0, "a"))


def test_sign_is_ours_minus_theirs_and_pairing_is_query_by_query():
    random = numpy_rng(0, "pairs")
    theirs = random.random(200)
    ours, people = theirs + 0.01 + 0.001 * random.standard_normal(200), np.arange(200)
    forward = paired_effect([ours], [theirs], [people], rng=numpy_rng(0, "a"))
    assert forward.over_queries is not None
    assert forward.mean == pytest.approx(0.01, abs=0.001)
    assert forward.over_queries[1] - forward.over_queries[0] < 0.001  # unpaired it would be about 0.1
    backward = paired_effect([theirs], [ours], [people], rng=numpy_rng(0, "a"))
    assert backward.over_queries == pytest.approx((-forward.over_queries[1], -forward.over_queries[0]), abs=5e-5)


def test_many_people_of_one_query_have_the_normal_interval_and_seeds_narrow_it():
    random = numpy_rng(0, "normal")
    values = random.standard_normal((2, 400))
    one, two = (paired(values[:count].tolist(), [list(range(400))] * count, 10_000) for count in (1, 2))
    assert one.over_queries is not None
    assert two.over_queries is not None
    width = 2 * 1.96 / 20
    assert one.over_queries[1] - one.over_queries[0] == pytest.approx(width * values[0].std(), rel=0.05)
    both = width / np.sqrt(2) * np.sqrt((values.std(axis=1) ** 2).mean())
    assert two.over_queries[1] - two.over_queries[0] == pytest.approx(both, rel=0.05)


def test_students_interval_of_three_seeds_is_the_tabulated_one():
    effect = seed_effect([4, 6, 8], [3, 4, 5])  # differences 1, 2, 3: standard deviation 1, t of 2 degrees 4.302653
    assert effect.mean == 2
    assert effect.over_seeds == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)))
    assert effect.over_queries is None
    assert effect.per_seed == (1, 2, 3)


def test_over_seeds_a_percentile_bootstrap_of_three_covers_three_quarters_and_students_t_covers():
    random = numpy_rng(0, "three seeds")
    seeds = random.standard_normal((1500, 3))
    every = np.array(list(itertools.product(range(3), repeat=3)))  # all 27 resamples
    low, high = np.quantile(seeds[:, every].mean(axis=2), [0.025, 0.975], axis=1, method="inverted_cdf")
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(0.75, abs=0.03)
    hits = [covered(seed_effect(values, [0, 0, 0]).over_seeds, 0) for values in seeds.tolist()]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_both_intervals_cover_what_they_are_about_in_95_of_100_simulations():
    random = numpy_rng(0, "coverage")
    pids = np.repeat(np.arange(60), 3)
    over_queries, over_seeds = [], []
    for _ in range(500):
        truths = 0.02 + 0.02 * random.standard_normal(3)  # effect of each seed around the effect
        people = 0.05 * random.standard_normal((3, 60)).repeat(3, axis=1)
        ours = truths[:, None] + people + 0.02 * random.standard_normal((3, 180))
        effect = paired_effect(list(ours), [np.zeros(180)] * 3, [pids] * 3, resamples=500, rng=random)
        over_queries.append(covered(effect.over_queries, float(truths.mean())))
        over_seeds.append(covered(effect.over_seeds, 0.02))
    assert 0.92 <= np.mean(over_queries) <= 0.98  # drawing queries instead of people would cover about 80 %
    assert 0.92 <= np.mean(over_seeds) <= 0.98


def test_the_same_generator_gives_the_same_interval():
    random = numpy_rng(0, "values")
    values, people = random.random((2, 50)).tolist(), [list(range(50))] * 2
    assert paired(values, people) == paired(values, people)


def test_queries_and_people_without_a_value_drop_out():
    nan = float("nan")
    effect = paired([[0.1, nan, 0.3, nan]], [[1, 1, 2, 3]])
    assert effect == paired([[0.1, 0.3]], [[1, 2]])  # person 3 would else be drawn with a share of 0/0
    assert effect.queries == 2


def test_a_constant_difference_has_no_width():
    effect = paired([[0.2] * 6] * 3, [[1, 1, 2, 2, 3, 3]] * 3)
    assert effect.over_queries == pytest.approx((0.2, 0.2))
    assert effect.over_seeds == pytest.approx((0.2, 0.2))


def test_one_seed_has_no_interval_over_seeds_and_one_person_none_over_queries():
    assert paired([[0.1, 0.2]], [[1, 2]]).over_seeds is None
    assert seed_effect([3], [1]).over_seeds is None
    assert paired([[0.1, 0.2], [0.1, 0.2]], [[1, 2], [1, 1]]).over_queries is None


def test_what_does_not_belong_together_is_refused():
    values, people, rng = np.array([0.1, 0.2, np.nan]), np.array([1, 2, 3]), numpy_rng(0, "test")
    with pytest.raises(ValueError, match="seed 0: 3 values of ours, 2 of theirs, 3 pids"):
        paired_effect([values], [values[:2]], [people], rng=rng)
    with pytest.raises(ValueError, match="seed 1: 2 of 3 queries have a value in one variant only"):
        paired_effect([values] * 2, [values, values[::-1].copy()], [people] * 2, rng=rng)
    with pytest.raises(ValueError, match="seed 0: none of 3 queries has a value"):
        paired_effect([np.full(3, np.nan)], [np.full(3, np.nan)], [people], rng=rng)
    with pytest.raises(ValueError, match="2 seeds of ours, 1 of theirs"):
        paired_effect([values] * 2, [values], [people], rng=rng)
    with pytest.raises(ValueError, match="2 numbers of ours and 1 of theirs"):
        seed_effect([1, 2], [1])
    with pytest.raises(ValueError, match="leave seeds without a number out"):
        seed_effect([1, np.nan], [1, 2])


def test_seeds_of_two_studies_pooled_are_those_of_one_study_of_them_all():
    values = [3.0, -1.0, 2.5, 0.5, -4.0, 1.0]
    for cut in (1, 2, 3):
        parts = [seed_effect(part, [0] * len(part)) for part in (values[:cut], values[cut:])]
        whole = seed_effect(values, [0] * 6)
        mean, interval, seeds = pooled_effect([(part.mean, part.over_seeds, part.seeds) for part in parts])
        assert (mean, interval, seeds) == (pytest.approx(whole.mean), pytest.approx(whole.over_seeds), 6)
    assert pooled_effect([(2.0, None, 1)]) == (2.0, None, 1)
    assert pooled_effect([(-1 / 3, (-2.0, 2.0), 3), (0.2, (-2.0, 2.0), 5)])[0] == 0  # not -5e-17


def test_what_cannot_be_pooled_is_refused():
    for parts in ([], [(1.0, None, 2)], [(1.0, (0.0, 2.0), 1)]):
        with pytest.raises(ValueError, match="studies of one seed without an interval"):
            pooled_effect(parts)


def test_rank_correlations_keep_an_interval_within_their_scale():
    effect = correlation_effect([-0.75, -0.5, -0.36], 7)  # Student's t of the values themselves ends at -1.02
    z = seed_effect(np.arctanh([-0.75, -0.5, -0.36]).tolist(), [0, 0, 0])
    assert z.over_seeds is not None
    assert effect.over_seeds == pytest.approx(np.tanh(z.over_seeds))
    assert effect.mean == pytest.approx(np.tanh(z.mean))
    assert effect.per_seed == (-0.75, -0.5, -0.36)
    perfect = correlation_effect([1.0, 1.0, 27 / 28], 7)  # 27/28 is the next that seven values can have
    assert perfect.over_seeds is not None
    assert 27 / 28 < perfect.mean < 1
    assert perfect.over_seeds[1] < 1
    assert correlation_effect([0.5], 7).over_seeds is None
    for wrong in ([], [1.5], [np.nan]):
        with pytest.raises(ValueError, match="each within -1 and 1"):
            correlation_effect(wrong, 7)


def test_an_order_and_its_reverse_share_all_orders_between_them():
    published = np.array([3.0, 1.0, 4.0, 2.0])
    every = np.array(list(itertools.permutations(range(4))))
    rhos = np.array([spearman(order, published) for order in every])
    for order, rho in zip(every, rhos, strict=True):
        found = rank_agreement(order[None].astype(float), published)
        assert found.p_reverse == pytest.approx((rhos <= rho + 1e-12).mean())
        assert found.p + found.p_reverse == pytest.approx(1 + (np.abs(rhos - rho) < 1e-12).mean())


def test_ranks_agree_as_scipy_says_and_as_often_as_all_orders_do():
    published = np.array([3.0, 1.0, 4.0, 2.0])
    observed = np.array([[3.0, 1.0, 4.0, 2.5], [30.0, 20.0, 40.0, 10.0]])
    found = rank_agreement(observed, published)
    every = [spearman(np.array(order), published) for order in itertools.permutations(range(4))]
    for rho, values in zip(found.per_seed, observed, strict=True):
        assert rho == pytest.approx(spearman(values, published))
        alone = rank_agreement(values[None], published)
        assert alone.p == pytest.approx(np.mean([other >= rho - 1e-12 for other in every]))


def test_a_seed_on_another_scale_does_not_outweigh_the_others_when_pooled():
    published = np.arange(7.0)
    found = rank_agreement(np.stack([published, published, 1000 * published[::-1]]), published)
    assert (found.per_seed, found.pooled) == (pytest.approx((1, 1, -1)), pytest.approx(1))
    assert found.p == pytest.approx(1 / 5040)


def test_seeds_that_share_an_order_are_no_more_evidence_than_one():
    observed, published = np.array([2.0, 1, 3, 5, 4, 7, 6]), np.arange(7.0)
    one, three = (rank_agreement(np.stack([observed] * count), published) for count in (1, 3))
    assert three.p == one.p


def test_equal_values_agree_with_no_order_and_missing_or_too_many_are_refused():
    found = rank_agreement(np.stack([np.ones(7), np.arange(7.0)]), np.arange(7.0))
    assert found.per_seed[0] == 0
    assert rank_agreement(np.ones((1, 7)), np.arange(7.0)).p == 1
    assert found.pooled == pytest.approx(1)
    with pytest.raises(ValueError, match="expected 3 to 8 finite values"):
        rank_agreement(np.array([[1.0, np.nan, 2.0]]), np.arange(3.0))
    with pytest.raises(ValueError, match="expected 3 to 8 finite values"):
        rank_agreement(np.ones((1, 9)), np.arange(9.0))
