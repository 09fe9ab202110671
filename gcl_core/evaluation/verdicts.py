"""What an effect says of a claim: one rule, decided over seeds, from the effect and its interval alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from gcl_core.evaluation.effects import LEVEL, Interval

Verdict = Literal["reproduced", "contradicted", "no difference of note", "open"]
Side = Literal["above zero", "below zero", "no difference of note", "open"]
FEWEST = 3  # seeds; the spread of two is hardly known, and that of one not at all


@dataclass(frozen=True)
class Quantity:
    """A quantity that decides a claim: its effect, positive as claimed, and what is needed to judge it.

    `smallest` is the smallest effect worth having, at least 0, in the unit of the effect; `over_seeds` its 95 %
    interval over seeds, None where nothing is known.
    """

    effect: float
    over_seeds: Interval | None
    seeds: int
    smallest: float | int

    @property
    def known(self) -> Interval | None:
        """The interval over seeds if there are enough of them to decide."""
        return self.over_seeds if self.seeds >= FEWEST else None


def verdict(quantity: Quantity) -> Verdict:
    """Return what one quantity says of a claim; the first that holds.

    Reproduced: the interval over seeds lies above 0 and the effect is at least `smallest` (so is it when the whole
    interval lies above `smallest`). Contradicted: the interval lies below 0. No difference of note: it lies within
    ± `smallest`. Open: all else, and whatever fewer than three seeds show. With no effect at all, "reproduced" and
    "contradicted" each come out in 2.5 % of studies at most.
    """
    if quantity.known is None:
        return "open"
    low, high = quantity.known
    if low > 0 and quantity.effect >= quantity.smallest:
        return "reproduced"
    if high < 0:
        return "contradicted"
    return "no difference of note" if -quantity.smallest <= low and high <= quantity.smallest else "open"


def verdict_of_all(quantities: Sequence[Quantity | None]) -> Verdict:
    """Return the verdict on a claim that needs several quantities; None stands for one that was not measured.

    Reproduced, or no difference of note: every quantity says so. Contradicted: one lies below 0 at a level so much
    higher that the chance of a false contradiction stays 2.5 % for all of them together (Bonferroni). Open: all else.
    """
    if any(each is not None and _surely_below(each, len(quantities)) for each in quantities):
        return "contradicted"
    found = {"open" if each is None else verdict(each) for each in quantities}
    if found == {"reproduced"}:
        return "reproduced"
    return "no difference of note" if found == {"no difference of note"} else "open"


def side(over_seeds: Interval | None, seeds: int, smallest: float | int, p: float = 0.0) -> Side:
    """Return on which side of 0 the interval over seeds lies: all that is said of comparisons that no paper claims.

    `p` is the comparison's p-value from `holm`, where it is one of several; above 0.05 the side is not sure. Otherwise
    it is no difference of note where the whole interval lies within ± `smallest`, and open elsewhere.
    """
    if over_seeds is None or seeds < FEWEST:
        return "open"
    low, high = over_seeds
    if (low > 0 or high < 0) and p <= 1 - LEVEL:
        return "above zero" if low > 0 else "below zero"
    return "no difference of note" if -smallest <= low and high <= smallest else "open"


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, 1979): the chance that any of them errs is 5 % at 0.05."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted


def _surely_below(quantity: Quantity, among: int) -> bool:
    """Whether a quantity lies below 0 when it is one of several that might have."""
    if quantity.known is None or quantity.known[1] >= 0:
        return False
    low, high = quantity.known
    tail, freedom = (1 - LEVEL) / 2, quantity.seeds - 1
    wider = float(stdtrit(freedom, 1 - tail / among) / stdtrit(freedom, 1 - tail))
    return (low + high) / 2 + wider * (high - low) / 2 < 0
