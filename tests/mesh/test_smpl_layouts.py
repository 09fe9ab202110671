"""Folders and files exactly as ROMP, BEV, PHALP (4D-Humans), PARE and VIBE leave them, built from one set of bodies."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.smpl_files import read_smpl

STEMS = ("0001_c1s1_000001_00", "0002_c2s1_000003_00", "0003_c1s1_000007_00")
BEST, OTHER = 1, 0  # people in each picture: the second is the surer one
Build = Callable[[Path, np.ndarray], None]


@pytest.fixture
def poses() -> np.ndarray:
    """Axis-angles [picture, person, 24, 3] of upright people in camera axes (y down)."""
    poses = np.random.default_rng(0).normal(scale=0.3, size=(3, 2, 24, 3))
    poses[:, :, 0] = [np.pi - 0.1, 0.1, 0]
    return poses


def _matrices(poses: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(*poses.shape, 3)


def _romp(poses: np.ndarray, confidences: str = "center_confs", people: slice = slice(None)) -> dict[str, Any]:
    """One picture's people as simple_romp has them."""
    thetas = poses[people].reshape(-1, 72).astype(np.float32)
    count = len(thetas)
    return {
        "cam": np.ones((count, 3), np.float32),
        "global_orient": thetas[:, :3],
        "body_pose": thetas[:, 3:],
        "smpl_thetas": thetas,
        "smpl_betas": np.zeros((count, 11), np.float32),
        "center_preds": np.zeros((count, 2), np.int64),
        confidences: np.array([[0.3], [0.9]], np.float32)[people],
        "verts": np.zeros((count, 5, 3), np.float32),
        "pj2d_org": np.zeros((count, 71, 2), np.float32),
    }


def _simple_romp_video(folder: Path, poses: np.ndarray, people: slice = slice(None)) -> None:
    """`romp --mode=video` on a folder of pictures: their names, then .png for all in the summary."""
    every = {}
    for stem, here in zip(STEMS, poses, strict=True):
        np.savez(folder / f"{stem}.npz", results=_romp(here, people=people))  # pyright: ignore[reportArgumentType]
        every[f"{stem}.png"] = _romp(here, people=people)
        (folder / f"{stem}.png").write_bytes(b"a rendering")
    np.savez(folder / "video_results.npz", results=every, sequence_results={})  # pyright: ignore[reportArgumentType]


def _simple_romp_tracked(folder: Path, poses: np.ndarray) -> None:
    """The same with --temporal_optimize: tracks by number beside the pictures."""
    _simple_romp_video(folder, poses)
    every = {f"{stem}.png": _romp(here) for stem, here in zip(STEMS, poses, strict=True)}
    tracks = {np.int32(1): {"frame_id": [0, 1, 2], "smpl_thetas": [here[0].reshape(72) for here in poses]}}
    np.savez(folder / "video_results.npz", results=every, sequence_results=tracks)  # pyright: ignore[reportArgumentType]


def _simple_romp_summary(folder: Path, poses: np.ndarray) -> None:
    _simple_romp_video(folder, poses)
    for stem in STEMS:
        (folder / f"{stem}.npz").unlink()


def _romp_people(here: np.ndarray) -> list[dict[str, Any]]:
    """One picture's people as the first releases of ROMP have them: a dict a person, in half precision."""
    return [
        {
            "cam": np.ones(3, np.float16),
            "poses": pose.reshape(72).astype(np.float16),
            "betas": np.zeros(10, np.float16),
            "j3d_smpl24": np.zeros((24, 3), np.float16),
            "center_conf": np.array([confidence], np.float16),
        }
        for pose, confidence in zip(here, (0.3, 0.9), strict=True)
    ]


