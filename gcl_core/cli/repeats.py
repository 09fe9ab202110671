"""The command `repeat`: how far a single run is moved by rounding alone."""

import argparse
from collections.abc import Sequence

from gcl_core.cli.words import Add, count, local_path, read_study, repetition, split_name
from gcl_core.config import ConfigError


def add_repeat_command(add_study: Add) -> None:
    """Add `repeat` to `python -m gcl_core`; it takes the words `PROFILE VARIANT key=value`."""
    repeat = add_study(
        "repeat",
        _repeat,
        "[PROFILE] VARIANT [key=value ...]",
        "train a variant again from slightly changed weights of its baseline, and say how far apart the runs end",
    )
    repeat.add_argument("--times", type=count, default=5, metavar="R", help="how often (default: 5)")
    repeat.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder for these runs and repeats.csv"
    )
    repeat.add_argument("--seed", type=repetition, default=0, metavar="K", help="from whose baseline (default: 0)")


def _repeat(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    variant, others = split_name(words, "repeat: say which variant, as in `repeat mini tda --out DIR`")
    study, _, _ = read_study(chosen, others)
    if variant not in study.variants:
        raise ConfigError(
            f"repeat: {variant!r} is no variant of profile {study.profile}; known: {', '.join(study.variants)}"
        )
    from gcl_core.files import write_text
    from gcl_core.layout import Layout
    from gcl_core.measure.artifacts import required_runs
    from gcl_core.tables.formats import markdown_table
    from gcl_core.training.repeats import TABLE, train_repeats

    layout = Layout(study)
    required_runs(layout, variant, chosen.seed)
    table = train_repeats(layout, variant, chosen.seed, chosen.times, chosen.out)
    write_text(chosen.out / TABLE, table.to_csv(index=False, lineterminator="\n"))
    print(markdown_table(table), end="")
