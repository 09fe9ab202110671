"""What a notebook may and may not hold, and that the DAG passes it the parameters it has."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import nbformat
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
EVERYWHERE = {"profile", "overrides"}
TEACHING = {"03b_method_on_eight_pictures"}  # it takes a step by hand: with torch, numbers and functions of its own
TRAINING_CALLS = {"backward", "step", "zero_grad"}
WRITING_CALLS = {"write_text", "write_bytes", "savefig", "save", "to_csv", "to_markdown", "to_latex", "dump", "mkdir"}


def faults(notebook: Any, *, teaches: bool = False) -> Iterator[str]:
    """Yield in words whatever breaks the rules; one that teaches keeps nothing and ends with exercises."""
    if notebook.cells[0].cell_type != "markdown" or not notebook.cells[0].source.startswith("# "):
        yield "the first cell is no title"
    if not any("**Question.**" in cell.source for cell in notebook.cells if cell.cell_type == "markdown"):
        yield "no question is asked"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3, which every environment has"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(cell.outputs or cell.execution_count is not None for cell in code):
        yield "outputs or execution counts are saved"
    marked = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(marked) != 1:
        yield f"{len(marked)} cells are tagged parameters"
    for cell in code:
        if re.search(r"^\s*[!%]", cell.source, re.MULTILINE):
            yield "a magic"
            continue
        tree = ast.parse(cell.source)
        yield from parameter_faults(tree) if cell in marked else code_faults(tree, teaches=teaches)
    last = notebook.cells[-1]
    if teaches:
        if last.cell_type != "markdown" or "## Exercises" not in last.source:
            yield "the last cell has no exercises"
    elif last.cell_type != "code" or not checks_promises(ast.parse(last.source)):
        yield "the last cell does not check what was promised"


def parameter_faults(tree: ast.Module) -> Iterator[str]:
    """The cell tagged parameters holds plain assignments of plain values."""
    for statement in tree.body:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)):
            yield f"the parameters cell holds more than plain values: {ast.unparse(statement)}"
    if not set(names_in(tree)) >= EVERYWHERE:
        yield "profile or overrides is no parameter"


def code_faults(tree: ast.Module, *, teaches: bool) -> Iterator[str]:
    """Any other cell defines nothing, trains nothing, writes nothing, and holds no number and no path.

    One of a notebook that teaches may define functions, use torch, take steps and hold numbers.
    """
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() if teaches:
                continue
            case ast.Call(func=ast.Attribute(attr=name)) if teaches and name in TRAINING_CALLS:
                continue
            case ast.Import(names=[ast.alias(name="torch")]) if teaches:
                continue
            case ast.ImportFrom(module="torch.nn.functional") if teaches:
                continue
            case ast.Constant(value=int() | float()) if teaches:
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                yield "a definition"
            case ast.While():
                yield "a while loop"
            case ast.Call(func=ast.Attribute(attr="cuda")):
                yield "a call of .cuda()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in TRAINING_CALLS:
                yield f"a call of .{name}(): training belongs into gcl_core"
            case ast.Call(func=ast.Attribute(attr=name)) if name in WRITING_CALLS:
                yield f"a call of .{name}(): writing belongs into gcl_core"
            case ast.Call(func=ast.Name(id="open" | "get_ipython" | "exec" | "eval" as name)):
                yield f"a call of {name}()"
            case ast.Import(names=names) if any(alias.name.startswith("torch") for alias in names):
                yield "an import of torch: training belongs into gcl_core"
            case ast.ImportFrom(module=str(name)) if name.startswith("torch"):
                yield "an import of torch: training belongs into gcl_core"
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                yield f"the number {value}: it belongs into a profile"
            case ast.Constant(value=str(text)) if is_absolute(text):
                yield f"the absolute path {text!r}"


def is_absolute(text: str) -> bool:
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute() or text.startswith("~")


def checks_promises(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Call) and ast.unparse(node.func) == "promised" for node in ast.walk(tree))


def names_in(tree: ast.Module) -> Iterator[str]:
    """Yield the names that plain assignments give values to."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert list(faults(notebook, teaches=path.stem in TEACHING)) == []
    assert re.fullmatch(r"\d\db?_[a-z0-9_]+", path.stem)


def test_notebooks_stand_in_reading_order() -> None:
    names = [path.stem.partition("_")[0] for path in NOTEBOOKS]
    assert names == [*(f"{number:02}" for number in range(4)), "03b", *(f"{number:02}" for number in range(4, 14))]


def test_notebooks_are_linted_and_formatted(repository: Path) -> None:
    for words in (["check"], ["format", "--check"]):
        answer = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "notebooks"], cwd=repository, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stdout


