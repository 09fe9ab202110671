"""Saved figures: fonts that publishers accept, the same bytes for the same content, variants told apart."""

import io
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pytest
import seaborn
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from gcl_core.config import Study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures.style import COLOURS, COLUMN, VARIANTS, look, new_figure, picture, save_figure, styled
from gcl_core.layout import Layout


@styled()
def drawn_figure() -> Figure:
    figure = new_figure(COLUMN, 2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="L'_vi ε 45°")
    axes.set(xlabel="epoch", ylabel="value")
    axes.legend()
    return figure


@pytest.fixture
def figure() -> Figure:
    return drawn_figure()


def test_pdf_embeds_truetype_fonts_and_no_type3(layout: Layout, figure: Figure):
    save_figure(figure, layout, "one", runs=[], caption="x")
    pdf = (layout.figures / "one.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf


def test_png_has_300_dots_an_inch(layout: Layout, figure: Figure):
    save_figure(figure, layout, "one", runs=[], caption="x")
    with Image.open(layout.figures / "one.png") as image:
        assert image.size == (round(300 * COLUMN), 600)


def test_a_large_png_loses_colours_not_size_and_its_pdf_nothing(layout: Layout):
    figure = new_figure(COLUMN, 2.0)
    colours = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    figure.subplots().imshow(colours, interpolation="none")
    save_figure(figure, layout, "gallery", runs=[], caption="x")
    with Image.open(layout.figures / "gallery.png") as image:
        assert image.size == (round(300 * COLUMN), 600)
        assert image.mode == "P"
        assert round(float(image.info["dpi"][0])) == 300
    assert (layout.figures / "gallery.pdf").stat().st_size > 0.9 * colours.nbytes


def test_saving_twice_gives_the_same_bytes(layout: Layout, figure: Figure):
    save_figure(figure, layout, "one", runs=[], caption="x")
    before = {path: path.read_bytes() for path in layout.figures.rglob("*.*")}
    save_figure(figure, layout, "one", runs=[], caption="x")
    assert before == {path: path.read_bytes() for path in layout.figures.rglob("*.*")}
    assert set(read_manifest(layout.figures)) == {"one.pdf", "one.png"}


def test_a_matplotlibrc_of_ones_own_changes_nothing(layout: Layout):
    save_figure(drawn_figure(), layout, "one", runs=[], caption="x")
    plain, shown = (layout.figures / "one.png").read_bytes(), picture(drawn_figure()).data
    theirs: dict[Any, Any] = {"axes.facecolor": "black", "axes.xmargin": 0.3, "savefig.bbox": "tight"}
    theirs["text.usetex"] = True
    with mpl.rc_context(theirs):
        save_figure(drawn_figure(), layout, "one", runs=[], caption="x")
        assert (layout.figures / "one.png").read_bytes() == plain
        assert picture(drawn_figure()).data == shown
        assert mpl.rcParams["savefig.bbox"] == "tight"  # outside of ours it is as it was


def test_a_notebook_shows_the_figure_in_its_own_proportions(figure: Figure):
    with Image.open(io.BytesIO(cast(bytes, picture(figure).data))) as image:
        assert image.width / image.height == pytest.approx(COLUMN / 2.0, rel=0.01)


def test_variants_are_told_apart_with_and_without_colour():
    study = Study()
    looks = [look(study, variant) for variant in study.variants]
    for key in ("color", "marker", "label"):
        assert len({style[key] for style in looks}) == len(looks)
    assert len({str(style["linestyle"]) for style in looks}) == len(looks)


def test_the_style_ends_with_its_context():
    before = mpl.rcParams["font.size"]
    with styled():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert np.isclose(mpl.rcParams["font.size"], before)


def test_the_palette_is_the_colour_blind_safe_one():
    assert list(COLOURS) == [colour.lower() for colour in seaborn.color_palette("colorblind").as_hex()]


def test_surface_views_are_told_apart_by_lightness_alone():
    """They lie close together in one panel; lightness is what every reader sees (CIE L*, 0 to 100)."""

    def lightness(colour: str) -> float:
        red, green, blue = (
            ((each + 0.055) / 1.055) ** 2.4 if each > 0.04045 else each / 12.92 for each in to_rgb(colour)
        )
        return 116 * np.cbrt(0.2126 * red + 0.7152 * green + 0.0722 * blue) - 16

    names = ("surface_known", "surface_unturned", "surface", "surface_cluster")
    found = [lightness(VARIANTS[name]) for name in names]
    assert np.diff(found).min() > 12
    assert max(found) < 88  # still seen on white
