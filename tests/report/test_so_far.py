"""Claims of an unfinished study: variants that have finished on every seed, and no others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gcl_core.cli import main
from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.figures.redraw import not_redrawn, redraw
from gcl_core.files import RunError, write_text
from gcl_core.layout import Layout
from gcl_core.measure import collected, protocols
from gcl_core.models.weights import build_encoder, build_generator, save_weights
from gcl_core.records import read_record
from gcl_core.report.so_far import claims_so_far, finished_variants
from gcl_core.tables.formats import read_table

Write = Callable[..., None]
VARIANTS = (
    *("variants.gcl.view=drawn", "variants.tda.view=augmented", "variants.copy.view=copied", "variants.copy.repeats=2"),
    "variants.surface.view=surface",
    *("variants.copy.changes={joint.epochs: 3}", "variants.copy.purpose=control"),
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    words = ["seeds=2", "evaluation.fid_variants=[gcl]", *VARIANTS]
    return Layout(load_study("smoke", words), root=tmp_path)


@pytest.fixture
def write(
    layout: Layout,
    people: PersonSet,
    write_run: Callable[..., Path],
    variant_lines: Callable[..., list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> Write:
    """Write a made-up run of a stage; people and their views are made up too."""
    monkeypatch.setattr(collected, "load_person_set", lambda _: people)
    monkeypatch.setattr(collected, "load_truth", lambda _: None)

    def write(stage: str, seed: int, repeat: int = 0, *, finished: bool = True) -> None:
        lines = variant_lines([5, 3 + seed], [0.1, 0.2, 0.3 + seed / 10])
        run = write_run(layout, stage, seed, lines, repeat, finished=finished)
        encoder = build_encoder(layout.study, seed + repeat)
        save_weights(encoder, run / "encoder.safetensors")
        if stage == "gcl":
            save_weights(build_generator(layout.study, encoder.code_dim, seed), run / "generator.safetensors")

    for seed in (0, 1):
        write("baseline", seed)
    return write


def test_only_variants_that_have_finished_on_every_seed_are_shown(layout: Layout, write: Write) -> None:
    for seed in (0, 1):
        write("tda", seed)
        write("copy", seed)
        write("copy", seed, 1)
    write("surface", 0)
    write("gcl", 0)
    write("gcl", 1, finished=False)
    assert claims_so_far(layout) == ["tda", "copy"]
    assert not (layout.figures / "figure2_cluster_count.png").exists()  # nothing to compare with
    assert set(read_record(layout.figures, "evidence")["variant"]) == {"tda", "copy"}
    assert set(read_record(layout.figures, "epochs")["stage"]) == {"baseline", "tda", "copy"}
    table = read_table(layout.figures / "claims.csv")
    assert "copy - tda" in set(table["compared"])
    assert not [name for name in table["compared"] if "gcl" in name or "surface" in name]
    assert read_table(layout.figures / "controls.csv")["variant"].tolist()[-2:] == [
        layout.study.variants[name].title for name in ("tda", "copy")
    ]


def test_what_was_made_is_redrawn_from_its_records(layout: Layout, write: Write) -> None:
    for seed in (0, 1):
        write("tda", seed)
        write("copy", seed)
        write("copy", seed, 1)
        write("gcl", seed)
    claims_so_far(layout)
    before = {path.name: path.read_bytes() for kind in ("csv", "png") for path in layout.figures.glob(f"*.{kind}")}
    assert not_redrawn(layout.study, layout.figures) == []
    redraw(layout.study, layout.figures)
    assert {name: (layout.figures / name).read_bytes() for name in before} == before
    assert {"claims.csv", "controls.csv", "figure2_cluster_count.csv", "figure2_cluster_count.png"} <= before.keys()


def test_real_people_are_also_searched_by_three_protocols(
    layout: Layout, people: PersonSet, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "load_person_set", lambda _: people)
    real = replace(layout, study=layout.study.model_copy(update={"dataset": "folder"}))
    for stage in ("tda", "surface"):
        for seed in (0, 1):
            write(stage, seed)
    claims_so_far(layout)
    assert not (layout.figures / "protocols.csv").exists()
    claims_so_far(real)
    table = read_table(layout.figures / "protocols.csv")
    assert table["encoder"].tolist() == [
        "start",
        "baseline",
        *(layout.study.variants[name].title for name in ("tda", "surface")),
    ]
    assert table["mAP, standard"].between(0, 100).all()


def test_a_missing_repeat_is_not_passed_over(layout: Layout, write: Write) -> None:
    for seed in (0, 1):
        write("tda", seed)
        write("copy", seed)
    write("copy", 0, 1)
    assert finished_variants(layout) == ["tda"]


def test_a_study_that_ran_whole_keeps_its_tables(layout: Layout, write: Write) -> None:
    for variant in layout.study.variants:
        for seed in (0, 1):
            for repeat in layout.study.repeats_of(variant):
                write(variant, seed, repeat)
    write_text(layout.runs / "steps" / "11_claims.done", "")
    with pytest.raises(RunError, match=r"profile smoke has run whole: .*nothing there changed"):
        claims_so_far(layout)
    assert not layout.figures.exists()


def test_results_whose_run_is_gone_are_kept(layout: Layout, write: Write) -> None:
    for variant in ("tda", "surface", "gcl"):
        for seed in (0, 1):
            write(variant, seed)
    claims_so_far(layout)
    before = {path: path.read_bytes() for path in layout.figures.rglob("*") if path.is_file()}
    write("surface", 1, finished=False)
    with pytest.raises(RunError, match=r"holds results of surface, and there is no finished run .*nothing there cha"):
        claims_so_far(layout)
    assert {path: path.read_bytes() for path in layout.figures.rglob("*") if path.is_file()} == before


def test_without_the_control_nothing_is_made(layout: Layout, write: Write) -> None:
    for seed in (0, 1):
        write("copy", seed)
        write("copy", seed, 1)
    with pytest.raises(RunError, match=r"finished on all seeds of smoke \(2\): copy; the claims take tda"):
        claims_so_far(layout)
    assert not layout.figures.exists()


def test_the_command_names_what_is_missing(
    layout: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gcl_core.cli.figures.Layout", lambda study: Layout(study, root=layout.root))
    with pytest.raises(SystemExit) as ended:
        main(["so-far", "smoke", "seeds=2"])
    assert ended.value.code == 1
    assert "none; the claims take tda" in capsys.readouterr().err
