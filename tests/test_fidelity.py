"""The switches between paper and release: all are settings, all do something, and the page tells what is true."""

import re
from pathlib import Path
from typing import Any

import pytest

from gcl_core.config import ConfigError, Study, load_study
from gcl_core.fidelity import PAIRS, RENAMED, SWITCHES
from gcl_core.fidelity_page import switches_page

ASKED = ["D1", "D3", "D4", "D5", "D6", "D8", "D9", "D11", "D13", "D15", "D16", "D19", "D26", "D28", "D31"]


def value(study: Study, key: str) -> Any:
    found: Any = study
    for part in key.split("."):
        found = getattr(found, part)
    return found


def test_every_difference_that_changes_a_number_has_its_switch():
    assert [switch.name for switch in SWITCHES] == ASKED


def test_released_sets_every_switch_and_the_default_none_of_those_the_paper_states():
    released, default = load_study("mini", "fidelity=released"), load_study("mini")
    for switch in SWITCHES:
        for key, expected in switch.released.items():
            assert value(released, key) == expected, key
    differ = [s.name for s in SWITCHES if any(value(default, key) != told for key, told in s.released.items())]
    assert differ == ["D1", "D3", "D4", "D5", "D11", "D13", "D15", "D19", "D31"]
    contrast = default.contrast
    shown_by_the_figure = (contrast.l_vi_prime_positive, contrast.exclude_self, contrast.shared_positive)
    assert (*shown_by_the_figure, default.losses.feature_at) == ("live", True, True, "novel_view")


@pytest.mark.parametrize("name", ASKED)
def test_one_switch_alone_changes_its_settings_and_nothing_else(name: str):
    own = next(switch for switch in SWITCHES if switch.name == name).released
    before, after = load_study("mini"), load_study("mini", f"fidelity=[{name}]")
    for key, expected in own.items():
        assert value(after, key) == expected
    for switch in SWITCHES:
        for key in set(switch.released) - set(own):
            assert value(after, key) == value(before, key)
    others = [each.identity_encoder.model_dump(exclude={"code_layout"}) for each in (before, after)]
    assert others[0] == others[1]  # a section's other settings stay


def test_a_setting_given_by_name_wins():
    study = load_study("mini", "fidelity=released angles=[45] contrast.l_vi_prime_positive=live joint.keep=last")
    assert (study.angles, study.contrast.l_vi_prime_positive, study.joint.keep) == ((45,), "live", "last")
    assert study.joint.drawing_schedule == "released_torch_1_2"


@pytest.mark.parametrize("wrong", ["[D2]", "default", "[released]", "3"])
def test_an_unknown_fidelity_is_refused_with_what_is_known(wrong: str):
    with pytest.raises(ConfigError, match=r"fidelity.*released"):
        load_study("mini", f"fidelity={wrong}")


def test_the_page_is_the_one_that_the_code_writes(repository: Path):
    assert (repository / "docs" / "FIDELITY.md").read_text(encoding="utf-8") == switches_page(Study())


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.name)
def test_the_test_that_a_switch_names_exists(switch: Any, repository: Path):
    file, _, function = switch.test.partition("::")
    assert f"def {function}(" in (repository / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_of_a_loss_is_refused_with_the_new_one(old: str, new: str):
    variants = f"variants={{gcl: {{{old}: 0}}, tda: {{view: copied}}}}"
    setting = variants if new in PAIRS else f"contrast.{old}=memory"
    with pytest.raises(ConfigError, match=rf"'{old}' is called '{new}' now.*architecture figure"):
        load_study("mini", ["evaluation.fid_variants=[gcl]", setting])


def test_no_place_but_the_mapping_has_an_old_name_of_a_loss(repository: Path):
    """In code, configs, notebooks, tests and documentation; not in figures and samples, which tell what was run."""
    old = re.compile(rf"(?<![\w>])({'|'.join(RENAMED)})(?!\w)")
    folders = ("gcl_core", "configs", "notebooks", "tests", "benchmarks", "scripts", "docs")
    kinds = {".py", ".yaml", ".ipynb", ".md", ".j2", ".sh"}
    files = [path for folder in folders for path in (repository / folder).rglob("*") if path.suffix in kinds]
    files += [repository / "README.md", repository / "Snakefile"]
    texts = {path: path.read_text(encoding="utf-8").replace("{vi}", "") for path in files}  # as LaTeX writes L_vi
    found = {path.relative_to(repository).as_posix() for path, text in texts.items() if old.search(text)}
    assert found == {"gcl_core/fidelity.py", "docs/FIDELITY.md"}
