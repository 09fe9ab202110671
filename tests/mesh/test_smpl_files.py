"""SMPL parameters in every layout that the docstring lists, and every wrong one told by file, picture and key."""

import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.smpl_files import read_smpl

NAMES = ("b/0002_c1.jpg", "a/0001_c2.jpg", "0003_c1.jpg")
ORDER = [2, 1, 0]  # of NAMES, sorted


@pytest.fixture
def poses() -> np.ndarray:
    """Axis-angles [3,24,3] of three upright people in camera axes (y down): a half turn about x, and small bends."""
    poses = np.random.default_rng(0).normal(scale=0.3, size=(3, 24, 3))
    poses[:, 0] = [[np.pi, 0, 0], [np.pi - 0.2, 0.1, 0], [3.0, 0, 0.2]]
    return poses


@pytest.fixture
def betas() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 10))


def _matrices(poses: np.ndarray) -> np.ndarray:
    return np.array([[Rotation.from_rotvec(joint).as_matrix() for joint in body] for body in poses])


def _layouts(poses: np.ndarray, betas: np.ndarray) -> dict[str, dict]:
    """The same bodies as each estimator's keys and shapes have them."""
    matrices, camera = _matrices(poses), np.ones((3, 3))
    hmr2 = {"global_orient": matrices[:, :1], "body_pose": matrices[:, 1:], "betas": betas}
    return {
        "pose [N,72]": {"pose": poses.reshape(3, 72), "betas": betas, "cam": camera},
        "pose [N,24,3]": {"pose": poses, "betas": np.pad(betas, ((0, 0), (0, 6)), constant_values=9)},
        "pose [N,24,3,3]": {"pose": matrices.astype(np.float32), "betas": betas},
        "HMR": {"theta": np.concatenate([camera, poses.reshape(3, 72), betas], axis=1)},
        "HMR 2.0": {"pred_smpl_params": hmr2, "pred_cam": camera, "pred_vertices": np.zeros((3, 2, 3))},
        "ROMP": {"results": {"smpl_thetas": poses.reshape(3, 72), "smpl_betas": betas, "cam": camera}},
        "smplx": {"global_orient": poses[:, 0], "body_pose": poses[:, 1:].reshape(3, 69), "betas": betas},
        "vectors": {"global_orient": poses[:, :1], "body_pose": poses[:, 1:], "betas": betas},
        "matrices": {"global_orient": matrices[:, 0], "body_pose": matrices[:, 1:], "betas": betas},
    }


LAYOUTS = tuple(_layouts(np.zeros((3, 24, 3)), np.zeros((3, 10))))


