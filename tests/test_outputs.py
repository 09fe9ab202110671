"""One list names what a study makes; DAG, notebooks, report and guide agree with it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gcl_core.config import load_study
from gcl_core.figures.redraw import PLOTS, READINGS, SUFFICES, TABLES
from gcl_core.measure.published import DATASETS
from gcl_core.outputs import GALLERY, OUTPUTS, THREE_DATASETS, written_by
from gcl_core.provenance import code_cells
from gcl_core.records import RECORDS

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = {path.stem: path for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb"))}


def test_every_output_is_named_once_and_its_notebook_is_there() -> None:
    assert len({(each.kind, each.name) for each in OUTPUTS}) == len(OUTPUTS)
    assert {each.notebook for each in OUTPUTS} <= set(NOTEBOOKS)
    assert {each.name for each in OUTPUTS if each.kind == "record"} == set(RECORDS)
    assert {name for each in OUTPUTS for name in each.records} <= set(RECORDS)


@pytest.mark.parametrize("notebook", sorted({each.notebook for each in OUTPUTS}))
def test_a_notebook_saves_its_outputs_and_checks_them_last(notebook: str) -> None:
    *cells, last = code_cells(NOTEBOOKS[notebook])
    assert f'written_by("{notebook}", study' in last
    called = {"save_table": set[str](), "save_figure": set[str](), "save_record": set[str]()}
    for node in ast.walk(ast.parse("\n".join(cells))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in called:
            called[node.func.id].add(ast.unparse(node.args[2]))
    kinds = {"table": "save_table", "figure": "save_figure", "record": "save_record"}
    text = "\n".join(cells)
    for each in OUTPUTS:
        if each.notebook == notebook:
            assert called[kinds[each.kind]], each
            stem = each.name.removesuffix("_train").removesuffix("_test")
            assert re.search(rf'"{stem}["_]', text), each


def test_the_dag_declares_what_each_notebook_writes() -> None:
    study = load_study("smoke", "profile=outputs_test")
    words = ["--config", "profile=smoke", "overrides=profile=outputs_test", "--cores", "1", "--nolock", "--summary"]
    answer = subprocess.run([sys.executable, "-m", "snakemake", *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    declared: dict[str, set[str]] = {}
    for line in answer.stdout.splitlines():
        file, *more = line.split("\t")
        if file.startswith("figures/outputs_test/"):
            declared.setdefault(more[1], set()).add(file.removeprefix("figures/outputs_test/"))
    assert declared.pop("report") == {"report.html", "how-to-cite.md", GALLERY}
    rules = {notebook[3:]: set(written_by(notebook, study)) for notebook in {each.notebook for each in OUTPUTS}}
    assert declared == {name: files for name, files in rules.items() if files}


def test_the_guide_names_every_output() -> None:
    text = (REPOSITORY / "docs" / "READING.md").read_text(encoding="utf-8")
    for each in OUTPUTS:
        short = "`…_test`" if each.name == "figure3_generated_views_test" else f"`{each.name}`"
        assert short in text, each.name


def test_whatever_is_made_of_records_can_be_redrawn() -> None:
    made = {kind: {each.name for each in OUTPUTS if each.kind == kind and each.records} for kind in ("table", "figure")}
    assert set(TABLES) == made["table"]
    assert made["figure"] <= set(PLOTS)
    assert set(READINGS) <= set(TABLES)
    assert set(SUFFICES) <= set(PLOTS)


def test_seeds_and_other_datasets() -> None:
    study = load_study("smoke")
    assert "view_quality_seed2.md" in written_by("08_generated_views", study, seed=2)
    assert "records/view_quality_seed2.csv" in written_by("08_generated_views", study, seed=2)
    assert "claims.csv" in written_by("11_claims", study, seed=2)
    real = load_study("smoke", ["dataset=market1501", "data_root=nowhere", "profile=real"])
    assert not [name for name in written_by("00_data_preparation", real) if name.startswith("mesh_ways")]


def test_a_study_makes_no_figure_and_no_table_that_could_only_say_not_run() -> None:
    claims = {
        profile: {name.partition(".")[0] for name in written_by("11_claims", load_study(profile))}
        for profile in ("smoke", "mini", "evidence_settings", "people_750")
    }
    assert not {"dose", "sensitivity"} & claims["smoke"]
    assert "dose" not in claims["people_750"]  # without true views nobody knows how good a view is
    assert claims["mini"] >= {"dose", "claims", "controls"}
    assert "sensitivity" not in claims["mini"]
    assert "sensitivity" in claims["evidence_settings"]
    assert written_by("09_three_datasets", load_study("mini")) == []
    assert set(THREE_DATASETS) == set(DATASETS)
    for dataset in THREE_DATASETS:
        study = load_study(dataset, ["data_root=nowhere"])
        assert "accuracy_three_datasets.csv" in written_by("09_three_datasets", study)
        assert "dose.csv" not in written_by("11_claims", study)