def _first_romp(folder: Path, poses: np.ndarray) -> None:
    """The first releases in video mode: a file a picture, one of all by path, and one of tracks by number."""
    every = {f"/data/crops/{stem}.jpg": _romp_people(here) for stem, here in zip(STEMS, poses, strict=True)}
    for path, people in every.items():
        np.savez(folder / f"{Path(path).stem}.npz", results=people)  # pyright: ignore[reportArgumentType]
    np.savez(folder / "crops_results.npz", results=every)  # pyright: ignore[reportArgumentType]
    tracks = {0: {stem: people[0] for stem, people in zip(STEMS, every.values(), strict=True)}}
    np.savez(folder / "crops_ts_results.npz", results=tracks)  # pyright: ignore[reportArgumentType]


def _subjects(folder: Path, poses: np.ndarray) -> None:
    """As ROMP's guide prints it: `subject_0`, `subject_1` in each picture's file."""
    for stem, here in zip(STEMS, poses, strict=True):
        people = {f"subject_{number}": person for number, person in enumerate(_romp_people(here))}
        np.savez(folder / f"{stem}.npz", results=people)  # pyright: ignore[reportArgumentType]


def _phalp_frames(poses: np.ndarray, before: str) -> dict[str, dict]:
    """PHALP's dict of frames: lists that run over tracks; a track that is not seen here (a ghost) is the surest."""
    frames = {}
    for number, (stem, here) in enumerate(zip(STEMS, poses, strict=True)):
        matrices = _matrices(here).astype(np.float32)
        ghost = np.tile(np.eye(3, dtype=np.float32), (24, 1, 1))
        smpl = [
            {"global_orient": body[:1], "body_pose": body[1:], "betas": np.zeros(10, np.float32)}
            for body in (*matrices, ghost)
        ]
        frames[f"{before}{stem}.jpg"] = {
            "time": number,
            "shot": 0,
            "frame_path": f"{before}{stem}.jpg",
            "tid": [1, 2, 3],
            "bbox": [np.zeros(4)] * 3,
            "tracked_ids": [1, 2],
            "tracked_time": [0, 0, 2],
            "appe": [np.zeros(16, np.float32)] * 3,
            "pose": [np.zeros(229, np.float32)] * 3,
            "mask": [[{"size": [128, 64], "counts": b"abc"}]] * 3,
            "conf": [np.float32(0.6), 0.8, 0.99],
            "smpl": smpl,
            "camera": [np.zeros(3)] * 3,
            "annotations": [[]] * 3,
            "extra_data": [None] * 3,
        }
    return frames


def _phalp(folder: Path, poses: np.ndarray) -> None:
    """`python track.py video.source=<folder of pictures>`: outputs/results/demo_<name>.pkl, dumped by joblib."""
    (folder / "results").mkdir()
    (folder / "_TMP").mkdir()
    (folder / "PHALP_crops.mp4").write_bytes(b"a film")
    joblib.dump(_phalp_frames(poses, "/data/set/query/"), folder / "results" / "demo_crops.pkl", compress=3)


def _phalp_plain(folder: Path, poses: np.ndarray) -> None:
    """Older PHALP: not compressed, tracks without ghosts, and a picture in which nobody was found."""
    frames = _phalp_frames(poses, "")
    for frame in frames.values():
        del frame["tracked_time"]
        for key in ("smpl", "conf"):
            frame[key] = frame[key][:2]
    frames["0009_c1s1_000001_00.jpg"] = {"time": 3, "shot": 0, "tid": [], "smpl": [], "conf": [], "bbox": []}
    joblib.dump(frames, folder / "demo_crops.pkl")


def _pare(folder: Path, poses: np.ndarray) -> None:
    """PARE on a folder of pictures: pare_results/<picture>.pkl, here with the better person first: none is scored."""
    for stem, here in zip(STEMS, poses, strict=True):
        matrices = _matrices(here[::-1]).astype(np.float32)
        content = {"pred_pose": matrices, "pred_shape": np.zeros((2, 10), np.float32), "bboxes": np.ones((2, 4))}
        joblib.dump(content | {"smpl_vertices": np.zeros((2, 5, 3), np.float32)}, folder / f"{stem}.pkl")


