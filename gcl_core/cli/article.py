"""The command `article`: the study as a paper, and described for those who check or keep it."""

import argparse
from collections.abc import Sequence

from gcl_core.cli.figures import COMMITTED
from gcl_core.cli.words import Add, read_study


def add_article_command(add_study: Add) -> None:
    """Add `article` to `python -m gcl_core`; it takes the words that `read_study` reads."""
    article = add_study(
        "article",
        _article,
        "[PROFILE] [key=value ...]",
        "write figures/PROFILE/article/, the study as a LaTeX article (and PDF, given a TeX), and beside the figures "
        "codecheck.yml and ro-crate-metadata.json, which describe them",
    )
    article.add_argument("--reference", action="store_true", help=COMMITTED)


def _article(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words, pictures=False)[0]
    from gcl_core.layout import Layout
    from gcl_core.report.article import write_article
    from gcl_core.report.research_object import write_descriptions
    from gcl_core.report.typeset import ENGINES, engine

    layout = Layout(study, reference=chosen.reference)
    for path in [*write_article(layout), *write_descriptions(layout)]:
        print(path)
    if engine() is None:
        print(f"only the source of the article was written: none of {', '.join(ENGINES)} is installed")
