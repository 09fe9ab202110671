"""The command `redraw`: plots from tables, in the study's style or in another."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gcl_core.config import REPOSITORY, Study

Add = Callable[..., argparse.ArgumentParser]
ReadStudy = Callable[[argparse.Namespace, Sequence[str]], tuple[Study, Any, Any]]


def add_figure_commands(add_study: Add, read_study: ReadStudy) -> None:
    """Add `redraw` to the command line; it takes the words `PROFILE key=value`, which `read_study` reads."""
    parser = add_study(
        "redraw",
        partial(_redraw, read_study),
        "[PROFILE] [key=value ...]",
        "draw the plots of figures/PROFILE anew from its tables, without runs",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead")
    parser.add_argument("--style", type=Path, metavar="FILE", help="a matplotlib style file; needs --out")


def _redraw(read_study: ReadStudy, chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words)[0]
    from gcl_core.figures.redraw import redraw

    for path in redraw(study, REPOSITORY / "figures" / study.profile, chosen.out, chosen.style):
        print(path)
