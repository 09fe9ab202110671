"""Turn a person by a slider: picture, mesh, drawn views and true view side by side."""

import textwrap
from collections.abc import Sequence

import numpy as np
from ipywidgets import VBox
from matplotlib.figure import Figure

from gcl_core.data.person_set import PersonSet
from gcl_core.explore.widgets import Shown, dropdown, explorer, slider
from gcl_core.figures.galleries import Person
from gcl_core.figures.style import new_figure, styled
from gcl_core.mesh.projection import YAWS

PANEL = 1.1  # inches: width of one picture
ALL, GIVEN = "all", ("mesh", "true")  # of the rows of a gallery, those that are no way of view
PLACES = {f"{yaw}°": place for place, yaw in enumerate(YAWS) if place}


def turn_person(people: PersonSet, rows: Sequence[int] | np.ndarray, gallery: Sequence[Person]) -> VBox:
    """Return lists of a gallery's people (`gallery_people` of `rows`) and of ways of view, and a slider over the yaws.

    Below them stand the picture as photographed, the mesh turned by the yaw, the view of the chosen way, or of all of
    them, and, where it is known, the true view.
    """
    names = {f"{people.index['file'][row]}": place for place, row in enumerate(rows)}
    ways = dict.fromkeys(label for person in gallery for label in person if label not in GIVEN)

    def show(person: int, way: str, yaw: int) -> Shown:
        return turned_figure(gallery[person], yaw, way), ""

    chosen = dropdown("view", {ALL: ALL, **{way: way for way in ways}})
    return explorer(show, person=dropdown("person", names), way=chosen, yaw=slider("turned by", PLACES))


@styled()
def turned_figure(person: Person, place: int, way: str = ALL) -> Figure:
    """Return a person's picture and then the rows of the gallery at one of its eight places (1 ... 7 are novel).

    Of the ways of view the chosen one is shown, or all.
    """
    original = next(row[0] for label, row in person.items() if label not in GIVEN)
    rows = {label: row for label, row in person.items() if way == ALL or label in (way, *GIVEN)}
    shown = {"picture": original, **{label: row[place] for label, row in rows.items()}}
    images = {label: image for label, image in shown.items() if image is not None}
    height, width = next(iter(images.values())).shape[:2]
    figure = new_figure(PANEL * len(images), PANEL * height / width + 0.4)
    for axes, (label, image) in zip(figure.subplots(1, len(images), squeeze=False).flat, images.items(), strict=True):
        axes.imshow(image, interpolation="none")
        angle = "as photographed" if label == "picture" else f"{YAWS[place]}°"
        axes.set_title(f"{textwrap.fill(label, 20)}\n{angle}", fontsize=6.5)
        axes.set_axis_off()
    return figure
