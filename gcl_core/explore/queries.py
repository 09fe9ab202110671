"""Browse ranked lists query by query, hardest first, for each encoder that was compared."""

import numpy as np
from ipywidgets import VBox

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.explore.widgets import Shown, dropdown, explorer, slider
from gcl_core.figures.ranked_lists import choose_queries, ranked_lists_figure
from gcl_core.measure.retrievals import Retrievals, stage_title, view_differences


def browse_queries(study: Study, people: PersonSet, found: Retrievals, truth: Truth | None) -> VBox:
    """Return a choice of encoder and a slider over the queries in order of GCL's average precision, lowest first.

    Below them stand the query's ranked list by that encoder and what is known of it. Queries without a match are left
    out. The encoders see the same queries, so the slider stays at one query when the encoder changes.
    """
    precision = found["gcl"].result.average_precision
    order = hardest_first(precision)
    places = {f"{place} of {len(order)}": int(query) for place, query in enumerate(order, 1)}
    differences = None if truth is None else view_differences(found["gcl"], truth)

    def show(stage: str, query: int) -> Shown:
        retrieval = found[stage]
        line, right = retrieval.queries.iloc[query], int(retrieval.right(query).sum())
        words = (
            f"<b>{line['file']}</b>, person {line['pid']}, camera {line['camid']}: {right} right pictures in the "
            f"gallery, the first at rank {retrieval.result.first_match[query]}; average precision "
            f"{retrieval.result.average_precision[query]:.3f}."
        )
        return ranked_lists_figure(
            people, {stage_title(study, stage): retrieval}, np.array([query]), differences
        ), words

    stages = {stage_title(study, stage): stage for stage in found}
    return explorer(show, stage=dropdown("encoder", stages, "gcl"), query=slider("query, hardest first", places))


def hardest_first(average_precision: np.ndarray) -> np.ndarray:
    """Return all queries that have a match, lowest average precision first, equals in listing order."""
    return choose_queries(average_precision, 2 * len(average_precision))
