"""What a result comes from: code, settings, inputs, versions; and whether it is still what they give."""

import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcl_core.config import REPOSITORY, Study
from gcl_core.processor import library_kernels, processor_kind
from gcl_core.settings.common import Names, only
from gcl_core.settings.networks import AnyGeneratorSettings

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "scipy", "pytorch-fid", "anny")
PACKAGE = "gcl_core"
# the DAG compares the settings themselves, so editing the files that describe them re-runs nothing
BY_VALUE = ("gcl_core/config.py", "gcl_core/fidelity.py", "gcl_core/settings/")
# where results are kept and how they are told decides none of them
BOOKKEEPING = {
    *(f"gcl_core/{name}.py" for name in ("__init__", "files", "layout", "provenance", "run_folder")),
    *(f"gcl_core/{name}.py" for name in ("figure_manifest", "machine", "outputs", "processor", "records")),
    "gcl_core/typed_frames.py",
    "gcl_core/losses/names.py",
    "gcl_core/training/journal.py",
}
# what a prepared set holds; a training takes the fingerprint of the set itself as an input
DATA = ("dataset", "data_root", "mesh_root", "picture", "people", "on_bad_picture", "on_missing_mesh")
# what every stage may read and none is decided by: where things are, on what it runs, how it is measured
FREE = (*DATA, "profile", "device", "evaluation")
MEASURING = ("gcl_core.evaluation.accuracy",)  # what trainings record and do not learn from
# what builds a generator or draws by one stands on those that settings can name, though it imports none
BY_NAME = ("gcl_core/models/weights.py", "gcl_core/models/drawing.py")
CONTRAST = ("gcl_core.losses.view_invariant", "gcl_core.models.memory_bank")  # in the step's file, not in the warm-up
DRAWING = ("gcl_core.losses.generative", "gcl_core.models.discriminator")  # in the step's file, not in stage 1
SOURCE = "gcl_core.training.baselines.source"
MERGING = ("gcl_core.surface.merging",)  # of variants with surface views merged within clusters
SURFACE = ("gcl_core.surface.bodies", "gcl_core.surface.stored", *MERGING)  # of those with surface views
METHODS = {  # of stage 1
    "tda": "gcl_core.training.baselines.tda",
    "jvtc": "gcl_core.training.baselines.jvtc.training",
    "cluster_contrast": "gcl_core.training.baselines.cluster_contrast.training",
}


def code_of(*modules: str, apart: Sequence[str] = ()) -> dict[str, str]:
    """Return a short hash of every source file that modules import, directly or not, without comments and docstrings.

    Keys are paths in the repository. Modules named in `apart`, and what only they import, are left out; so are the
    files that describe settings, which are compared by value, and those that only keep results (BOOKKEEPING).
    """
    return dict(_hashes(modules, frozenset(apart), _times()))


def handed(study: Study, decides: Names, besides: Names = frozenset()) -> tuple[Study, dict[str, Any]]:
    """Return the study that a stage is handed, and the settings that its fingerprint is made of: those of `decides`.

    The stage can also read FREE and `besides`, whose effect is known by its inputs; reading any other setting raises
    AttributeError, so that none can decide a result unseen. Names are as in `only`.
    """
    read = {name: True for name in (*FREE, *besides)}
    given = dict(decides) if isinstance(decides, Mapping) else dict.fromkeys(decides, True)
    return only(study, {**given, **read}), only(study, given).model_dump(mode="json")


def code_of_stage(study: Study, stage: str) -> dict[str, str]:
    """Return the code that decides what a stage or variant learns, as its manifest keeps it.

    Measuring is apart: a changed evaluation measures finished runs anew and trains nothing. It counts where the test
    set chooses the epoch to keep (D15). Of the generators, and of the methods of stage 1, only the one at work counts.
    """
    chooses = stage in study.variants and study.of_variant(stage).joint.keep == "best_on_test"
    apart = [*(() if chooses else MEASURING), *(set(_generators()) - {_module_of(type(study.generator))})]
    if stage == "baseline":
        others = [module for name, module in METHODS.items() if name != study.baseline.method]
        source = () if study.source else (SOURCE,)
        return code_of("gcl_core.training.baseline", apart=[*apart, *others, *source, *DRAWING])
    if stage not in study.variants or not study.variants[stage].needs_bodies:
        apart = [*apart, *SURFACE]
    elif study.variants[stage].view == "surface":
        apart = [*apart, *MERGING]
    if stage == "warm_up":
        return code_of("gcl_core.training.warm_up", apart=[*apart, *CONTRAST])
    module = SOURCE if stage == "source" else "gcl_core.training.joint"
    return code_of(module, apart=apart)


def measuring_of(study: Study) -> str:
    """Return the fingerprint of how accuracy is measured: the code, and the definition of average precision (D28)."""
    return fingerprint([code_of(*MEASURING), study.evaluation.average_precision])


def step_code(notebook: Path) -> str:
    """Return the fingerprint of a notebook's code for the DAG: its cells and the files that they stand on."""
    code = {name: _code_hash(REPOSITORY / name) for name in source_files(notebook)}
    return fingerprint([code, [_without_docstrings(ast.parse(cell)) for cell in code_cells(notebook)]])


