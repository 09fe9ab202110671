"""The DAG must see every file that a notebook stands on: forgetting one would keep stale figures."""

import ast
import hashlib
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from gcl_core import provenance
from gcl_core.config import load_study
from gcl_core.provenance import code_of, code_of_stage, handed, measuring_of, source_files

STAGES = ("baseline", "warm_up", "gcl", "tda")
Edit = Callable[[str, str, str], None]


def notebook(path: Path, *cells: str) -> Path:
    new = nbformat.v4
    nbformat.write(new.new_notebook(cells=[new.new_markdown_cell("import os"), *map(new.new_code_cell, cells)]), path)
    return path


def test_direct_and_indirect_imports_are_found(tmp_path: Path) -> None:
    found = source_files(notebook(tmp_path / "a.ipynb", "x = 1", "from gcl_core.layout import Layout"))
    assert found == ["gcl_core/__init__.py", "gcl_core/layout.py"]
    found = source_files(notebook(tmp_path / "b.ipynb", "from gcl_core.training.baseline import train_baseline"))
    assert {"gcl_core/training/baseline.py", "gcl_core/models/identity_encoder.py", "gcl_core/seeding.py"} < set(found)
    assert "gcl_core/training/__init__.py" in found
    assert not any(name.startswith("gcl_core/figures") for name in found)
    assert found == sorted(found)


def test_module_imported_from_its_package_is_found(tmp_path: Path) -> None:
    found = source_files(
        notebook(tmp_path / "a.ipynb", "from gcl_core import seeding\nimport gcl_core.losses.generative")
    )
    assert {"gcl_core/seeding.py", "gcl_core/losses/generative.py"} < set(found)


def test_settings_are_compared_by_value_and_tables_as_files(tmp_path: Path) -> None:
    found = source_files(notebook(tmp_path / "a.ipynb", "from gcl_core.measure.published import published"))
    assert "gcl_core/measure/paper_values.csv" in found
    assert "gcl_core/config.py" not in found
    assert not [name for name in found if name.startswith(("gcl_core/settings/", "gcl_core/fidelity"))]


def test_notebook_without_the_core_stands_on_nothing(tmp_path: Path) -> None:
    assert source_files(notebook(tmp_path / "a.ipynb", "import json\nfrom pathlib import Path")) == []


def test_nothing_that_python_really_imports_is_missing(repository: Path) -> None:
    """Oracle: import what a notebook imports and look at what is loaded."""
    path = repository / "notebooks" / "08_generated_views.ipynb"
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    imports = next(cell for cell in cells if "from gcl_core" in cell)
    show = "import sys\nprint(*(m.__file__ for n, m in sys.modules.items() if n.startswith('gcl_core')), sep='\\n')"
    command = [sys.executable, "-c", f"{imports}\n{show}"]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    imported = {Path(line).relative_to(repository).as_posix() for line in answer.stdout.splitlines()}
    sections = {path.relative_to(repository).as_posix() for path in (repository / "gcl_core" / "settings").glob("*.py")}
    settings = {"gcl_core/config.py", "gcl_core/fidelity.py", *sections}
    assert imported - set(source_files(path)) == settings


def test_a_stage_is_handed_what_its_fingerprint_is_made_of_and_nothing_that_decides_besides() -> None:
    whole = load_study("smoke", "source.dataset=synthetic")
    decides = {"losses": True, "baseline": {"threads"}, "variants": {"gcl": {"l_vi"}}}
    study, used = handed(whole, decides, besides={"source"})
    assert used == whole.model_dump(mode="json", include=decides)
    assert set(used) == {"losses", "baseline", "variants"}
    several = {"warm_up", "joint", "losses", "angles", "clustering", "contrast"}
    assert list(handed(whole, several)[1]) == sorted(several)  # in every process, whose sets have other orders
    assert study.losses == whole.losses
    assert study.variants["gcl"].l_vi == 1
    assert (study.profile, study.source, study.evaluation) == ("smoke", whole.source, whole.evaluation)
    with pytest.raises(AttributeError, match=r"'angles' of Study was not handed on.*`handed` in gcl_core/provenance"):
        _ = study.angles
    with pytest.raises(AttributeError, match="'method' of BaselineSettings"):
        _ = study.baseline.method
    with pytest.raises(AttributeError, match="'title' of VariantSettings"):
        _ = study.variants["gcl"].title
    with pytest.raises(KeyError):
        _ = study.variants["tda"]
    with pytest.raises(AttributeError, match="has no attribute 'angels'"):
        _ = study.angels  # pyright: ignore[reportAttributeAccessIssue]
    assert pickle.loads(pickle.dumps(study)) == study
    with pytest.raises(AttributeError, match="has no attribute 'x'"):
        handed(whole, {"x"})


