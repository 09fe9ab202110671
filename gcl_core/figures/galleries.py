"""Galleries of people: meshes, originals, drawn views and true views side by side (§7.3, §7.4)."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.evaluation.picture_quality import person_psnr
from gcl_core.figures.style import PAGE, new_figure, styled
from gcl_core.mesh.projection import YAWS
from gcl_core.seeding import numpy_rng

Row = Sequence[np.ndarray | None]  # eight pictures for yaw 0, 45 ... 315; None leaves a place white
Person = Mapping[str, Row]  # label of a row → its pictures, in the order shown
WHITE = 255
MESH, TRUE = "mesh", "true"  # labels of rows


def choose_people(people: PersonSet, split: str, count: int) -> Int64[np.ndarray, " n"]:
    """Return rows of `count` different people with meshes, drawn at random but the same in every run and notebook.

    `split` is `train` or `test` (query and gallery; distractors are nobody). Fewer rows when there are fewer people.
    Raises ValueError for another split or when no picture has a mesh.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split {split!r} has no gallery: choose train or test")
    names = ["train"] if split == "train" else ["query", "gallery"]
    rows = np.concatenate([people.rows(name) for name in names])
    if split == "test":
        rows = rows[people.index["pid"].to_numpy()[rows] > 0]
    rows = people.with_mesh(rows)
    if not len(rows):
        raise ValueError(f"no {split} picture has mesh projections; render them (notebook 00_data_preparation)")
    random = numpy_rng(0, f"gallery {split}")
    pids = people.index["pid"].to_numpy()[rows]
    chosen = random.permutation(np.unique(pids))[:count]
    return np.array([random.choice(rows[pids == pid]) for pid in chosen], dtype=np.int64)


def gallery_people(
    people: PersonSet,
    rows: np.ndarray,
    drawn: Mapping[str, np.ndarray | Sequence[Row]],
    truth: Truth | None = None,
) -> list[Person]:
    """Return each person's rows for a gallery: meshes, one row per entry of `drawn`, true views where known.

    `drawn` is a label → views (n, 7, H, W, 3) of `rows`, or n lists of seven, in which None is a view that is not
    there. The original stands in the first column of each drawn row.
    """
    gallery: list[Person] = []
    for place, row in enumerate(rows):
        original = people.pictures[row]
        meshes = [np.repeat(mesh[..., None], 3, axis=-1) for mesh in people.projections[row]]
        person: dict[str, Row] = {MESH: meshes}
        person |= {label: [original, *views[place]] for label, views in drawn.items()}
        if truth is not None:
            file = str(people.index["file"][row])
            person[TRUE] = [None, *(truth.true_view(file, yaw) for yaw in YAWS[1:])]
        gallery.append(person)
    return gallery


@styled()
def view_gallery(study: Study, gallery: Sequence[Person], *, quality: bool = False) -> Figure:
    """Return people as in the supplement's figures: degrees above, a row of meshes, rows of pictures.

    The original is in the first column, an arrow leads to the seven views. More than two people stand two abreast.
    With `quality` each drawn row of a person whose true views are known ends with its PSNR on the person (dB), the mean
    of its views.
    """
    height, width = study.picture.height, study.picture.width
    gap, arrow, between = max(1, width // 16), max(3, width // 2), max(3, height // 6)
    lefts = [0, *(width + arrow + place * (width + gap) for place in range(len(YAWS) - 1))]
    abreast = 1 if len(gallery) <= 2 else 2
    last = width if quality else 0  # room for the numbers behind a block
    tall = len(gallery[0]) * (height + gap) + between  # a person's block, with its margin
    wide = lefts[-1] + 2 * width + last // 2
    corners = [(tall * (place // abreast), wide * (place % abreast)) for place in range(len(gallery))]
    end = width + last // 2 - last  # of the margin, what is empty behind the last block
    canvas = np.full((corners[-1][0] + tall - between - gap, wide * abreast - end, 3), WHITE, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=0.72)
    for block in range(abreast):
        mark_columns(axes, [(block * wide + x + width / 2, f"{yaw}°") for x, yaw in zip(lefts, YAWS, strict=True)])
        if quality:
            mark_columns(axes, [(block * wide + lefts[-1] + 1.5 * width, "PSNR")])
    for person, (corner, left) in zip(gallery, corners, strict=True):
        for place, (label, row) in enumerate(person.items()):
            top = corner + place * (height + gap)
            for x, image in zip(lefts, row, strict=True):
                if image is not None:
                    canvas[top : top + height, left + x : left + x + width] = image
            middle = top + height / 2
            if left == 0:
                text = textwrap.fill(label, 12)
                axes.annotate(
                    text, (0, middle), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=6.5
                )
            if quality and (psnr := row_psnr(person, label)) is not None:
                at = (left + lefts[-1] + 1.5 * width, middle)
                axes.annotate(f"{psnr:.1f}\ndB", at, ha="center", va="center", fontsize=6.5)
            if place and row[0] is not None:
                tail, head = (left + width + 0.15 * arrow, middle), (left + width + 0.85 * arrow, middle)
                axes.annotate(
                    "", head, tail, arrowprops={"arrowstyle": "->", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
                )
    axes.images[0].set_data(canvas)
    return figure


def row_psnr(person: Person, label: str) -> float | None:
    """Return the PSNR (dB) on the person of a gallery row, mean over its views; None where no truth is known."""
    if label in (MESH, TRUE) or TRUE not in person:
        return None
    pairs = zip(person[label][1:], person[TRUE][1:], person[MESH][1:], strict=True)
    known = [(view, true, mesh) for view, true, mesh in pairs if not (view is None or true is None or mesh is None)]
    if not known:
        return None
    views, truth, meshes = (np.stack(each) for each in zip(*known, strict=True))
    return float(np.mean(person_psnr(views, truth, meshes[..., 0] < WHITE)))


def canvas_figure(canvas: UInt8[np.ndarray, "h w 3"], *, margin: float) -> tuple[Figure, Axes]:
    """Return a page-wide figure that shows a canvas pixel by pixel, `margin` inches left of it for labels of rows.

    Its axes count in the canvas's pixels; above it there is room for one line, see `mark_columns`.
    """
    header = 0.2  # inches
    tall = canvas.shape[0] * (PAGE - margin) / canvas.shape[1] + header
    figure = new_figure(PAGE, tall)
    figure.set_layout_engine("none")
    axes = figure.add_axes((margin / PAGE, 0, 1 - margin / PAGE, 1 - header / tall))
    axes.imshow(canvas, interpolation="none", aspect="auto")
    axes.set_axis_off()
    return figure, axes


def mark_columns(axes: Axes, marks: Sequence[tuple[float, str]]) -> None:
    """Write texts above a canvas, centred at the given columns of pixels."""
    for x, text in marks:
        axes.annotate(text, (x, 0), (0, 3), textcoords="offset points", ha="center", va="bottom")
