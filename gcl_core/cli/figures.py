"""The commands `redraw`, `so-far`, `compare`, `results`, `verdicts` and `readme`: what is done with figures."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from gcl_core.cli.words import Add, local_path, read_study
from gcl_core.config import REPOSITORY
from gcl_core.layout import REFERENCE, Layout

FIGURES = REPOSITORY / "figures"
COMMITTED = f"of the committed figures, in figures/{REFERENCE}, rather than of runs made here"


def add_figure_commands(add: Add, add_study: Add) -> None:
    """Add these commands; the first four take the words that `read_study` reads."""
    parser = add_study(
        "redraw",
        _redraw,
        "[PROFILE] [key=value ...]",
        "make the tables and plots of figures/PROFILE anew from its records, without runs",
    )
    parser.add_argument("--reference", action="store_true", help=COMMITTED)
    parser.add_argument("--out", type=local_path, metavar="DIR", help="write there instead")
    parser.add_argument("--style", type=local_path, metavar="FILE", help="a matplotlib style file; needs --out")
    add_study(
        "so-far",
        _so_far,
        "[PROFILE] [key=value ...]",
        "make the tables of claims of an unfinished study, from the variants that have finished on every seed",
    )
    add_study(
        "compare",
        _compare,
        "[PROFILE] [key=value ...]",
        f"say which numbers of a run, in figures/PROFILE, agree with the reference in figures/{REFERENCE}/PROFILE",
    )
    results = add_study(
        "results",
        _results,
        "[PROFILE] [key=value ...]",
        "pack the tables, records and manifest of figures/PROFILE into one file that is verified when it is read",
    )
    results.add_argument(
        "--out", type=local_path, required=True, metavar="FILE", help="file to write, as market1501.zip"
    )
    words = "give the claims in figures/PROFILE their verdicts anew from its tables, and pool seeds of equal settings"
    verdicts = add("verdicts", _verdicts, words)
    verdicts.add_argument("profiles", nargs="+", metavar="PROFILE", help="profiles with figures, as evidence")
    verdicts.add_argument("--reference", action="store_true", help=COMMITTED)
    add("readme", _readme, "fill the numbers of README.md in from the committed tables of claims")


def _redraw(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words, pictures=False)[0]
    from gcl_core.figures.redraw import not_redrawn, redraw

    folder = Layout(study, reference=chosen.reference).figures
    for path in redraw(study, folder, chosen.out, chosen.style):
        print(path)
    if left := not_redrawn(study, folder):
        print(f"not redrawn, as they show pictures or their records were never kept: {', '.join(left)}")


def _so_far(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words)[0]
    from gcl_core.report.so_far import claims_so_far

    layout = Layout(study)
    names = claims_so_far(layout)
    waits = [name for name in study.variants if name not in names]
    print(
        f"{layout.figures}: tables of claims and what goes with them, of {', '.join(names)}; still to come: "
        f"{', '.join(waits) or 'none'}"
    )


def _results(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words, pictures=False)[0]
    from gcl_core.files import hash_file
    from gcl_core.measure.handed_in import pack_results, unpacked

    pack_results(study, Layout(study).figures, chosen.out)
    files = unpacked(chosen.out)
    print(f"{chosen.out}: {len(files)} files, {sum(map(len, files.values())):,} bytes, SHA-256 {hash_file(chosen.out)}")


def _compare(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    show_comparison(Layout(read_study(chosen, words, pictures=False)[0]))


def show_comparison(layout: Layout) -> None:
    """Print how a profile's own figures compare with the committed ones."""
    from gcl_core.report.compared import comparison

    print(comparison(layout.figures, replace(layout, reference=True).figures))


def _verdicts(chosen: argparse.Namespace) -> None:
    from gcl_core.figures.pooled import draw_pooled_claims
    from gcl_core.tables.pooled import write_verdicts

    figures = FIGURES / REFERENCE if chosen.reference else FIGURES
    for path in [*write_verdicts(figures, chosen.profiles), *draw_pooled_claims(figures)]:
        print(path)


def _readme(_: argparse.Namespace) -> None:
    from gcl_core.files import write_text
    from gcl_core.report.front_page import filled

    page = REPOSITORY / "README.md"
    write_text(page, filled(page.read_text(encoding="utf-8"), FIGURES / REFERENCE))
