"""Every command in README and docs: its words are those of the command line, its settings those of a study."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from gcl_core.cli import _parser
from gcl_core.config import Study, check_name, known_profiles, load_study
from tests.documented import MODULE, RUN, commands


def parsed(line: str) -> tuple[argparse.Namespace, list[str]]:
    """Return what the command line makes of a documented command: its options, and the words of the study."""
    text = f"run {line.removeprefix(RUN)}" if line.startswith(RUN) else line.partition(MODULE)[2]
    chosen, more = _parser().parse_known_args(shlex.split(text, comments=True))
    return chosen, [*(getattr(chosen, "words", None) or []), *more]


def studied(words: list[str], data: Path) -> Study:
    """Return the study that a command's words name, all of its folders at `data`; other words are stages and runs."""
    profile = next((word for word in words if word in known_profiles()), "mini")
    overrides = [word for word in words if "=" in word]
    placed = [re.sub(r"=(DIR2?|/data/.*|.*\.pth)$", f"={data}", word) for word in overrides]
    study = load_study(profile, placed)
    check_name(study)  # changed training settings under a shipped name are refused
    others = set(words) - set(overrides) - {profile, "PROFILE"}
    assert others <= {"published", "baseline", "warm_up", *study.variants}, line_of(others)
    return study


def line_of(words: set[str]) -> str:
    return f"neither a profile nor a stage: {', '.join(sorted(words))}"


def test_there_are_commands_in_the_readme_and_in_the_guides() -> None:
    files = [name for name, _ in commands()]
    assert files.count("README.md") >= 8
    assert {"CLUSTER.md", "DATASETS.md", "FIDELITY.md", "PARALLEL.md", "WEIGHTS.md"} <= set(files)


@pytest.mark.parametrize(("file", "line"), commands())
def test_a_documented_command_is_understood(file: str, line: str, tmp_path: Path) -> None:
    if "--help" in line:
        with pytest.raises(SystemExit) as ended:
            parsed(line)
        assert ended.value.code == 0
        return
    chosen, words = parsed(
        line.replace("PROFILE [key=value ...]", "market1501 data_root=DIR").replace("PROFILE", "market1501")
    )
    assert not [word for word in words if word.startswith("-")], f"{file}: unknown option"
    if hasattr(chosen, "words"):
        studied(words, tmp_path)
    else:
        assert not words, f"{file}: unexpected words"