@pytest.mark.parametrize("suffix", ["npz", "pkl"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_set_reads_alike_in_every_layout(tmp_path, poses, betas, layout, suffix):
    path, content = tmp_path / f"set.{suffix}", {"imgname": np.array(NAMES), **_layouts(poses, betas)[layout]}
    np.savez(path, **content) if suffix == "npz" else path.write_bytes(pickle.dumps(content))
    bodies = read_smpl(path)
    assert bodies.files == tuple(sorted(NAMES))
    np.testing.assert_allclose(bodies.rotations, _matrices(poses)[ORDER], atol=1e-5)
    np.testing.assert_allclose(bodies.betas, betas[ORDER], atol=1e-6)


def _one(content: dict, index: int, *, axis: bool) -> dict:
    """One picture's share of a set; `axis` keeps the leading axis of length one."""
    select = slice(index, index + 1) if axis else index
    return {
        key: _one(value, index, axis=axis) if isinstance(value, dict) else value[select]
        for key, value in content.items()
    }


@pytest.mark.parametrize("axis", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_pictures_and_a_dict_of_pictures_read_as_the_set(tmp_path, poses, betas, layout, axis):
    content = _layouts(poses, betas)[layout]
    pictures = {name: _one(content, index, axis=axis) for index, name in enumerate(NAMES)}
    for index, (name, picture) in enumerate(pictures.items()):
        stem = tmp_path / "folder" / name.removesuffix(".jpg")
        stem.parent.mkdir(exist_ok=True, parents=True)
        if index:
            np.savez(stem.with_suffix(".npz"), **picture)
        else:
            stem.with_suffix(".pkl").write_bytes(pickle.dumps(picture))
    (tmp_path / "set.pkl").write_bytes(pickle.dumps(pictures))
    folder, one_file = read_smpl(tmp_path / "folder"), read_smpl(tmp_path / "set.pkl")
    assert one_file.files == tuple(sorted(NAMES))
    assert folder.files == tuple(name.removesuffix(".jpg") for name in one_file.files)
    for bodies in (folder, one_file):
        np.testing.assert_allclose(bodies.rotations, _matrices(poses)[ORDER], atol=1e-5)
        np.testing.assert_allclose(bodies.betas, betas[ORDER], atol=1e-6)


def test_of_several_people_the_best_scored_is_taken_else_the_first(tmp_path, poses, betas, capsys):
    several = {"pose": poses.reshape(3, 72), "betas": betas}
    people = [{"pose": poses[index], "betas": betas[index], "score": [0.3, 0.2, 0.9][index]} for index in range(3)]
    np.savez(tmp_path / "first.npz", **several)
    np.savez(tmp_path / "scored.npz", **several, conf=np.array([0.1, 0.8, 0.3]))
    np.savez(tmp_path / "listed.npz", results=np.array(people))
    bodies = read_smpl(tmp_path)
    assert bodies.files == ("first", "listed", "scored")
    np.testing.assert_allclose(bodies.rotations, _matrices(poses)[[0, 2, 1]], atol=1e-5)
    np.testing.assert_allclose(bodies.betas, betas[[0, 2, 1]], atol=1e-6)
    assert "3 pictures show several people" in capsys.readouterr().out


def test_no_shape_is_the_average_one(tmp_path, poses):
    np.savez(tmp_path / "set.npz", files=list(NAMES), pose=poses)
    np.testing.assert_array_equal(read_smpl(tmp_path / "set.npz").betas, np.zeros((3, 10)))


def test_matrices_that_drifted_a_little_are_made_rotations(tmp_path, poses):
    drifted = _matrices(poses) + np.random.default_rng(2).normal(scale=1e-3, size=(3, 24, 3, 3))
    np.savez(tmp_path / "set.npz", files=list(NAMES), pose=drifted)
    rotations = read_smpl(tmp_path / "set.npz").rotations.astype(np.float64)
    identity = np.broadcast_to(np.eye(3), rotations.shape)
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2), identity, atol=1e-6)
    np.testing.assert_allclose(rotations, _matrices(poses)[ORDER], atol=6e-3)


def test_a_set_with_y_up_is_turned_as_a_whole_and_says_so(tmp_path, poses, capsys):
    matrices = _matrices(poses)
    upright = matrices.copy()
    upright[:, 0] = Rotation.from_euler("x", 180, degrees=True).as_matrix() @ matrices[:, 0]
    np.savez(tmp_path / "set.npz", files=list(NAMES), pose=upright)
    bodies = read_smpl(tmp_path / "set.npz")
    assert "y up" in capsys.readouterr().out
    np.testing.assert_allclose(bodies.rotations, matrices[ORDER], atol=1e-5)


def test_one_handstand_among_upright_people_stays_a_handstand(tmp_path, poses):
    poses[1, 0] = 0  # identity in axes with y down: on the head
    np.savez(tmp_path / "set.npz", files=list(NAMES), pose=poses)
    np.testing.assert_allclose(read_smpl(tmp_path / "set.npz").rotations[:, 0], _matrices(poses)[ORDER, 0], atol=1e-5)


def _wrong(poses: np.ndarray) -> dict[str, tuple[dict, str]]:
    names, lying, broken = list(NAMES), poses.copy(), poses.copy()
    lying[:, 0] = [np.pi / 2, 0, 0]
    broken[1, 3, 2] = np.nan
    mirrored = _matrices(poses)
    mirrored[2, 5] *= -1
    scaled = _matrices(poses)
    scaled[0, 4] *= 1.1
    split = {"body_pose": poses[:, 1:], "global_orient": poses[:, 0]}
    return {
        "no pose": ({"files": names, "betas": np.zeros((3, 10))}, "no pose.*body_pose.*found files, betas"),
        "no orientation": ({"files": names, "body_pose": poses[:, 1:]}, "global_orient"),
        "shape": ({"files": names, "pose": poses[:, :22]}, r"pose has shape \(3, 22, 3\)"),
        "orient": (
            {"files": names, **split, "global_orient": poses[:2, 0]},
            r"global_orient has shape \(2, 3\).*\[3,3\]",
        ),
        "theta": ({"files": names, "theta": np.zeros((3, 82))}, r"theta has shape \(3, 82\).*85"),
        "betas": ({"files": names, "pose": poses, "betas": np.zeros((3, 8))}, r"betas have shape \(3, 8\)"),
        "betas of others": ({"files": names, "pose": poses, "betas": np.zeros((2, 10))}, r"betas have shape \(2, 10\)"),
        "NaN": ({"files": names, "pose": broken}, r"a/0001_c2\.jpg: pose holds 1 NaN.*\[3, 2\]"),
        "no numbers": ({"files": names, "pose": np.full((3, 72), "x")}, "pose is no array of numbers"),
        "mirrored": (
            {"files": names, "pose": mirrored},
            "0003_c1.jpg: pose holds 1 matrices that are no rotations, first in body 0, joint 5",
        ),
        "scaled": (
            {"files": names, "pose": scaled},
            "b/0002_c1.jpg: pose holds 1 matrices that are no rotations, first in body 0, joint 4",
        ),
        "no names": ({"pose": poses}, "does not name its pictures.*found pose"),
        "too few names": ({"files": names[:2], "pose": poses}, "2 names in files but 3 bodies"),
        "twice": ({"files": [names[0], names[1], names[0]], "pose": poses}, "twice, e.g. b/0002_c1.jpg"),
        "degrees": (
            {"files": names, "pose": np.rad2deg(poses)},
            "angles beyond a full turn: not radians, first in body 0",
        ),
        "degrees, body": ({"files": names, **split, "body_pose": np.rad2deg(poses[:, 1:])}, "body_pose.*not radians"),
        "degrees, HMR": (
            {
                "files": names,
                "theta": np.concatenate(
                    [
                        poses[:, 0],
                        np.rad2deg(poses.reshape(3, 72)),
                        poses[:, :2].reshape(3, 6),
                        poses[:, 0, :1],
                        poses[:, 0],
                    ],
                    1,
                ),
            },
            "theta.*not radians",
        ),
        "huge matrices": ({"files": names, "pose": _matrices(poses) * 1e200}, "no rotations, first in body 0"),
        "huge shape": ({"files": names, "pose": poses, "betas": np.full((3, 10), 1e9)}, "betas holds .* beyond 30"),
        "infinite shape": (
            {"files": names, "pose": poses, "betas": np.full((3, 10), np.inf)},
            "betas holds 30 NaN or inf",
        ),
        "NaN score": ({"files": names, "pose": poses, "conf": [0.5, np.nan, 0.5]}, "a/0001_c2.jpg: conf holds 1 NaN"),
        "too few scores": ({"files": names, "pose": poses, "conf": [0.5, 0.5]}, "2 scores for 3 people"),
        "names are numbers": ({"files": [1, 2, 3], "pose": poses}, "files holds 1; expected names of pictures"),
        "flags": ({"files": names, "pose": poses, "has_smpl": [1, 0]}, "2 numbers for 3 pictures"),
        "tracks": ({"results": {7: {"a": {"pose": poses[0]}}}}, "by their track's number"),
        "lying": ({"files": names, "pose": lying}, "on their side.*z up"),
    }


@pytest.mark.parametrize("what", _wrong(np.zeros((3, 24, 3))))
def test_what_is_wrong_with_a_set_is_told(tmp_path, poses, what):
    content, said = _wrong(poses)[what]
    np.savez(tmp_path / "set.npz", **content)
    with pytest.raises(MeshError, match=rf"set\.npz.*{said}"):
        read_smpl(tmp_path / "set.npz")


def test_what_is_wrong_with_a_folder_is_told(tmp_path, poses):
    with pytest.raises(MeshError, match="one file per picture"):
        read_smpl(tmp_path)
    np.savez(tmp_path / "a.npz", pose=poses[0])
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"pose": poses[0]}))
    with pytest.raises(MeshError, match=r"named twice, e\.g\. a in .*a\.npz and .*a\.pkl;"):
        read_smpl(tmp_path)
    for name in ("a.npz", "a.pkl"):
        (tmp_path / name).unlink()
    np.savez(tmp_path / "b.npz", pose=np.zeros((0, 72)))
    with pytest.raises(MeshError, match="nobody was found in its 1 pictures"):
        read_smpl(tmp_path)


