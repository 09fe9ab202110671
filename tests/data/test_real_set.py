"""On real people, where they are at hand: the set loads as its README says, and bodies fit its keypoints."""

from pathlib import Path

import numpy as np
import pytest

from gcl_core.data.archive import unpack
from gcl_core.data.index import read_index
from gcl_core.data.names import match_names
from gcl_core.data.report import report_data
from gcl_core.mesh.depths import add_depths, read_depths
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import GOOD, judge
from gcl_core.mesh.keypoints import read_coco
from gcl_core.mesh.stick_figure import StickFigure, load_family

SOME = 600  # fits: two seconds


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    """Folder of the real set's archive and estimates."""
    folder = shared / "data"
    if not (folder / "cuhk03_keypoints_coco17.json.gz").is_file():
        pytest.skip("no real pictures in ../shared/data")
    return folder


@pytest.fixture(scope="module")
def root(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "set"
    return unpack(data / "cuhk03_detected_64x128_market_layout.tar", folder) / "cuhk03"


def test_the_set_loads_and_its_report_has_no_error(root: Path):
    index = read_index("folder", root)
    assert index.groupby("split").size().to_dict() == {"train": 7337, "query": 1400, "gallery": 5360}
    assert index.groupby("split")["pid"].nunique().to_dict() == {"train": 767, "query": 700, "gallery": 700}
    report = report_data("folder", root)
    assert report.errors == []
    assert len(report.text().splitlines()) <= 40


@pytest.mark.parametrize("with_depths", [False, True])
def test_bodies_lie_on_the_keypoints(root: Path, data: Path, with_depths: bool):
    keypoints, depths = data / "cuhk03_keypoints_coco17.json.gz", data / "cuhk03_blazepose33.npz"
    found, files = read_coco(keypoints), read_index("folder", root)["file"].tolist()
    places = match_names(found.files, files, keypoints).places
    assert len(places) == 10683
    found = found.take(list(places.values()), list(places))
    if with_depths:
        given = read_depths(depths)
        found = add_depths(found, given, match_names(given.files, files, depths).places)
    chosen = sorted(np.random.default_rng(0).permutation(10683)[:SOME].tolist())
    some = found.take(chosen, [found.files[place] for place in chosen])
    fit = fit_figures(StickFigure(load_family()), some.points, some.weights, some.depths, some.heights)
    distance = np.linalg.norm(fit.points - some.points, axis=2)
    assert np.median(distance[some.weights == 1]) <= 3  # pixels at 64x128
    assert judge(some, fit)["quality"].tolist().count(GOOD) > 0.9 * SOME
    if with_depths:
        assert np.isfinite(some.depths).all()
