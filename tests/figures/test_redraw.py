"""The committed tables and plots are those of the committed records, byte by byte, and marks lie where tables say."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gcl_core.config import Study, described_study, load_study
from gcl_core.figure_manifest import read_manifest, write_manifest
from gcl_core.figures.claims import claims_figure
from gcl_core.figures.redraw import TABLES, not_redrawn, redraw
from gcl_core.files import RunError, hash_file
from gcl_core.outputs import GALLERY, OUTPUTS
from gcl_core.records import FOLDER, record_path
from gcl_core.tables.claim_readings import REPORTING
from gcl_core.tables.formats import read_table

FIGURES = Path(__file__).resolve().parents[2] / "figures" / "reference"
REAL = "real_small"
PROFILES = ["mini", *(profile for profile in (*REPORTING, REAL) if (FIGURES / profile).is_dir())]
PICTURES = ("dataset_examples", "mesh_ways", "figure1", "figure3", "ranked_lists", "novel_view", "surface_steps")
# made before there were records: numbers of single seeds, or of the data, are nowhere
NEVER_KEPT: dict[str, set[str]] = {
    "evidence": {"ablations", "clusterers", "clustering_analysis"},
    "evidence_background": {"ablations", "clusterers", "clustering_analysis"},
    "evidence_light": {"ablations", "figure2_cluster_count"},
    "evidence_settings": {"ablations", "clusterers", "clustering_analysis"},
}


def study_of(profile: str) -> Study:
    """The study of a profile as figures need it."""
    return described_study(profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_committed_is_what_the_records_give(profile: str, tmp_path: Path):
    folder = FIGURES / profile
    files = redraw(study_of(profile), folder, tmp_path)
    assert [path.name for path in files if path.read_bytes() != (folder / path.name).read_bytes()] == []
    entered = set(read_manifest(folder))
    left = {Path(name).stem for name in not_redrawn(study_of(profile), folder)}
    assert {name for name in left if not name.startswith(PICTURES)} == NEVER_KEPT.get(profile, set())
    others = {f"{name}{ending}" for name in left for ending in (".png", ".pdf")}
    assert {path.name for path in files} == {name for name in entered if not name.startswith(FOLDER)} - others - {
        GALLERY
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_the_manifest_is_that_of_the_files_that_lie_there(profile: str):
    folder = FIGURES / profile
    entries = read_manifest(folder)
    assert [name for name, entry in entries.items() if hash_file(folder / name) != entry["sha256"]] == []
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert kept - set(entries) <= {"README.md", "manifest.json", "how-to-cite.md", "report.html", f"{FOLDER}/runs.csv"}
    assert (folder / "manifest.json").stat().st_size < 200_000  # it names every run of every seed


def test_tables_are_made_of_records_where_they_are(tmp_path: Path):
    """A number changed in a record reaches the table; without the record the CSV stands."""
    study, folder = load_study("mini"), tmp_path / "mini"
    shutil.copytree(FIGURES / "mini", folder)
    path = record_path(folder, "fid")
    path.write_text(path.read_text().replace(",32,512,", ",256,512,"))
    names = {"table1_fid_per_view.csv", "table1_fid_per_view.md", "table1_fid_per_view.tex"}
    entries = {name: entry for name, entry in read_manifest(folder).items() if name in names}
    write_manifest(folder, "mini", entries)
    assert {path.name for path in redraw(study, folder, tmp_path / "out")} == names
    assert 256 in list(read_table(tmp_path / "out" / "table1_fid_per_view.csv")["pictures"].dropna())
    path.unlink()
    redraw(study, folder, tmp_path / "again")
    assert all((tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes() for name in names)


def test_in_place_the_manifest_keeps_what_is_known_and_lost_files_come_back(tmp_path: Path):
    study, folder = load_study("evidence_light"), tmp_path / "evidence_light"
    shutil.copytree(FIGURES / "evidence_light", folder)
    before = read_manifest(folder)
    (folder / "controls.tex").write_text("lost")
    (folder / "claims.png").write_bytes(b"lost")
    redraw(study, folder)
    after = read_manifest(folder)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] in ([], [GALLERY])  # which names its own folder
    for name in ("claims.png", "controls.tex"):
        assert hash_file(folder / name) == before[name]["sha256"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_mark_lies_within_its_interval(profile: str):
    axes = claims_figure(study_of(profile), read_table(FIGURES / profile / "claims.csv")).axes[0]
    intervals: dict[float, list[np.ndarray]] = {}
    marks: dict[float, float] = {}
    for line in axes.lines[1:]:  # the first is that of no effect
        x, y = (np.asarray(each, dtype=np.float64) for each in line.get_data())
        if len(x) == 2:
            intervals.setdefault(y[0], []).append(x)
        else:
            marks[y[0]] = x[0]
    assert len(marks) == len(axes.get_yticklabels()) > 2
    assert intervals
    for place, ends in intervals.items():
        assert all(low <= marks[place] <= high for low, high in ends)


def test_figures_of_another_profile_are_refused(tmp_path: Path):
    shutil.copytree(FIGURES / "evidence2", tmp_path / "mine")
    with pytest.raises(RunError, match=r"surface_unturned.*, which profile mini does not train; name the profile"):
        redraw(load_study("mini"), tmp_path / "mine")


@pytest.mark.parametrize(
    ("profile", "name"), [("mini", "records/epochs.csv"), ("mini", "clusterers.csv"), ("evidence_light", "claims.csv")]
)
def test_nothing_is_made_of_numbers_that_were_changed(tmp_path: Path, profile: str, name: str):
    """Neither of a record nor of a table that is its own record."""
    folder = tmp_path / "mine"
    shutil.copytree(FIGURES / profile, folder, ignore=shutil.ignore_patterns("*.pdf"))
    (folder / name).write_text((folder / name).read_text().replace("1", "2", 1))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=f"{name} changed after they were made"):
        redraw(load_study(profile), folder)
    assert {path: path.read_bytes() for path in before} == before


def test_nothing_is_removed_where_no_record_tells_which_profile_it_was(tmp_path: Path):
    folder = tmp_path / "mine"
    shutil.copytree(FIGURES / "evidence_settings", folder)
    before = set(folder.rglob("*"))
    redraw(load_study("mini"), folder)
    assert before <= set(folder.rglob("*"))


def test_another_style_is_written_elsewhere_and_leaves_ours_alone(tmp_path: Path):
    study, folder = load_study("evidence_light"), FIGURES / "evidence_light"
    look = tmp_path / "mine.mplstyle"
    look.write_text("figure.facecolor: 0.9\n")
    with pytest.raises(RunError, match="needs --out"):
        redraw(study, folder, look=look)
    mine = redraw(study, folder, tmp_path / "mine", look)
    plots = [path for path in mine if path.suffix in (".pdf", ".png")]
    assert plots
    assert all(path.read_bytes() != (folder / path.name).read_bytes() for path in plots)
    ours = redraw(study, folder, tmp_path / "ours")
    assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in ours)
    with pytest.raises(RunError, match="cannot read the style"):
        redraw(study, folder, tmp_path / "mine", tmp_path / "absent.mplstyle")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("# gr\xf6\xdfer\nfont.size: 9\n".encode("latin-1"), "it is no text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "it is no text in UTF-8"),
        (b"font.size: big\n", "Could not convert 'big' to float; correct that line"),
        (b"text.usetex: True\n", "latex could not be found; nothing was written"),
        (b"font.family: No Such Font\n", "Failed to find font.*nothing was written"),
    ],
)
def test_a_style_that_cannot_be_drawn_with_is_refused_before_anything_is_written(
    content: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))  # no LaTeX
    look = tmp_path / "mine.mplstyle"
    look.write_bytes(content)
    with pytest.raises(RunError, match=told):
        redraw(load_study("evidence_light"), FIGURES / "evidence_light", tmp_path / "out", look)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_figures_is_named(tmp_path: Path):
    with pytest.raises(RunError, match=r"holds no figures with a manifest\.json"):
        redraw(load_study("smoke"), tmp_path)


def test_mini_has_every_table_that_is_made_of_records():
    made = {each.name for each in OUTPUTS if each.kind == "table" and each.made_by(load_study("mini"))}
    assert made & set(TABLES) <= {name for name in TABLES if (FIGURES / "mini" / f"{name}.csv").is_file()}


def test_a_page_that_is_gone_is_named_where_what_it_says_is_kept_nowhere_else(tmp_path: Path):
    folder = tmp_path / "people_750"
    shutil.copytree(FIGURES / "people_750", folder)
    (folder / "dataset.md").unlink()
    with pytest.raises(RunError, match=r"cannot read .*dataset\.md: No such file"):
        redraw(load_study("people_750"), folder, tmp_path / "out")