@pytest.fixture(scope="module")
def passed(repository: Path) -> dict[str, list[set[str]]]:
    """What the DAG really passes: notebook → the parameter names of each of its jobs."""
    command = [sys.executable, "-m", "snakemake", "--config", "profile=smoke", "overrides=profile=rules_test seeds=2"]
    options = ["--cores", "1", "--dry-run", "--printshellcmds", "--nolock", "--forceall"]
    answer = subprocess.run([*command, *options], cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    jobs: dict[str, list[set[str]]] = {}
    for line in re.findall(r"bash scripts/step\.sh (.*)$", answer.stdout + answer.stderr, re.MULTILINE):
        words = shlex.split(line)
        names = {words[i + 1] for i, word in enumerate(words) if word in ("-p", "-r")}
        jobs.setdefault(Path(words[1]).stem, []).append(names)  # the first is the interpreter
    return jobs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_dag_passes_the_parameters_that_the_notebook_has(path: Path, passed: dict[str, list[set[str]]]) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    expected = set(names_in(ast.parse(cells[0].source)))
    assert passed[path.stem] == [expected] * len(passed[path.stem])


def test_dag_runs_every_notebook_as_often_as_it_should(passed: dict[str, list[set[str]]]) -> None:
    counts = {name: len(jobs) for name, jobs in sorted(passed.items())}
    seeds, variants = 2, 6
    assert counts == {
        "00_data_preparation": 1,
        "01_baseline": seeds,
        "02_clustering_analysis": 1,
        "03_generator_warm_up": seeds,
        "03b_method_on_eight_pictures": 1,
        "04_joint_training": seeds * variants,
        "05_fid_per_view": 1,
        "06_cluster_count_curves": 1,
        "07_ablations": 1,
        "08_generated_views": 1,
        "09_three_datasets": 1,
        "10_error_analysis": 1,
        "11_claims": 1,
        "12_novel_view_dataset": 1,
        "13_views_over_the_surface": 1,
    }


def good_notebook() -> Any:
    new = nbformat.v4
    return new.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[
            new.new_markdown_cell("# 00 · Title\n\n**Question.** Why?"),
            new.new_code_cell('profile = "mini"\noverrides = ""', metadata={"tags": ["parameters"]}),
            new.new_code_cell("study = load_study(profile, overrides)"),
            new.new_code_cell('print(promised(layout.figures, "table.*"))'),
        ],
    )


def test_rules_let_a_good_notebook_pass() -> None:
    assert list(faults(good_notebook())) == []


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("def f():\n    pass", "definition"),
        ("class A:\n    pass", "definition"),
        ("f = lambda x: x", "definition"),
        ("while True:\n    break", "while"),
        ("loss.backward()", "backward"),
        ("optimizer.step()", "step"),
        ("from torch.optim import Adam", "torch"),
        ("import torch", "torch"),
        ("train(layout, lr=1e-3)", "number 0.001"),
        ("train(layout, 64)", "number 64"),
        ("model.cuda()", "cuda"),
        ("!ls", "magic"),
        ("x = study\n%time x", "magic"),
        ("get_ipython()", "get_ipython"),
        ('read("/data/market")', "absolute"),
        ('read("~/market")', "absolute"),
        ('read("C:\\\\market")', "absolute"),
        ('frame.to_csv("x.csv")', "to_csv"),
        ('open("x.csv")', "open"),
    ],
)
def test_rules_find_a_bad_cell(cell: str, word: str) -> None:
    notebook = good_notebook()
    notebook.cells[2].source = cell
    found = list(faults(notebook))
    assert len(found) == 1
    assert word in found[0]


@pytest.mark.parametrize(
    "cell", ["def f():\n    return 1", "loss.backward()", "import torch", "from torch.nn.functional import normalize"]
)
def test_a_teaching_notebook_may_take_a_step_by_hand(cell: str) -> None:
    notebook = good_notebook()
    notebook.cells[2].source = cell
    notebook.cells[3] = nbformat.v4.new_markdown_cell("## Exercises\n\n1. Change one cell.")
    assert list(faults(notebook, teaches=True)) == []
    assert len(list(faults(notebook))) >= 2


@pytest.mark.parametrize(
    "cell", ["class A:\n    pass", "while True:\n    break", "frame.to_csv('x.csv')", "model.cuda()", "open('x')"]
)
def test_a_teaching_notebook_keeps_the_other_rules(cell: str) -> None:
    notebook = good_notebook()
    notebook.cells[2].source = cell
    found = list(faults(notebook, teaches=True))
    assert len(found) == 2  # and no exercises
    assert "exercises" in found[1]


def test_rules_find_saved_outputs_and_wrong_marks() -> None:
    notebook = good_notebook()
    notebook.cells[2].execution_count = 3
    assert "saved" in " ".join(faults(notebook))
    notebook = good_notebook()
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="hello")]
    assert "saved" in " ".join(faults(notebook))
    notebook = good_notebook()
    notebook.cells[2].metadata["tags"] = ["parameters"]
    assert "2 cells are tagged" in " ".join(faults(notebook))
    notebook = good_notebook()
    notebook.cells[1].source += "\nseeds = [0, 1]"
    assert "more than plain values" in " ".join(faults(notebook))
    notebook = good_notebook()
    notebook.cells[1].source = 'profile = "mini"'
    assert "no parameter" in " ".join(faults(notebook))
    notebook = good_notebook()
    notebook.cells.pop()
    assert "promised" in " ".join(faults(notebook))
