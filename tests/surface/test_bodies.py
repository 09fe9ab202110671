"""Bodies of a study's pictures: known, fitted here, fitted by the command; and who has none is told so."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from gcl_core.config import load_study
from gcl_core.data.bodies import POSES, TABLE, fit_bodies, pose_bodies
from gcl_core.data.people.estimates import known_bodies
from gcl_core.data.preparation import prepare_data
from gcl_core.files import RunError, hash_file
from gcl_core.layout import Layout
from gcl_core.mesh.body import BODY_PARAMETERS
from gcl_core.mesh.errors import DoubtfulFacingError, MeshError
from gcl_core.mesh.fitted import load_table, save_table
from gcl_core.mesh.keypoints import Person, write_coco
from gcl_core.mesh.projection import view_matrix
from gcl_core.mesh.smpl import SIZE
from gcl_core.surface.bodies import body_source, fits_hash, known_ways
from gcl_core.surface.placement import Placement
from gcl_core.surface.stored import carried_views, stored_views
from gcl_core.surface.views import carry_views

FEW = (
    "people.train_identities=2",
    "people.test_identities=2",
    "people.pictures_per_identity=4",
    "people.distractors=0",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Layout:
    """A prepared set of few people."""
    words = [*FEW, "people.junk=0", "people.true_views=false", "profile=few"]
    layout = Layout(load_study("smoke", words), root=tmp_path_factory.mktemp("study"))
    prepare_data(layout, workers=1)
    return layout


@pytest.fixture
def own(study: Layout, tmp_path: Path) -> Layout:
    """A copy to change."""
    shutil.copytree(study.root, tmp_path / "study")
    return Layout(study.study, root=tmp_path / "study")


def _files(layout: Layout) -> list[str]:
    people = prepare_data(layout)
    return people.index["file"].to_numpy()[people.rows("train")].tolist()


def test_known_bodies_lie_on_their_own_projections(study: Layout, bodies):
    files = _files(study)
    _, placed = body_source(study, files, "known")
    known = known_bodies(study.data_root, [Path(file).name for file in files], *bodies)
    for place, file in enumerate(files):
        each, placement = known[Path(file).name], placed(place)
        np.testing.assert_array_equal(placement.body.vertices, each.body.vertices)
        frame = each.frame(64, 32)
        expected = (frame.scale / 64, frame.column / 64, frame.row / 64)
        assert (placement.frame.scale, placement.frame.column, placement.frame.row) == pytest.approx(expected)


def test_fitted_bodies_stand_where_the_known_ones_do(study: Layout):
    files = _files(study)
    (_, known), (_, fitted) = (body_source(study, files, way) for way in ("known", "fitted"))
    off, refused = [], list[str]()
    for place in range(len(files)):
        try:
            mine = fitted(place)
        except MeshError as error:
            refused.append(str(error))
            continue
        one, other = (each.places(each.body.vertices, 0, (64, 32))[:, :2] for each in (mine, known(place)))
        off.append(np.abs(one - other).mean())  # the same vertices of the same body model
    assert all("no body to be trusted" in text for text in refused)
    assert len(off) >= 6
    assert np.median(off) < 2.5  # pixels


def test_capsules_stand_where_the_fitted_bodies_do_and_carry_views(study: Layout):
    people, files = prepare_data(study), _files(study)
    (_, fitted), (topology, capsules) = (body_source(study, files, way) for way in ("fitted", "capsules"))
    off, doubtful = [], 0
    for place in range(len(files)):
        try:
            one, other = fitted(place), capsules(place)
        except MeshError as error:
            doubtful += isinstance(error, DoubtfulFacingError)
            continue
        middles = [each.places(each.body.vertices, 0, (64, 32))[:, :2] for each in (one, other)]
        off.append(np.abs(middles[0].max(axis=0) - middles[1].max(axis=0)).max())
        assert len(other.body.vertices) == len(topology.mirror) != len(one.body.vertices)
    assert np.median(off) < 3  # pixels
    stored = stored_views(study, people, "capsules")
    assert stored.there.sum() == len(off) + doubtful
    assert (study.store / "surface_capsules.npy").is_file()


def test_swapped_bodies_turn_backs_about_and_rough_ones_stand_further_off(
    study: Layout, bodies, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gcl_core.data.people.estimates.MISTAKEN", 1)  # here all backs: there are few
    files, depth = _files(study), bodies[1](dict.fromkeys(BODY_PARAMETERS, 0.5)).vertices[:, 1]
    placed = {way: body_source(study, files, way)[1] for way in ("known", "fitted", "swapped", "rough")}
    about, off = {True: [], False: []}, {"fitted": [], "rough": []}

    def facing(placement: Placement) -> float:
        """Return how far the front lies before the back, in metres towards the camera."""
        return float(np.cov(placement.body.vertices[:, 1], depth)[0, 1]) / float(np.var(depth))

    for place in range(len(files)):
        known = placed["known"](place)
        for way in ("fitted", "rough"):
            with contextlib.suppress(MeshError):
                one, other = (
                    each.places(each.body.vertices, 0, (64, 32))[:, :2] for each in (placed[way](place), known)
                )
                off[way].append(np.abs(one - other).mean())
        with contextlib.suppress(MeshError):
            about[facing(known) < 0].append(facing(known) * facing(placed["swapped"](place)) < 0)
    assert any(about[True])
    assert not any(about[False])
    assert np.median(off["rough"]) > 1.5 * np.median(off["fitted"])


def test_the_commands_table_gives_the_cameras_of_its_fits(own: Layout, bodies, tmp_path: Path):
    files = _files(own)
    known = known_bodies(own.data_root, [Path(file).name for file in files], *bodies)
    points = {file: known[Path(file).name].keypoints(128, 64) for file in files[1:]}
    people = {
        file: Person(64, 128, [x for column, row in each.tolist() for x in (column, row, 2)], 1.0)
        for file, each in points.items()
    }
    write_coco(tmp_path / "keypoints.json", people)
    fit_bodies(own.data_root, tmp_path / "keypoints.json", dataset="market1501", out=tmp_path / "meshes", height=32)
    shutil.copy(tmp_path / "meshes" / TABLE, own.mesh_root / TABLE)
    _, placed = body_source(own, files, "fitted")
    with pytest.raises(MeshError, match="no keypoints"):
        placed(0)
    off = []
    for place, file in enumerate(files[1:], start=1):
        each = known[Path(file).name].body
        one = placed(place).places(placed(place).body.vertices, 0, (128, 64))[:, :2]
        frame, view = known[Path(file).name].frame(128, 64), placed(place)
        there = type(view)(each, type(frame)(frame.scale / 128, frame.column / 128, frame.row / 128), 0.5, view.slack)
        off.append(np.abs(one - there.places(each.vertices, 0, (128, 64))[:, :2]).mean())
    assert np.median(off) < 2.5

    save_table(load_table(own.mesh_root / TABLE).assign(quality="facing unsure"), own.mesh_root / TABLE)
    _, placed = body_source(own, files, "fitted")
    with pytest.raises(DoubtfulFacingError, match="facing unsure"):
        placed(1)
    table = load_table(own.mesh_root / TABLE).assign(quality="poor fit")
    save_table(table, own.mesh_root / TABLE)
    _, placed = body_source(own, files, "fitted")
    with pytest.raises(MeshError, match="poor fit"):
        placed(1)
    with pytest.raises(RunError, match=r"no picture of .* has carried views"):
        stored_views(own, prepare_data(own), "fitted")


def test_smpl_parameters_with_their_cameras_stand_where_the_known_bodies_do(own: Layout, bodies, tmp_path: Path):
    files = _files(own)
    known = known_bodies(own.data_root, [Path(file).name for file in files], *bodies)
    cameras, each = [], [known[Path(file).name] for file in files]
    for body in each:  # as an estimator that sees the whole crop, and takes everybody for an average adult
        frame, hips = body.frame(64, 32), body.keypoints(64, 32)[[11, 12]].mean(axis=0)
        scale = frame.scale / 64 * np.ptp(body.body.vertices[:, 2]) / 1.83 / SIZE
        cameras.append([2 * scale, (hips[0] - 16) / 64 / scale, (hips[1] - 32) / 64 / scale + 0.22])
    cameras[1][0] *= -1
    poses = np.array([body.smpl for body in each])
    np.savez(tmp_path / "smpl.npz", files=np.array(files), pose=poses, pred_cam=np.array(cameras))
    pose_bodies(own.data_root, tmp_path / "smpl.npz", dataset="market1501", out=tmp_path / "meshes", height=32)
    shutil.copy(tmp_path / "meshes" / POSES, own.mesh_root / POSES)
    off = []
    for way in ("fitted", "capsules"):
        _, placed = body_source(own, files, way)
        with pytest.raises(MeshError, match="behind the camera"):
            placed(1)
        for place in (0, *range(2, len(files))):
            frame = each[place].frame(64, 32)
            seen = each[place].body.vertices @ view_matrix(0, each[place].body.elevation).T
            true = np.stack([frame.column + frame.scale * seen[:, 0], frame.row - frame.scale * seen[:, 2]], axis=1)
            mine = placed(place).places(placed(place).body.vertices, 0, (64, 32))[:, :2]
            off.append(np.abs([mine.min(axis=0) - true.min(axis=0), mine.max(axis=0) - true.max(axis=0)]).mean())
    assert np.median(off) < 2  # pixels
    (own.data_root / "people.json").rename(tmp_path / "people.json")  # as a set that was not made here
    assert known_ways(own) == ["fitted"]
    assert fits_hash(own, "fitted") == hash_file(own.mesh_root / POSES)
    (tmp_path / "people.json").rename(own.data_root / "people.json")
    people = prepare_data(own)
    assert stored_views(own, people, "fitted").there.tolist() == [place != 1 for place in range(len(files))]

    np.savez(tmp_path / "smpl.npz", files=np.array(files[:1]), pose=poses[:1])
    pose_bodies(own.data_root, tmp_path / "smpl.npz", dataset="market1501", out=tmp_path / "meshes", height=32)
    shutil.copy(tmp_path / "meshes" / POSES, own.mesh_root / POSES)
    _, placed = body_source(own, [*files, "of/another/set.jpg"], "fitted")
    with pytest.raises(MeshError, match=r"without camera.*pose-bodies"):
        placed(0)
    with pytest.raises(MeshError, match="no SMPL parameters"):
        placed(len(files))
    assert not stored_views(own, people, "fitted").there[0]  # made anew


def test_projections_alone_have_no_body(own: Layout):
    files = _files(own)
    (own.data_root / "people.json").unlink()
    assert known_ways(own) == []
    for way in ("known", "fitted"):
        with pytest.raises(RunError, match=r"bodies\.csv is missing.*fit-bodies"):
            body_source(own, files, way)


def test_views_are_made_once_and_anew_when_the_bodies_change(own: Layout, monkeypatch: pytest.MonkeyPatch):
    people = prepare_data(own)
    rows, files = people.rows("train"), _files(own)
    first = stored_views(own, people, "known")
    assert first.there.all()
    topology, placed = body_source(own, files, "known")
    for place in (0, 5):
        expected = carry_views(people.pictures[rows[place]], placed(place), topology).views
        np.testing.assert_array_equal(first.views[place], expected)
    picked, yaws = np.array([5, 0, 5]), np.array([45, 315, 180])
    np.testing.assert_array_equal(first.at(picked, yaws), first.views[picked, [0, 6, 3]])
    some, there = carried_views(own, people, rows[[5, 2]], "known")
    np.testing.assert_array_equal(some, first.views[[5, 2]])
    assert there.all()

    monkeypatch.setattr("gcl_core.surface.stored.body_source", None)  # nothing is made again
    np.testing.assert_array_equal(stored_views(own, people, "known").views, first.views)
    monkeypatch.undo()
    before = (own.store / "surface_known.json").read_bytes()
    changed = type(people)(people.index, 255 - people.pictures[:], people.projections, "other pictures")
    other = stored_views(own, changed, "known")
    assert (own.store / "surface_known.json").read_bytes() != before
    assert (other.views[0] != first.views[0]).mean() > 0.9


def test_finished_views_are_read_from_a_store_that_cannot_be_written_and_others_are_refused(
    own: Layout, monkeypatch: pytest.MonkeyPatch
):
    people = prepare_data(own)
    first = stored_views(own, people, "known")

    def refused(_lock: object) -> None:  # as by a folder's rights, which do not bind everyone who runs tests
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock._acquire", refused)
    np.testing.assert_array_equal(stored_views(own, people, "known").views, first.views)
    with pytest.raises(RunError, match=f"cannot write in {own.store}: Permission denied; check"):
        stored_views(own, people, "known", turned=False)


def test_pictures_without_a_body_are_told_and_left_black_and_doubtful_ones_are_views_of_themselves(
    own: Layout, monkeypatch: pytest.MonkeyPatch
):
    people, files = prepare_data(own), _files(own)
    topology, placed = body_source(own, files, "known")

    def some(place: int):
        if place == 2:
            raise MeshError("no body to be trusted (poor fit)")
        if place == 4:
            raise DoubtfulFacingError("no body to be trusted (facing unsure)")
        return placed(place)

    monkeypatch.setattr("gcl_core.surface.stored.body_source", lambda *_: (topology, some))
    found = stored_views(own, people, "fitted")
    assert found.there.tolist() == [place != 2 for place in range(len(files))]
    assert not found.views[2].any()
    for view in found.views[4]:  # of itself
        np.testing.assert_array_equal(view, people.pictures[people.rows("train")[4]])
    assert files[2] in (own.store / "surface_fitted.json").read_text()
