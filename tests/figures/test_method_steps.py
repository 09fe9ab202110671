"""Pictures of one step: rows of pictures, sizes of gradients, rows of the memory that moved."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcl_core.figures.method_steps import gradient_figure, memory_figure, pictures_figure
from gcl_core.seeding import numpy_rng
from tests.fits import assert_fits


def shown(axes: Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_pictures_stand_in_rows_with_their_texts() -> None:
    draw = numpy_rng(0, "method steps")
    colours = draw.integers(0, 256, (3, 16, 8, 3), dtype=np.uint8)
    greys = draw.integers(0, 256, (3, 16, 8), dtype=np.uint8)
    figure = pictures_figure(
        {"x": colours, "a mesh\nin two lines": greys}, beneath={"x": ["1", "2", "3"]}, above=["0°", "45°", "90°"]
    )
    assert_fits(figure)
    assert [axes.get_title() for axes in figure.axes] == ["0°", "45°", "90°", "", "", ""]
    assert words(figure) == ["1", "2", "3"]
    assert all((shown(axes) == image).all() for axes, image in zip(figure.axes, [*colours, *greys], strict=True))
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].y0 > boxes[3].y1
    assert [box.x0 for box in boxes[:3]] == [box.x0 for box in boxes[3:]]


def test_lengths_of_gradients_are_printed_and_zeros_left_blank() -> None:
    figure = gradient_figure(pd.DataFrame({"E_id": [0.012345, 123.4], "D": [0.0, 3.0]}, index=["L_img", "L_D"]))
    assert_fits(figure)
    assert words(figure) == ["0.012", "", "123", "3"]
    assert np.isnan(shown(figure.axes[0])[0, 1])


def test_only_rows_that_moved_are_marked() -> None:
    before = numpy_rng(0, "memory steps").normal(size=(20, 5))
    after = before.copy()
    after[[3, 7]] += 0.5
    figure = memory_figure(before, after)
    assert_fits(figure)
    everything, old, new = (np.asarray(each.get_offsets()) for each in figure.axes[0].collections)
    assert len(everything) == 20
    assert np.allclose(old, everything[[3, 7]])
    assert len(new) == 2
    # both moved by the same step, and a projection keeps that
    assert np.allclose(*(new - old))
    assert np.linalg.norm((new - old)[0]) <= 0.5 * np.sqrt(5) + 1e-9
