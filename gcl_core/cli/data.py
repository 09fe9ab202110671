"""The commands that bring a user's pictures and bodies in: report, unpack, keypoints, fit-bodies, pose-bodies."""

import argparse
import sys

from gcl_core.cli.words import Add, local_path

DATASETS = ("folder", "market1501", "dukemtmc_reid", "msmt17")


def add_data_commands(add: Add) -> None:
    """Add the commands to `python -m gcl_core`."""
    report = add("data-report", _data_report, "say what a dataset's folder holds, what is missing and what is wrong")
    _dataset(report)
    report.add_argument(
        "--mesh-root", type=local_path, metavar="DIR", help="folder of the meshes (default: ROOT/meshes)"
    )

    unpack = add("unpack", _unpack, "unpack a dataset's zip or tar archive, safely, whole or not at all")
    unpack.add_argument("archive", type=local_path, metavar="FILE")
    unpack.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder to make")

    keypoints = add("keypoints", _keypoints, "find each person's 17 keypoints with torchvision's Keypoint R-CNN")
    _dataset(keypoints)
    keypoints.add_argument("--out", type=local_path, required=True, metavar="FILE", help="COCO JSON to write")
    keypoints.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")

    fit = add("fit-bodies", _fit_bodies, "fit a body to every picture's keypoints and render its eight projections")
    _dataset(fit)
    fit.add_argument(
        "--keypoints", type=local_path, required=True, metavar="FILE", help="COCO JSON, 17 points per person"
    )
    fit.add_argument(
        "--depths", type=local_path, metavar="FILE", help="the same points in space: .npz of BlazePose's 33"
    )

    pose = add("pose-bodies", _pose_bodies, "render projections of bodies given as SMPL parameters (HMR, ROMP, …)")
    _dataset(pose)
    pose.add_argument(
        "--smpl", type=local_path, required=True, metavar="FILE", help=".npz, .pkl, or a folder of one per picture"
    )
    pose.add_argument(
        "--model", type=local_path, metavar="FILE", help="your SMPL model; without it poses go to a free body"
    )

    for each in (fit, pose):
        each.add_argument("--out", type=local_path, metavar="DIR", help="folder of the meshes (default: ROOT/meshes)")
        each.add_argument(
            "--height", type=_height, default=256, metavar="PIXELS", help="of a projection (default: 256)"
        )


def _dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=local_path, required=True, metavar="DIR", help="the dataset's folder")
    parser.add_argument("--dataset", choices=DATASETS, default="folder", help="its layout (default: folder)")


def _height(text: str) -> int:
    if not text.isdecimal() or not 32 <= int(text) <= 1024 or int(text) % 2:
        raise argparse.ArgumentTypeError(f"expected an even number from 32 to 1024, got {text!r}")
    return int(text)


def _data_report(chosen: argparse.Namespace) -> None:
    from gcl_core.data.report import report_data

    report = report_data(chosen.dataset, chosen.root, chosen.mesh_root)
    print(report.text())
    if report.errors:
        sys.exit(1)


def _unpack(chosen: argparse.Namespace) -> None:
    from gcl_core.data.archive import archives_in, unpack

    print(f"unpacked into {unpack(chosen.archive, chosen.out)}")
    for inner in archives_in(chosen.out):
        print(f"{inner} is an archive itself and was left packed; unpack it likewise, with another --out")


def _keypoints(chosen: argparse.Namespace) -> None:
    from gcl_core.data.detect import detect_keypoints

    found, pictures = detect_keypoints(chosen.root, chosen.out, dataset=chosen.dataset, device=chosen.device)
    print(f"people found in {found} of {pictures} pictures: {chosen.out}")


def _fit_bodies(chosen: argparse.Namespace) -> None:
    from gcl_core.data.bodies import fit_bodies

    made = fit_bodies(
        chosen.root,
        chosen.keypoints,
        depths=chosen.depths,
        dataset=chosen.dataset,
        out=chosen.out,
        height=chosen.height,
    )
    print(made.text())


def _pose_bodies(chosen: argparse.Namespace) -> None:
    from gcl_core.data.bodies import pose_bodies

    made = pose_bodies(
        chosen.root, chosen.smpl, model=chosen.model, dataset=chosen.dataset, out=chosen.out, height=chosen.height
    )
    print(made.text())
