"""Verdicts: a table of cases, and how often each comes out by chance when studies are simulated."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from gcl_core.evaluation.effects import Interval, correlation_effect, p_value, rank_agreement, seed_effect
from gcl_core.evaluation.verdicts import Quantity, holm, side, verdict, verdict_of_all
from gcl_core.seeding import numpy_rng

STUDIES = 8000
RATE = 0.025  # at most, of each verdict where there is no effect
SLACK = 3 * np.sqrt(RATE * (1 - RATE) / STUDIES)  # what the simulation itself may be off


@pytest.mark.parametrize(
    ("effect", "over_seeds", "expected"),
    [
        (3.0, (1.2, 4.8), "reproduced"),  # all of it above the smallest effect worth having
        (3.0, (0.1, 5.9), "reproduced"),  # above zero, and the effect itself is large enough
        (1.0, (0.1, 1.9), "reproduced"),
        (0.9, (0.1, 1.7), "open"),  # above zero, perhaps too small to be worth having
        (0.5, (0.1, 0.9), "no difference of note"),  # surely above zero, surely too small
        (2.0, (0.0, 4.0), "open"),
        (2.0, (-0.1, 4.1), "open"),
        (0.0, (-0.9, 0.9), "no difference of note"),
        (0.0, (-1.0, 1.0), "no difference of note"),
        (0.0, (-1.1, 0.9), "open"),
        (-2.8, (-10.7, 5.1), "open"),
        (-2.0, (-4.0, 0.0), "open"),
        (-2.0, (-3.9, -0.1), "contradicted"),
        (-0.5, (-0.9, -0.1), "contradicted"),  # small, but on the other side than claimed
        (0.0, (0.0, 0.0), "no difference of note"),
        (5.0, None, "open"),
    ],
)
def test_verdicts(effect: float, over_seeds: Interval | None, expected: str):
    assert verdict(Quantity(effect, over_seeds, 3, smallest=1)) == expected


def test_without_a_smallest_effect_only_the_side_counts():
    assert verdict(Quantity(0.2, (0.1, 0.3), 3, smallest=0)) == "reproduced"
    assert verdict(Quantity(0.1, (-0.1, 0.3), 3, smallest=0)) == "open"


def test_fewer_than_three_seeds_decide_nothing():
    for seeds, expected in ((1, "open"), (2, "open"), (3, "reproduced")):
        assert verdict(Quantity(2.0, (1.9, 2.1), seeds, smallest=1)) == expected
    assert [side((1.9, 2.1), seeds, 1) for seeds in (2, 3)] == ["open", "above zero"]
    assert verdict_of_all([Quantity(-2.0, (-2.1, -1.9), 2, 1)]) == "open"


def test_a_comparison_of_ours_is_said_to_lie_above_or_below_zero_and_never_reproduced():
    intervals: list[Interval | None] = [(0.1, 9.0), (-9.0, -0.1), (0.0, 1.1), (-1.1, 0.0), None]
    assert [side(interval, 5, 1) for interval in intervals] == ["above zero", "below zero", "open", "open", "open"]
    assert [side(interval, 5, 1) for interval in ((-1.0, 1.0), (0.1, 0.2))] == ["no difference of note", "above zero"]


def test_holm_agrees_with_its_definition_and_errs_in_five_percent_of_families():
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 x .01, 2 x .03, and no less for .04
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    families = numpy_rng(0, "families").uniform(size=(STUDIES, 6))
    erring = np.mean([min(holm(ps)) <= 0.05 for ps in families.tolist()])
    assert erring <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
    assert erring >= 0.05 - 0.05**2 - 3 * np.sqrt(0.05 * 0.95 / STUDIES)


def test_a_side_needs_a_p_that_allows_for_the_number_of_comparisons():
    assert [side((0.1, 9.0), 5, 1, p) for p in (0.05, 0.051)] == ["above zero", "open"]
    assert side((0.1, 0.3), 5, 1, 0.06) == "no difference of note"


def test_p_from_an_interval_is_students():
    seeds = 5
    values = numpy_rng(0, "seeds").normal(1, 1, seeds)
    interval = seed_effect(values.tolist(), [0.0] * seeds).over_seeds
    assert interval is not None
    _, p = ttest_1samp(values, 0)
    assert p_value(interval, seeds) == pytest.approx(p)
    assert p_value((-interval[1], -interval[0]), seeds) == pytest.approx(p)
    assert (p_value((0.0, 0.0), 3), p_value((2.0, 2.0), 3)) == (1, 0)


def test_a_claim_of_several_quantities_needs_them_all():
    good, nothing = Quantity(3.0, (2.0, 4.0), 5, 1), Quantity(0.0, (-0.5, 0.5), 5, 1)
    unsure, bad = Quantity(1.0, (-2.0, 4.0), 5, 1), Quantity(-9.0, (-10.0, -8.0), 5, 1)
    assert verdict_of_all([good, good]) == "reproduced"
    assert verdict_of_all([good, unsure]) == verdict_of_all([good, None]) == "open"
    assert verdict_of_all([good, nothing]) == "open"
    assert verdict_of_all([nothing, nothing]) == "no difference of note"
    assert verdict_of_all([good, bad]) == verdict_of_all([bad, None]) == "contradicted"


def test_one_of_three_contradicts_only_at_a_level_that_allows_for_three():
    narrow = Quantity(-2.0, (-3.9, -0.1), 3, 1)
    assert verdict_of_all([narrow]) == "contradicted"
    assert verdict_of_all([narrow] * 3) == "open"
    half = float(2 * t.ppf(0.975, 2) / t.ppf(1 - 0.025 / 3, 2))  # the interval at the higher level just reaches zero
    for width, expected in ((0.999 * half, "contradicted"), (1.001 * half, "open")):
        assert verdict_of_all([Quantity(-2.0, (-2.0 - width, -2.0 + width), 3, 1), None, None]) == expected


def simulated(truth: float, seeds: int, quantities: int = 1, smallest: float = 0.0) -> list[list[Quantity]]:
    """Return studies whose effects are `truth` and vary from seed to seed with standard deviation 1."""
    values = truth + numpy_rng(0, "studies", seeds).standard_normal((STUDIES, quantities, seeds))
    means, errors = values.mean(axis=-1), values.std(axis=-1, ddof=1) / np.sqrt(seeds)
    half = t.ppf(0.975, seeds - 1) * errors
    return [
        [Quantity(mean, (mean - width, mean + width), seeds, smallest) for mean, width in zip(*each, strict=True)]
        for each in zip(means.tolist(), half.tolist(), strict=True)
    ]


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("smallest", [0.0, 0.5])
def test_without_an_effect_reproduced_and_contradicted_each_come_out_in_2_5_percent_at_most(
    seeds: int, smallest: float
):
    found = [verdict(study[0]) for study in simulated(0, seeds, smallest=smallest)]
    rates = {word: found.count(word) / STUDIES for word in ("reproduced", "contradicted")}
    assert max(rates.values()) <= RATE + SLACK
    assert rates["contradicted"] >= RATE - SLACK  # the level is used, not undercut by a rule that says nothing


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_claim_of_three_quantities_has_the_same_error_rates(seeds: int):
    found = [verdict_of_all(study) for study in simulated(0, seeds, 3, smallest=0.1)]
    assert found.count("reproduced") / STUDIES < 0.001
    assert RATE - 2 * SLACK <= found.count("contradicted") / STUDIES <= RATE + SLACK


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("truth", [-1.0, 1.0])
def test_an_effect_just_worth_having_is_called_no_difference_in_2_5_percent_at_most(seeds: int, truth: float):
    found = [verdict(study[0]) for study in simulated(truth, seeds, smallest=1.0)]
    assert found.count("no difference of note") / STUDIES <= RATE + SLACK


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.5), (5, 0.9), (10, 0.99)])
def test_an_effect_of_three_standard_deviations_is_found(seeds: int, least: float):
    assert [verdict(study[0]) for study in simulated(3, seeds, smallest=1.0)].count("reproduced") / STUDIES > least


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_orders_of_chance_are_rarely_the_published_one_or_its_reverse_also_where_seeds_share_them(seeds: int):
    random, published, studies = numpy_rng(0, "orders", seeds), np.arange(7.0), 100
    for shared in (True, False):
        hits = {"reproduced": 0, "contradicted": 0}
        for _ in range(studies):
            orders = random.standard_normal((1 if shared else seeds, 7)) + 0.1 * random.standard_normal((seeds, 7))
            found = rank_agreement(orders, published)
            effect = correlation_effect(found.per_seed, 7)
            outcome = verdict(Quantity(effect.mean, effect.over_seeds, seeds, 0.5))
            hits["reproduced"] += outcome == "reproduced" and found.p <= RATE
            hits["contradicted"] += outcome == "contradicted" and found.p_reverse <= RATE
        assert max(hits.values()) / studies <= RATE + 3 * np.sqrt(RATE * (1 - RATE) / studies)
