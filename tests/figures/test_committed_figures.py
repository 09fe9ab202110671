"""The figures in this repository as a paper takes them: one or two columns wide, fonts within, no text cut off."""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from gcl_core.config import ConfigError, described_study, known_profiles, load_study
from gcl_core.figure_manifest import read_manifest
from gcl_core.figures import ablations, by_epoch, claims, cluster_count, clusters, fid
from gcl_core.figures.redraw import PLOTS, not_redrawn
from gcl_core.figures.style import COLUMN, PAGE, PRINT_DPI
from gcl_core.tables.claim_readings import caveat

REPOSITORY = Path(__file__).resolve().parents[2]
MANIFESTS = sorted(path.parent for path in (REPOSITORY / "figures" / "reference").glob("*/manifest.json"))
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


def is_synthetic(profile: str) -> bool:
    """Whether a profile makes its people itself; one that is not known here may hold anybody."""
    if profile not in known_profiles():
        return False
    try:
        return load_study(profile).dataset == "synthetic"
    except ConfigError:  # it needs the folder of its pictures
        return False


def pictures_of_people(reference: Path) -> list[Path]:
    """Return what a folder of committed figures holds of real people that is neither a number nor drawn of numbers."""
    found = []
    for folder in sorted(path for path in reference.iterdir() if path.is_dir()):
        if folder.name == "pooled" or is_synthetic(folder.name):
            continue
        for path in sorted(folder.rglob("*")):
            plot = path.suffix in (".png", ".pdf") and re.sub(r"_seed\d+$", "", path.stem) in PLOTS
            if path.is_file() and not plot and path.suffix not in (".md", ".csv", ".tex", ".json", ".parquet"):
                found.append(path)
    return found


def test_no_picture_of_a_real_person_is_committed(tmp_path: Path) -> None:
    assert pictures_of_people(REPOSITORY / "figures" / "reference") == []
    for profile in ("real_small", "market1501", "mini"):
        (tmp_path / profile / "records").mkdir(parents=True)
        for name in ("ablations.png", "protocols.md", "records/protocols.csv", "ranked_lists_seed1.png", "report.html"):
            (tmp_path / profile / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in pictures_of_people(tmp_path)]
    assert names == [
        f"{profile}/{name}"
        for profile in ("market1501", "real_small")
        for name in ("ranked_lists_seed1.png", "report.html")
    ]


EXPLAINED = {
    **{"ablations": ablations.EXPLAINED, "by_epoch": by_epoch.EXPLAINED, "claims": claims.EXPLAINED},
    **{"clustering_analysis": clusters.EXPLAINED, "fid_per_view": fid.EXPLAINED},
    "figure2_cluster_count": cluster_count.EXPLAINED,
}


@pytest.mark.parametrize("folder", MANIFESTS, ids=lambda folder: folder.name)
def test_captions_explain_what_todays_code_draws(folder: Path) -> None:
    """Figures that stay as an earlier version drew them, for want of records, keep the captions of then."""
    entries, study = read_manifest(folder), described_study(folder.name)
    old = not_redrawn(study, folder)
    told = {name: EXPLAINED.get(name.rpartition(".")[0]) for name in entries if name.endswith(("png", "pdf"))}
    mine = {name: words for name, words in told.items() if words and f"{name[:-4]}.png" not in old}
    assert "claims.png" in mine
    assert [name for name, words in mine.items() if words not in entries[name]["caption"]] == []
    assert caveat(study) in entries["claims.png"]["caption"]


def test_notebooks_take_these_words() -> None:
    """Whatever explains a figure stands once, in the code."""
    cells = {
        path.stem: "\n".join(
            cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
        )
        for path in (REPOSITORY / "notebooks").glob("*.ipynb")
    }
    for name in ("02_clustering_analysis", "05_fid_per_view", "06_cluster_count_curves", "07_ablations", "11_claims"):
        assert "{EXPLAINED}" in cells[name]
    assert "claims_caption(study, words)" in cells["11_claims"]
