"""No label of a figure is cut off."""

from matplotlib.figure import Figure


def assert_fits(figure: Figure) -> None:
    """Everything drawn lies inside the figure, a hundredth of an inch given."""
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.01
    assert box.x1 < width + 0.01
    assert box.y1 < height + 0.01
