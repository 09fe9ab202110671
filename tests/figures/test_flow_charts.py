"""Flow charts of the notebooks: each is shown somewhere, none is left as source, all boxes are joined."""

import re
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from gcl_core.figures.flow_charts import CHARTS, chart

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def test_every_chart_is_shown_by_one_notebook_and_none_is_left_as_source() -> None:
    cells = [cell for path in NOTEBOOKS for cell in nbformat.read(path, as_version=4).cells]
    shown = [
        name for cell in cells if cell.cell_type == "code" for name in re.findall(r'\bchart\("(\w+)"\)', cell.source)
    ]
    assert sorted(shown) == sorted(CHARTS)
    assert not [cell.source for cell in cells if "```mermaid" in cell.source]


@pytest.mark.parametrize("name", CHARTS)
def test_arrows_join_the_boxes_that_are_there(name: str) -> None:
    boxes, arrows = CHARTS[name]
    assert {end for arrow in arrows for end in (arrow.start, arrow.end)} == set(boxes)


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_a_picture_with_an_unbroken_margin(name: str) -> None:
    data = chart(name).data
    assert isinstance(data, bytes)
    pixels = np.asarray(Image.open(BytesIO(data)).convert("L"))
    assert (pixels < 128).any()
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge == 255).all()  # nothing is cut off


def test_unknown_chart_is_named() -> None:
    with pytest.raises(KeyError, match="no_such_chart"):
        chart("no_such_chart")
