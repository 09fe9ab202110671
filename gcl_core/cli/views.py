"""The commands that make a dataset of drawn views and check one: export-views, verify-views."""

import argparse
import shlex
from collections.abc import Sequence

from gcl_core.cli.words import Add, count, local_path, read_study, repetition


def add_view_commands(add: Add, add_study: Add) -> None:
    """Add the commands to `python -m gcl_core`; export-views takes the words `PROFILE key=value`."""
    export = add_study(
        "export-views",
        _export_views,
        "[PROFILE] [key=value ...]",
        "write a finished run's drawn views as a dataset of files; goes on (docs/NOVEL_VIEWS.md)",
    )
    export.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder to write")
    maker = export.add_mutually_exclusive_group()
    maker.add_argument("--variant", default="gcl", metavar="RUN", help="whose generator draws (default: gcl)")
    maker.add_argument(
        "--surface", choices=("fitted", "known"), help="no run draws: carried over the surface of these bodies"
    )
    export.add_argument("--seed", type=repetition, default=0, metavar="K", help="whose run folder (default: 0)")
    export.add_argument("--split", default="train", help="whose pictures: train (default), query or gallery")
    export.add_argument("--yaw", type=int, nargs="+", metavar="DEG", help="these angles (default: the seven)")
    export.add_argument("--people", type=int, nargs="+", metavar="ID", help="these identities (default: all)")
    export.add_argument("--each", type=count, metavar="N", help="the first N pictures of a person (default: all)")
    export.add_argument("--naming", default="nv", help="train/nv/DEG/NAME.png (nv) or Market-1501's folders (market)")
    export.add_argument("--pixels", action="store_true", help="draw real people too: else recipe and manifest alone")

    verify = add("verify-views", _verify_views, "say which files of an export were changed, lost or added")
    verify.add_argument("folder", type=local_path, metavar="DIR")


def _export_views(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study, profile, overrides = read_study(chosen, words)
    from gcl_core.export.choice import Choice
    from gcl_core.export.read import load_views
    from gcl_core.export.write import export_views
    from gcl_core.layout import Layout
    from gcl_core.mesh.projection import NOVEL

    choice = Choice(
        variant=chosen.variant,
        seed=chosen.seed,
        split=chosen.split,
        yaws=NOVEL if chosen.yaw is None else tuple(chosen.yaw),
        people=None if chosen.people is None else tuple(chosen.people),
        each=chosen.each,
        naming=chosen.naming,
        surface=chosen.surface,
    )
    words = shlex.join([profile, *overrides])
    views = load_views(export_views(Layout(study), chosen.out, choice, words=words, pixels=chosen.pixels))
    what = "views" if views.drawn else "views to draw (recipe and manifest alone; --pixels draws them)"
    print(f"{chosen.out}: {len(views.manifest)} {what} of {views.manifest['source'].nunique()} pictures")


def _verify_views(chosen: argparse.Namespace) -> None:
    from gcl_core.export.read import verify_views

    print(f"{chosen.folder}: all {verify_views(chosen.folder)} files are as they were exported")
