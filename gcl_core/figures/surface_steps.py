"""How a picture's colours come to its body's surface and from there into views, step by step, on one picture (ours)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.figures.galleries import WHITE, canvas_figure, mark_columns
from gcl_core.figures.style import styled
from gcl_core.layout import Layout
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.projection import YAWS
from gcl_core.mesh.rasterizer import vertex_normals
from gcl_core.surface.background import background
from gcl_core.surface.bodies import known_ways
from gcl_core.surface.carrier import Carrier
from gcl_core.surface.loops import nearest_triangles, paint
from gcl_core.surface.sources import COLOURS, NAMES
from gcl_core.surface.texture import read_texture
from gcl_core.surface.views import BACKGROUND, FILLED, MIRRORED, SEEN, carry_views

BLANK = np.float32(225)  # a surface without a colour yet
SHADES = "cividis"  # how well a place is seen: dark not at all, bright well
OWN, VIEWS = "own colours", "views"  # rows beside which the picture and its background stand


@dataclass(frozen=True)
class Steps:
    """Rows of eight pictures, yaw 0 ... 315, by what they show; and what each pixel of the views comes from.

    `behind` is the picture without its person.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    behind: UInt8[np.ndarray, "h w 3"]
    rows: Mapping[str, Sequence[UInt8[np.ndarray, "h w 3"]]]
    sources: UInt8[np.ndarray, "8 h w"]


def surface_steps(people: PersonSet, truth: Truth | None, carrier: Carrier, row: int | np.integer) -> Steps:
    """Return the steps from a training picture to its views, as `carry_views` takes them.

    What stands behind the person; how well each place of the surface is seen; colours of what is seen, then those of
    the mirror image, then those of the surroundings; the views. Where they are known, the true views are last. Raises
    MeshError for a picture that has no body to be trusted.
    """
    picture, placement, topology = people.pictures[row], carrier.placement(row), carrier.topology
    height, width, _ = picture.shape
    twice = (2 * height, 2 * width)
    normals = vertex_normals(placement.body.vertices, topology.faces)
    texture = read_texture(picture, placement, normals, topology)
    shown, _ = nearest_triangles(placement.places(placement.body.vertices, 0, twice), topology.faces, *twice)
    person = np.max(shown.reshape(height, 2, width, 2), axis=(1, 3)) >= 0
    behind = background(picture, person, placement.slack.margin * height)
    dressed = placement.body.vertices + np.float32(placement.slack.clothes) * normals

    def painted(colours: Float32[np.ndarray, "v 3"]) -> list[UInt8[np.ndarray, "h w 3"]]:
        paper, views = np.full((height, width, 3), WHITE, dtype=np.float32), []
        for yaw in YAWS:
            points = placement.places(dressed, yaw, twice)
            surface, _ = nearest_triangles(points, topology.faces, *twice)
            views.append(paint(surface, points, topology.faces, colours, texture.shares, paper)[0])
        return views

    filled, _, seen = texture.shares.T[:, :, None]
    shades = mpl.colormaps[SHADES](seen[:, 0])[:, :3].astype(np.float32) * 255
    carried = carry_views(picture, placement, topology, YAWS)
    rows = {
        "how well seen,\ndark: not at all": painted(np.ascontiguousarray(shades)),
        OWN: painted(seen * texture.colours + (1 - seen) * BLANK),
        "and mirrored": painted((1 - filled) * texture.colours + filled * BLANK),
        "and filled": painted(texture.colours),
        VIEWS: list(carried.views),
        "source of pixels": [COLOURS[source] for source in carried.sources],
    }
    if truth is not None:
        file = str(people.index["file"][row])
        rows["true views"] = [picture, *(truth.true_view(file, yaw) for yaw in YAWS[1:])]
    return Steps(picture, np.rint(behind).astype(np.uint8), rows, carried.sources)


def study_steps(layout: Layout, people: PersonSet, truth: Truth | None, rows: Int64[np.ndarray, " n"]) -> Steps | None:
    """Return `surface_steps` of the first of the training pictures `rows` that has a body, the known one if there is.

    None where no body is known or fitted, of the study or of these pictures.
    """
    for way in known_ways(layout)[::-1]:
        carrier = Carrier(layout, people, way, "train")
        for row in rows:
            with suppress(MeshError):
                return surface_steps(people, truth, carrier, row)
    return None


@styled()
def steps_figure(steps: Steps) -> Figure:
    """Return the steps below each other, a column for each yaw, and below them what the colours mean."""
    height, width = steps.sources.shape[1:]
    gap, legend = max(1, width // 16), height // 4
    lefts = [width + width // 3 + place * (width + gap) for place in range(len(YAWS))]
    canvas = np.full((len(steps.rows) * (height + gap) + legend, lefts[-1] + width, 3), WHITE, dtype=np.uint8)
    figure, axes = canvas_figure(canvas, margin=1.2)
    mark_columns(axes, [(left + width / 2, f"{yaw}°") for left, yaw in zip(lefts, YAWS, strict=True)])
    beside = {OWN: ("picture", steps.picture), VIEWS: ("background", steps.behind)}
    for place, (label, row) in enumerate(steps.rows.items()):
        top = place * (height + gap)
        for left, image in zip(lefts, row, strict=True):
            canvas[top : top + height, left : left + width] = image
        words = {"xytext": (-4, 0), "textcoords": "offset points", "fontsize": 6.5}
        axes.annotate(label, (0, top + height / 2), ha="right", va="center", **words)
        if label in beside:
            name, image = beside[label]
            canvas[top : top + height, :width] = image
            axes.annotate(name, (width / 2, top), ha="center", va="bottom", **{**words, "xytext": (0, 2)})
    axes.images[0].set_data(canvas)
    patches = [
        Patch(facecolor=COLOURS[source] / 255, edgecolor="black", linewidth=0.4, label=NAMES[source])
        for source in _shown(steps.sources)
    ]
    patches.append(Patch(facecolor=str(BLANK / 255), edgecolor="black", linewidth=0.4, label="no colour yet"))
    axes.legend(handles=patches, loc="lower center", ncol=len(patches), fontsize=6.5, frameon=False, borderaxespad=0)
    return figure


def _shown(sources: UInt8[np.ndarray, "..."]) -> Sequence[int]:
    return np.unique(sources)[::-1].tolist()


def steps_reading(steps: Steps) -> str:
    """Return a paragraph on where the colours of the person come from, at turn 0 and from behind."""
    told = []
    for yaw in (0, 90, 180):
        sources = steps.sources[YAWS.index(yaw)]
        person = sources[sources != BACKGROUND]
        shares = [f"{(person == source).mean():.0%} {NAMES[source]}" for source in (SEEN, MIRRORED, FILLED)]
        told.append(f"at {yaw}° {', '.join(shares)}")
    return (
        f"Of the body's pixels: {'; '.join(told)}. What is seen is the picture's own; what is mirrored takes the body "
        "for symmetric; what is filled is a guess from its surroundings, smooth by construction: a pattern on the far "
        "side, a bag, an open jacket are not in it. At 0° the picture comes back, but for cloth and hair that stand "
        "off the body."
    )