def _hmr2(folder: Path, poses: np.ndarray) -> None:
    """What HMR 2.0's network returns, saved a picture: matrices, no scores, the better person first."""
    for stem, here in zip(STEMS, poses, strict=True):
        matrices = _matrices(here[::-1])
        smpl = {"global_orient": matrices[:, :1], "body_pose": matrices[:, 1:], "betas": np.zeros((2, 10))}
        np.savez(folder / f"{stem}.jpg.npz", pred_smpl_params=smpl, pred_cam=np.ones((2, 3)))  # pyright: ignore


FOLDERS: dict[str, Build] = {
    "simple_romp": _simple_romp_video,
    "simple_romp, tracked": _simple_romp_tracked,
    "simple_romp, summary alone": _simple_romp_summary,
    "first ROMP": _first_romp,
    "ROMP's guide": _subjects,
    "PHALP": _phalp,
    "older PHALP": _phalp_plain,
    "PARE": _pare,
    "HMR 2.0": _hmr2,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_read_as_its_tool_leaves_it(tmp_path: Path, poses: np.ndarray, name: str):
    FOLDERS[name](tmp_path, poses)
    bodies = read_smpl(tmp_path)
    assert [Path(file).name.removesuffix(".jpg") for file in bodies.files] == list(STEMS)
    np.testing.assert_allclose(bodies.rotations, _matrices(poses[:, BEST]), atol=3e-3)  # half precision


@pytest.mark.parametrize("name", ["PHALP", "simple_romp, summary alone"])
def test_a_file_of_all_pictures_is_read_alone(tmp_path: Path, poses: np.ndarray, name: str):
    FOLDERS[name](tmp_path, poses)
    file = next(tmp_path.rglob("*.pkl"), tmp_path / "video_results.npz")
    np.testing.assert_allclose(read_smpl(file).rotations, _matrices(poses[:, BEST]), atol=1e-5)


def test_a_summary_that_contradicts_the_pictures_files_is_refused(tmp_path: Path, poses: np.ndarray):
    _simple_romp_video(tmp_path, poses)
    np.savez(tmp_path / f"{STEMS[1]}.npz", results=_romp(poses[0]))  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        MeshError, match=rf"named twice, e\.g\. {STEMS[1]} in .*{STEMS[1]}\.npz and .*video_results\.npz"
    ):
        read_smpl(tmp_path)


def test_a_later_result_of_the_same_frames_is_refused(tmp_path: Path, poses: np.ndarray):
    _phalp(tmp_path, poses)
    (tmp_path / "results_temporal").mkdir()
    joblib.dump(_phalp_frames(poses[::-1], "/data/set/query/"), tmp_path / "results_temporal" / "crops.pkl")
    with pytest.raises(MeshError, match=r"named twice, .*results/demo_crops\.pkl and .*results_temporal/crops\.pkl"):
        read_smpl(tmp_path)


@pytest.mark.parametrize("dump", [joblib.dump, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_video_s_tracks_say_nothing_of_pictures(tmp_path: Path, poses: np.ndarray, dump: Callable):
    track = {"pose": poses[:, 0].reshape(3, 72), "betas": np.zeros((3, 10)), "frame_ids": np.arange(3)}
    dump({1: track, 2: track}, tmp_path / "vibe_output.pkl")
    with pytest.raises(MeshError, match=r"vibe_output\.pkl holds people by their track's number"):
        read_smpl(tmp_path / "vibe_output.pkl")
    with pytest.raises(MeshError, match="nobody was found in its 0 pictures"):
        read_smpl(tmp_path)


def test_the_demo_of_4d_humans_saves_no_pose(tmp_path: Path):
    (tmp_path / f"{STEMS[0]}_0.obj").write_text("v 0 0 0")
    with pytest.raises(MeshError, match=r"holds no \.npz or \.pkl.*demo of 4D-Humans saves, hold no pose"):
        read_smpl(tmp_path)
