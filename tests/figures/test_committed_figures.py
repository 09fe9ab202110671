"""The figures in this repository as a paper takes them: one or two columns wide, fonts within, no text cut off."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from gcl_core.figures.style import COLUMN, PAGE, PRINT_DPI

REPOSITORY = Path(__file__).resolve().parents[2]
FIGURES = sorted(
    path
    for profile in ("mini", "evidence", "evidence_settings")
    for path in (REPOSITORY / "figures" / "reference" / profile).glob("*.pdf")
)
CURVES = (
    *("ablations", "claims", "clusterers", "clustering_analysis", "dose"),
    *("fid_per_view", "figure2_cluster_count", "sensitivity"),
)
SIDES = re.compile(
    r'<(?:page width|word xMin)="([-\d.]+)" (?:height|yMin)="([-\d.]+)"(?: xMax="([-\d.]+)" yMax="([-\d.]+)")?'
)
TOLERANCE = 1.5  # points: a word's box is that of its font's tallest letters

needs_poppler = pytest.mark.skipif(
    shutil.which("pdffonts") is None, reason="no pdffonts here: install poppler-utils to look into PDF files"
)


def told(*words: str | Path) -> str:
    return subprocess.run([*words], capture_output=True, text=True, check=True).stdout


def test_there_are_figures() -> None:
    assert len(FIGURES) > 20


@needs_poppler
@pytest.mark.parametrize("path", FIGURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_pdf_has_a_papers_width_its_fonts_and_all_of_its_text(path: Path) -> None:
    fonts = [line.split() for line in told("pdffonts", path).splitlines()[2:]]
    assert fonts
    assert {font[-5] for font in fonts} == {"yes"}  # embedded
    assert not [font for font in fonts if "Type 3" in " ".join(font)]
    (width, height, *_), *words = SIDES.findall(told("pdftotext", "-bbox", path, "-"))
    assert float(width) / 72 in (COLUMN, PAGE)
    assert words
    for left, top, right, bottom in (map(float, word) for word in words):
        assert -TOLERANCE < left < right < float(width) + TOLERANCE
        assert -TOLERANCE < top < bottom < float(height) + TOLERANCE
    if path.stem in CURVES:
        assert len(told("pdfimages", "-list", path).splitlines()) == 2  # the head alone: lines stay lines


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_its_png_has_300_dots_an_inch(path: Path) -> None:
    with Image.open(path.with_suffix(".png")) as image:
        assert [round(float(dots)) for dots in image.info["dpi"]] == [PRINT_DPI, PRINT_DPI]
        assert any(abs(image.width - PRINT_DPI * width) <= 1 for width in (COLUMN, PAGE))
