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
NOVEL = {f"{yaw}°": place for place, yaw in enumerate(YAWS) if place}


def turn_person(people: PersonSet, rows: Sequence[int] | np.ndarray, gallery: Sequence[Person]) -> VBox:
    """Return a list of the people in a gallery (`gallery_people` of `rows`) and a slider over the seven novel yaws.

    Below them stand the picture as photographed, the mesh turned by the yaw, what was drawn from it and, where it is
    known, the true view.
    """
    names = {f"{people.index['file'][row]}": place for place, row in enumerate(rows)}

    def show(person: int, yaw: int) -> Shown:
        return turned_figure(gallery[person], yaw), ""

    return explorer(show, person=dropdown("person", names), yaw=slider("turned by", NOVEL))


@styled()
def turned_figure(person: Person, place: int) -> Figure:
    """Return a person's picture and then each row of the gallery at one of its eight places (1 ... 7 are novel)."""
    original = next(row[0] for label, row in person.items() if label not in ("mesh", "true"))
    shown = {"picture": original, **{label: row[place] for label, row in person.items()}}
    images = {label: image for label, image in shown.items() if image is not None}
    height, width = next(iter(images.values())).shape[:2]
    figure = new_figure(PANEL * len(images), PANEL * height / width + 0.4)
    for axes, (label, image) in zip(figure.subplots(1, len(images), squeeze=False).flat, images.items(), strict=True):
        axes.imshow(image, interpolation="none")
        angle = "as photographed" if label == "picture" else f"{YAWS[place]}°"
        axes.set_title(f"{textwrap.fill(label, 20)}\n{angle}", fontsize=6.5)
        axes.set_axis_off()
    return figure
