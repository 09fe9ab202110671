"""Interactive parts of notebooks: controls above a picture that is drawn anew whenever one of them moves."""

from collections.abc import Callable, Mapping
from typing import Any

from ipywidgets import HTML, Dropdown, HBox, Image, SelectionSlider, VBox
from matplotlib.figure import Figure

from gcl_core.figures.style import picture

Shown = tuple[Figure, str]  # a figure and a sentence (HTML) below it
WIDE = {"layout": {"width": "30em"}, "style": {"description_width": "initial"}}


def explorer(show: Callable[..., Shown], **controls: Dropdown | SelectionSlider) -> VBox:
    """Return the controls above the figure and the sentence that `show` makes of their values, by their names.

    The first state is drawn at once, so a notebook that runs without a browser shows it too and finds what is broken.
    """
    figure, sentence = Image(format="png"), HTML()

    def follow(_: Any = None) -> None:
        drawn, words = show(**{name: control.value for name, control in controls.items()})
        shown = picture(drawn)
        figure.width, figure.value, sentence.value = str(shown.width), shown.data, words

    for control in controls.values():
        control.observe(follow, names="value")
    follow()
    return VBox([HBox(list(controls.values())), figure, sentence])


def slider(title: str, options: Mapping[str, Any], value: Any = None) -> SelectionSlider:
    """Return a slider over `options`, text beside it → value, at `value` or at the first; it acts when let go."""
    return SelectionSlider(description=title, continuous_update=False, **_choice(options, value), **WIDE)


def dropdown(title: str, options: Mapping[str, Any], value: Any = None) -> Dropdown:
    """Return a list to choose from, text → value, at `value` or at the first."""
    return Dropdown(description=title, **_choice(options, value), **WIDE)


def _choice(options: Mapping[str, Any], value: Any) -> dict[str, Any]:
    return {"options": list(options.items()), "value": next(iter(options.values())) if value is None else value}
