"""The command `redraw`: tables and plots from records, in the study's style or in another."""

import argparse
from collections.abc import Callable
from pathlib import Path

from gcl_core.config import REPOSITORY, load_study


def add_figure_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `redraw` to the command line."""
    parser = add("redraw", _redraw, "make the tables and plots of figures/PROFILE anew from its records, without runs")
    parser.add_argument("profile", metavar="PROFILE", help="a profile with figures, as evidence")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead")
    parser.add_argument("--style", type=Path, metavar="FILE", help="a matplotlib style file; needs --out")


def _redraw(chosen: argparse.Namespace) -> None:
    from gcl_core.figures.redraw import not_redrawn, redraw

    folder = REPOSITORY / "figures" / chosen.profile
    for path in redraw(load_study(chosen.profile), folder, chosen.out, chosen.style):
        print(path)
    if left := not_redrawn(folder):
        print(f"not redrawn, as they show pictures or their records were never kept: {', '.join(left)}")
