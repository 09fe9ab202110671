"""The commands `redraw` and `verdicts`: plots, and what claims come to, from the tables alone."""

import argparse
from collections.abc import Callable
from pathlib import Path

from gcl_core.config import REPOSITORY, load_study


def add_figure_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `redraw` and `verdicts` to the command line."""
    parser = add("redraw", _redraw, "draw the plots of figures/PROFILE anew from its tables, without runs")
    parser.add_argument("profile", metavar="PROFILE", help="a profile with figures, as evidence")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead")
    parser.add_argument("--style", type=Path, metavar="FILE", help="a matplotlib style file; needs --out")
    words = "give the claims in figures/PROFILE their verdicts anew from its tables, and pool seeds of equal settings"
    verdicts = add("verdicts", _verdicts, words)
    verdicts.add_argument("profiles", nargs="+", metavar="PROFILE", help="profiles with figures, as evidence")


def _redraw(chosen: argparse.Namespace) -> None:
    from gcl_core.figures.redraw import redraw

    folder = REPOSITORY / "figures" / chosen.profile
    for path in redraw(load_study(chosen.profile), folder, chosen.out, chosen.style):
        print(path)


def _verdicts(chosen: argparse.Namespace) -> None:
    from gcl_core.tables.pooled import write_verdicts

    for path in write_verdicts(REPOSITORY / "figures", chosen.profiles):
        print(path)
