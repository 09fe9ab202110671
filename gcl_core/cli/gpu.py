"""The commands `gpu-data` and `gpu-check`: what a GPU does with this code, from one file of data (docs/GPU.md)."""

import argparse
import sys
from pathlib import Path

from gcl_core.cli.words import Add, is_setting, local_path
from gcl_core.config import REPOSITORY, ConfigError


def add_gpu_commands(add: Add) -> None:
    """Add `gpu-data` and `gpu-check` to the command line."""
    data = add("gpu-data", _data, "make the file of data that gpu-check needs, on a CPU, in some minutes")
    data.add_argument("file", type=local_path, metavar="FILE", help="file to write, at most 40 MB")
    data.add_argument("settings", nargs="*", metavar="key=value", help="settings other than benchmarks/gpu.yaml's")
    check = add("gpu-check", _check, "test, measure and train on a GPU for at most 20 minutes; goes on where it was")
    check.add_argument("file", type=local_path, metavar="FILE", help="data that gpu-data made")
    check.add_argument(
        "--out", type=local_path, default=Path("gpu-check"), metavar="DIR", help="results (default: gpu-check)"
    )
    check.add_argument("--rehearse", action="store_true", help="on a CPU, everything tiny: shows that it runs")


def _data(chosen: argparse.Namespace) -> None:
    if wrong := [word for word in chosen.settings if not is_setting(word)]:
        raise ConfigError(f"expected key=value, got {wrong[0]!r}")
    _benchmarks()
    from gpu_data import make_data

    make_data(chosen.file, chosen.settings)


def _check(chosen: argparse.Namespace) -> None:
    _benchmarks()
    from gpu_check import check

    if not check(chosen.file, chosen.out, rehearse=chosen.rehearse):
        sys.exit(1)


def _benchmarks() -> None:
    """Let what measures be imported: it lies outside the package."""
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
