"""Each dataset's layout, built from the same synthetic people: listing, report and prepared set hold what is known."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import PeopleSettings, load_study
from gcl_core.data.index import read_index
from gcl_core.data.people.make import make_people
from gcl_core.data.preparation import prepare_data
from gcl_core.data.report import report_data
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS, projection_folder

SETTINGS = PeopleSettings(
    train_identities=3,
    test_identities=2,
    cameras=3,
    pictures_per_identity=4,
    distractors=2,
    junk=2,
    true_views=False,
)
Line = dict[str, Any]  # of people.csv
Name = Callable[[Line, int], str]  # (line, its number) → path below the dataset's root


def _market(line: Line, _: int) -> str:
    return str(line["file"])


def _duke(line: Line, number: int) -> str:
    return f"{Path(line['file']).parent}/{line['pid']:04d}_c{line['camid']}_f{number:07d}.jpg"


def _msmt(train: str, test: str) -> Name:
    def name(line: Line, number: int) -> str:
        pid = line["pid"] - 1
        base = f"{pid:04d}_{number:03d}_{line['camid']:02d}_0303morning_{number:04d}_0.jpg"
        return f"{train if line['split'] == 'train' else test}/{pid:04d}/{base}"

    return name


LAYOUTS: dict[str, tuple[str, Name]] = {
    "Market-1501": ("market1501", _market),
    "DukeMTMC-reID": ("dukemtmc_reid", _duke),
    "MSMT17 V1": ("msmt17", _msmt("train", "test")),
    "MSMT17 V2": ("msmt17", _msmt("mask_train_v2", "mask_test_v2")),
    "a folder of one's own": ("folder", _market),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_people(tmp_path_factory.mktemp("people"), SETTINGS, height=64, width=32, workers=1, progress=False)


def _known(people: Path, dataset: str) -> list[Line]:
    """What is true of each picture that a dataset of this kind holds; only Market-1501 has distractors and junk."""
    known: list[Line] = pd.read_csv(people / "people.csv").to_dict("records")
    return [line for line in known if dataset in ("market1501", "folder") or line["pid"] > 0]


@pytest.fixture(params=LAYOUTS)
def laid_out(request: pytest.FixtureRequest, people: Path, tmp_path: Path) -> tuple[str, Path, dict[str, Line]]:
    """A dataset, its folder with meshes, and what is known of each of its files."""
    dataset, name = LAYOUTS[request.param]
    root, facts, lists = tmp_path / "set", {}, {}
    for number, line in enumerate(_known(people, dataset)):
        file = name(line, number)
        facts[file] = line
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(people / line["file"], root / file)
        for yaw in YAWS:
            side = "train" if line["split"] == "train" else "test"
            mesh = projection_folder(root / "meshes", side, yaw) / Path(file).name
            mesh.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(projection_folder(people / "meshes", side, yaw) / Path(line["file"]).name, mesh)
        which = line["split"] if line["split"] != "train" or line["pid"] > 1 else "val"
        lists.setdefault(which, []).append(f"{file.partition('/')[2]} {line['pid'] - 1}\n")
    if dataset == "msmt17":
        assert set(lists) == {"train", "val", "query", "gallery"}
        for which, lines in lists.items():
            (root / f"list_{which}.txt").write_text("".join(lines))
    return dataset, root, facts


def test_listing_follows_the_protocol(laid_out: tuple[str, Path, dict[str, Line]]):
    dataset, root, facts = laid_out
    index = read_index(dataset, root)
    expected = {file: line for file, line in facts.items() if line["pid"] != -1}
    assert set(index["file"]) == set(expected)
    for file, pid, camid, split in index.itertuples(index=False, name=None):
        assert (pid, camid, split) == tuple(expected[file][name] for name in ("pid", "camid", "split"))
    for split in ("train", "query", "gallery"):
        files = index.loc[index["split"] == split, "file"].tolist()
        assert files == sorted(files)


def test_report_counts_what_is_known_and_finds_no_fault(laid_out: tuple[str, Path, dict[str, Line]]):
    dataset, root, facts = laid_out
    report = report_data(dataset, root)
    assert report.errors == []
    assert len(report.text().splitlines()) <= 40
    counts = Counter(line["split"] for line in facts.values() if line["pid"] != -1)
    lines = {line["split"]: line for line in report.table().to_dict("records")}
    assert {split: line["pictures"] for split, line in lines.items()} == counts
    assert lines["train"]["identities"] == SETTINGS.train_identities
    assert lines["query"]["identities"] == SETTINGS.test_identities
    assert [line["unusable"] for line in lines.values()] == [0, 0, 0]
    assert "0 with none, 0 partly" in report.text()


def test_a_study_reads_the_same_pixels_whatever_the_layout(
    laid_out: tuple[str, Path, dict[str, Line]], people: Path, tmp_path: Path
):
    dataset, root, facts = laid_out
    small = "picture.height=64 picture.width=32 generator.dilations=[1,2,3]"
    prepared = prepare_data(Layout(load_study("market1501", f"dataset={dataset} data_root={root} {small}"), tmp_path))
    original = prepare_data(Layout(load_study("market1501", f"data_root={people} {small}"), tmp_path / "original"))
    assert prepared.index["mesh"].tolist() == [True] * len(prepared.index)
    rows = {file: row for row, file in enumerate(original.index["file"])}
    for row, file in enumerate(prepared.index["file"]):
        same = rows[facts[file]["file"]]
        np.testing.assert_array_equal(prepared.pictures[row], original.pictures[same])
        np.testing.assert_array_equal(prepared.projections[row], original.projections[same])