def fingerprint(value: Any) -> str:
    """Short hash of anything JSON can hold, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def git_revision() -> str:
    """Return the checkout's commit, with `+changes` when files differ from it; `unknown` outside git."""
    command = ["git", "-c", f"safe.directory={REPOSITORY}", "-C", str(REPOSITORY)]  # also where another user owns it
    try:
        commit = subprocess.run(
            [*command, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        code = [*command, "status", "--porcelain", "--untracked-files=no", "--", "gcl_core", "notebooks", "configs"]
        changed = subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def provenance(device: "torch.device") -> dict[str, Any]:
    """Return what a manifest says of code and machine: revision, versions, device, processor, kernels, threads."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES if _installed(package)},
        "device": f"{device.type} ({name})",
        "processor": processor_kind(),
        "kernels": library_kernels(),
        "threads": torch.get_num_threads(),
    }


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def source_files(notebook: Path) -> list[str]:
    """Return the files of gcl_core that a notebook's imports reach, directly or not, sorted.

    Paths are relative to the repository; tables (CSV) beside an imported module count as part of it.
    Raises SyntaxError for a cell or module that is not Python.
    """
    trees = [ast.parse(cell, filename=str(notebook)) for cell in code_cells(notebook)]
    return list(_closure([name for tree in trees for name in _imports(tree)], frozenset()))


def _times() -> tuple[tuple[str, int], ...]:
    """Return every file of the package with its time: as long as none changes, what imports reach stays the same."""
    found, folders = list[tuple[str, int]](), [str(REPOSITORY / PACKAGE)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry.path)
                elif entry.name.endswith((".py", ".csv")):
                    found.append((entry.path, entry.stat().st_mtime_ns))
    return tuple(found)


@functools.cache
def _hashes(modules: tuple[str, ...], apart: frozenset[str], _state: tuple[tuple[str, int], ...]) -> dict[str, str]:
    return {name: _code_hash(REPOSITORY / name) for name in _closure(modules, apart) if name not in BOOKKEEPING}


def _closure(modules: Sequence[str], apart: frozenset[str]) -> tuple[str, ...]:
    waiting, found = [name for module in modules for name in _packages_of(module)], set[Path]()
    met = set(apart)
    while waiting:
        name = waiting.pop()
        if name in met:
            continue
        met.add(name)
        path = _module(name)
        if path is None:
            continue
        found |= {path, *path.parent.glob("*.csv")}
        if not path.relative_to(REPOSITORY).as_posix().startswith(BY_VALUE):
            waiting += _known(path, path.stat().st_mtime_ns)[0]
        if path.relative_to(REPOSITORY).as_posix() in BY_NAME:
            waiting += [package for module in _generators() for package in _packages_of(module)]
    names = {path.relative_to(REPOSITORY).as_posix() for path in found}
    return tuple(sorted(name for name in names if not name.startswith(BY_VALUE)))


def _generators() -> list[str]:
    return [_module_of(kind) for kind in AnyGeneratorSettings.__subclasses__()]


def _module_of(kind: type[AnyGeneratorSettings]) -> str:
    return kind.network.rpartition(".")[0]


def _code_hash(path: Path) -> str:
    return _known(path, path.stat().st_mtime_ns)[1]


@functools.cache
def _known(path: Path, _time: int) -> tuple[tuple[str, ...], str]:
    """Return what a file imports and the hash of its code."""
    text, imported = path.read_text(encoding="utf-8"), ()
    if path.suffix == ".py":
        tree = ast.parse(text, filename=str(path))
        imported, text = tuple(_imports(tree)), _without_docstrings(tree)
    return imported, hashlib.sha256(text.encode()).hexdigest()[:12]


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield a module and all statements in it, but none of their expressions, which are most of a tree."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, field, ())


def _without_docstrings(tree: ast.Module) -> str:
    """Return a module's code in one spelling, the same in every version of Python: no comments, docstrings, layout."""
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return _spelled(tree)


def _spelled(part: Any) -> str:
    """Return a part of a syntax tree as text. `ast.unparse` and `ast.dump` write differently in other Pythons."""
    if isinstance(part, ast.JoinedStr):  # at the end of some f-strings Python 3.12 puts an empty text
        part.values = [each for each in part.values if not (isinstance(each, ast.Constant) and each.value == "")]
    if isinstance(part, ast.AST):
        fields = [(name, getattr(part, name, None)) for name in part._fields]
        told = [f"{name}={_spelled(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(part).__name__}({','.join(told)})"
    if isinstance(part, list):
        return f"[{','.join(map(_spelled, part))}]"
    return ascii(part)


def code_cells(notebook: Path) -> list[str]:
    """Return the source of a notebook's code cells, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield every dotted name of gcl_core that a tree may import; `from a import b` may mean the module a.b."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            yield from _packages_of(name)


def _packages_of(name: str) -> list[str]:
    """Return a dotted name of gcl_core and the packages that it lies in; nothing for names of others."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)] if parts[0] == PACKAGE else []


def _module(name: str) -> Path | None:
    path = REPOSITORY.joinpath(*name.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)