@pytest.fixture
def edit(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Look at a copy of the sources, in which a piece of a file is replaced."""
    shutil.copytree(repository / "gcl_core", tmp_path / "gcl_core", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)

    def replace(name: str, old: str, new: str) -> None:
        path = tmp_path / "gcl_core" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace


def fingerprints() -> dict[str, str]:
    """Return what decides about every stage's run, and about what is measured of it."""
    study = load_study("smoke")
    stages = {stage: provenance.fingerprint(code_of_stage(study, stage)) for stage in STAGES}
    return {**stages, "measuring": measuring_of(study)}


def changed_by(edit: Edit, name: str, old: str, new: str) -> set[str]:
    before = fingerprints()
    edit(name, old, new)
    return {stage for stage, code in fingerprints().items() if code != before[stage]}


def test_words_and_layout_of_code_decide_nothing(edit: Edit):
    assert not changed_by(edit, "seeding.py", "Return a CPU torch generator for", "Return, on the CPU, a generator for")
    assert not changed_by(
        edit, "seeding.py", "    return torch.Generator()", "    # a remark\n\n    return torch.Generator()"
    )


ODDITIES = """
import ast
from a import (b, c as d)
@b.c(1)
class E(d, metaclass=f):
    '''Words.'''
def g(x: int, /, *y, z: 'str' = u"\N{GRINNING FACE}\u1c89", **k) -> tuple[int, ...]:
    "Words."
    return f"{x!r:>{z}} {y[1:2, ...]=} " "" f'{k["a"]}' 'b' + "", *y
async def h():
    async with a as (b, c), d:
        return {**await b, 1: -0.1e-300, 2j: b"\\0", "": [i async for i in c if (i := not d)]}
match ast:
    case {"a": [1, *_], **rest} | E(b=None): lambda: (yield)
try: del a[(1, 2)], b
except* ValueError: raise E from None
"""


def test_every_python_gives_code_the_same_hash():
    """Else a run that was begun with one would count as made by other code with the next."""
    spelled = provenance._without_docstrings(ast.parse(ODDITIES))
    assert (
        hashlib.sha256(spelled.encode()).hexdigest()
        == "f5dad2a3a2815aa166db199b212012146be9318c78c749bed6ae2ad014e6cd43"
    )
    for old, new in (('+ ""', '+ "a"'), ("[(1, 2)]", "[(1, 3)]"), ("None", "0"), ('u"', '"'), ("!r", "!s")):
        assert provenance._without_docstrings(ast.parse(ODDITIES.replace(old, new))) != spelled


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("seeding.py", '"little") >> 1', '"big") >> 1', {*STAGES, "measuring"}),
        ("evaluation/ranking.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ", {"measuring"}),
        ("figures/style.py", "COLUMN = 3.25", "COLUMN = 3.5", set()),
        ("training/baselines/jvtc/losses.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ", set()),
        ("training/baselines/tda.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ", {"baseline"}),
        ("losses/view_invariant.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ", {"baseline", "gcl", "tda"}),
        ("losses/generative.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ", {"warm_up", "gcl", "tda"}),
        ("files.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ", set()),
    ],
)
def test_a_run_is_stale_by_the_code_that_it_really_uses(edit: Edit, name: str, old: str, new: str, expected: set[str]):
    assert changed_by(edit, name, old, new) == expected


def test_evaluation_decides_where_the_test_set_chooses_the_epoch(edit: Edit):
    study = load_study("smoke", "joint.keep=best_on_test")
    before = code_of_stage(study, "gcl")
    edit("evaluation/ranking.py", "\n\n\ndef ", "\n\nHALF = 0.5\n\n\ndef ")
    after = code_of_stage(study, "gcl")
    assert {name for name in after if after[name] != before[name]} == {"gcl_core/evaluation/ranking.py"}


def test_tables_beside_modules_count_byte_by_byte(edit: Edit):
    before = code_of("gcl_core.measure.published")
    edit("measure/paper_values.csv", "Market", "market")
    after = code_of("gcl_core.measure.published")
    assert {name for name in after if after[name] != before[name]} == {"gcl_core/measure/paper_values.csv"}
