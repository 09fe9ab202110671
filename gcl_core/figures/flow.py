"""Flow charts of the notebooks: boxes on a grid and arrows between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from gcl_core.figures.style import GREY, new_figure, styled

CELL = (1.5, 0.72)  # inches: width and height of a place on the grid
LINE, WIDE, PADDING = 0.14, 0.066, 0.07  # inches: a line of text, a character, and what a box has around its text
MARGIN = 0.12  # inches around the chart


@dataclass(frozen=True)
class Box:
    """A box at a column and a row of the grid, both may lie between two; what is stored is shaded."""

    column: float | int
    row: float | int
    text: str
    stored: bool = False


@dataclass(frozen=True)
class Arrow:
    """An arrow from a box to another, with a label; dashed for what a loss compares."""

    start: str
    end: str
    label: str = ""
    dashed: bool = False


@styled()
def flow_chart(boxes: Mapping[str, Box], arrows: Sequence[Arrow]) -> Figure:
    """Return the chart of `boxes`, by name, and `arrows` between them; raises KeyError for an arrow to no box."""
    corners = [
        (x + side * wide / 2, y + side * high / 2)
        for x, y, wide, high in map(_place, boxes.values())
        for side in (-1, 1)
    ]
    (left, right), (top, bottom) = ((min(each) - MARGIN, max(each) + MARGIN) for each in zip(*corners, strict=True))
    figure = new_figure(right - left, bottom - top)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    patches = {name: _box(axes, box) for name, box in boxes.items()}
    for arrow in arrows:
        _arrow(axes, arrow, boxes, patches)
    return figure


def _place(box: Box) -> tuple[float, float, float, float]:
    """Return the middle of a box, its width and its height, in inches."""
    lines = box.text.split("\n")
    wide, high = WIDE * max(map(len, lines)) + 2 * PADDING, LINE * len(lines) + 2 * PADDING
    return (box.column + 0.5) * CELL[0], (box.row + 0.5) * CELL[1], wide, high


def _box(axes: Axes, box: Box) -> Patch:
    x, y, wide, high = _place(box)
    patch = FancyBboxPatch(
        (x - wide / 2, y - high / 2),
        *(wide, high),
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor="#dce8f2" if box.stored else "white",
        edgecolor=GREY,
        linewidth=0.8,
    )
    axes.add_patch(patch)
    axes.text(x, y, box.text, ha="center", va="center", linespacing=1.15)
    return patch


def _arrow(axes: Axes, arrow: Arrow, boxes: Mapping[str, Box], patches: Mapping[str, Patch]) -> None:
    start, end = _place(boxes[arrow.start])[:2], _place(boxes[arrow.end])[:2]
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            patchA=patches[arrow.start],
            patchB=patches[arrow.end],
            arrowstyle="-|>",
            mutation_scale=7,
            linewidth=0.8,
            linestyle=(0, (3, 2)) if arrow.dashed else "-",
            color=GREY,
        )
    )
    if arrow.label:
        axes.text(
            *((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, arrow.label),
            **{"ha": "center", "va": "center", "fontsize": 6, "linespacing": 1.05},
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