def test_hidden_files_are_passed_over_and_linked_folders_are_searched_once(tmp_path, poses):
    folder, beside = tmp_path / "smpl", tmp_path / "beside"
    for place in (folder / ".hidden", folder / "real", beside):
        place.mkdir(parents=True)
    for place in (folder / "._a.npz", folder / ".hidden" / "x.npz"):
        place.write_bytes(b"what a Mac puts beside a file")
    for number, path in enumerate((folder / "a.npz", folder / "real" / "b.npz", beside / "c.npz")):
        np.savez(path, pose=poses[number])
    (folder / "linked").symlink_to(beside)
    (folder / "again").symlink_to(folder / "real")
    (folder / "real" / "loop").symlink_to(folder)
    assert read_smpl(folder).files == ("a", "linked/c", "real/b")


def test_a_set_with_scores_may_name_a_picture_several_times_and_flag_rows_without_a_body(tmp_path, poses, capsys):
    names = ["a.jpg", "b.jpg", "a.jpg"]
    np.savez(tmp_path / "set.npz", imgname=names, pose=poses, score=[0.1, 0.5, 0.9])
    bodies = read_smpl(tmp_path / "set.npz")
    assert bodies.files == ("a.jpg", "b.jpg")
    np.testing.assert_allclose(bodies.rotations, _matrices(poses)[[2, 1]], atol=1e-5)
    assert "1 pictures show several people" in capsys.readouterr().out
    poses[0] = 0  # as SPIN's files have rows of pictures without a fit
    np.savez(
        tmp_path / "spin.npz",
        imgname=list(NAMES),
        pose=poses.reshape(3, 72),
        shape=np.zeros((3, 10)),
        has_smpl=[0, 1, 1],
    )
    assert read_smpl(tmp_path / "spin.npz").files == tuple(sorted(NAMES[1:]))
    assert "1 pictures show nobody" in capsys.readouterr().out
    np.savez(tmp_path / "spin.npz", imgname=list(NAMES), pose=poses.reshape(3, 72), has_smpl=[0, 0, 0])
    with pytest.raises(MeshError, match="nobody was found in its 3 pictures"):
        read_smpl(tmp_path / "spin.npz")


def test_a_file_that_is_no_dict_or_is_absent_is_told(tmp_path):
    (tmp_path / "set.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(MeshError, match=r"set\.pkl.*dict of arrays, found a list"):
        read_smpl(tmp_path / "set.pkl")
    with pytest.raises(MeshError, match=r"none\.npz"):
        read_smpl(tmp_path / "none.npz")
