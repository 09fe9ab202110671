"""The first pictures of joint training beside what a variant contrasts them with, before anything is trained."""

from IPython.display import Image, Markdown
from matplotlib.figure import Figure

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.figures.method_steps import pictures_figure
from gcl_core.figures.second_views import first_views
from gcl_core.figures.style import picture
from gcl_core.layout import Layout
from gcl_core.measure.first_step import FirstStep, TooFewError, first_step

PICTURES = 8


def show_first_pictures(
    layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int
) -> Image | Markdown:
    """Return the first pictures of a variant's joint training for a notebook to display.

    Where the baseline's clusters leave too few for a step, return that sentence: training goes on without. Raises
    RunError as `finished_run` does.
    """
    try:
        start = first_step(layout, layout.study.of_variant(variant), people, seed, pictures=PICTURES, variant=variant)
    except TooFewError as error:
        return Markdown(str(error))
    return picture(first_pictures_figure(layout, people, truth, variant, start))


def first_pictures_figure(
    layout: Layout, people: PersonSet, truth: Truth | None, variant: str, start: FirstStep
) -> Figure:
    """Return columns of x, the second view x_nv for the angle above it, and the picture whose memory row is f_pos.

    Second views that are not turned have no angle. Under x stands its pseudo label, under f_pos's picture whether it
    shows the same person.
    """
    pids, chosen = people.index["pid"].to_numpy(), start.batch.indices.numpy()
    positives = start.training_rows[start.batch.partners.positive_original.numpy()]
    rows = {
        "picture x": people.pictures[start.rows],
        "second view x_nv": first_views(layout, people, truth, variant, start),
        "f_pos: row of": people.pictures[positives],
    }
    same = [
        "same person" if own == other else "another"
        for own, other in zip(pids[start.rows], pids[positives], strict=True)
    ]
    beneath = {"picture x": [f"cluster {label}" for label in start.labels.numpy()[chosen]], "f_pos: row of": same}
    shown = layout.study.variants[variant]
    turned = shown.view != "copied" and shown.turned
    return pictures_figure(rows, beneath=beneath, above=[f"{angle}°" for angle in start.angles] if turned else [])
