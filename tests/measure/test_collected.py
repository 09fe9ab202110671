"""Evidence from made-up finished runs: closed forms for views, hand-made queries, and what is kept or missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.config import EvaluationSettings, load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.evaluation.queries import Retrieval
from gcl_core.evaluation.ranking import evaluate_ranking
from gcl_core.files import RunError, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure import collected as module
from gcl_core.measure import view_fid, view_quality
from gcl_core.measure.artifacts import where
from gcl_core.measure.collected import collected_evidence, given_psnr, query_precision
from gcl_core.measure.evidence import MAP, Measured
from gcl_core.measure.view_fid import chosen_rows
from gcl_core.mesh.projection import NOVEL
from gcl_core.models.weights import build_encoder, save_weights
from gcl_core.tables.claims import claims_table

VARIANTS = (
    "variants={}",
    *("variants.gcl.view=drawn", "variants.tda.view=augmented", "variants.copy.view=copied"),
    *("variants.once.view=drawn_once", "variants.tda_again.view=copied", "variants.tda_again.augment=true"),
    *("variants.true_views.view=known", "variants.dose_blur_4.view=known", "variants.dose_blur_4.blur=4"),
)
OFFSET_PSNR = 10 * np.log10(255**2 / 100)  # of pictures that differ by 10 throughout


class Darker(Truth):
    """True views are the picture itself at half its brightness, a little brighter from angle to angle."""

    pictures: dict[str, np.ndarray]

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return self.pictures[file] // 2 + np.uint8(yaw // 45)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    words = ["seeds=2", "evaluation.fid_pictures=4", "evaluation.fid_variants=[gcl]", *VARIANTS]
    return Layout(load_study("smoke", words), root=tmp_path)


@pytest.fixture
def truth(layout: Layout, people: PersonSet) -> Truth:
    lines = people.index[["file"]].assign(yaw=0.0)
    known = Darker(layout.root, lines, 64, 32)
    object.__setattr__(known, "pictures", dict(zip(people.index["file"], people.pictures, strict=True)))
    return known


@pytest.fixture
def runs(
    layout: Layout,
    people: PersonSet,
    truth: Truth,
    write_run: Callable[..., Path],
    variant_lines: Callable[..., list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Write finished runs of the baseline and all variants, two seeds; drawn views are 10 above the true ones."""
    for seed in (0, 1):
        write_run(layout, "baseline", seed, [{"epoch": 0, "map": 0.1, "rank1": 0.2, "note": "random start"}])
        for variant in layout.study.variants:
            run = write_run(layout, variant, seed, variant_lines([5, 3 + seed], [0.1, 0.2, 0.3 + seed / 10]))
            save_weights(build_encoder(layout.study, seed), run / "encoder.safetensors")
    monkeypatch.setattr(module, "load_person_set", lambda _: people)
    monkeypatch.setattr(module, "load_truth", lambda _: truth)
    above = {"gcl": 10, "warm_up": 20}

    def artist(_layout: Layout, people: PersonSet, stage: str, _seed: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda rows: np.stack(
            [people.pictures[rows] // 2 + np.uint8(yaw // 45 + above[stage]) for yaw in NOVEL], 1
        )

    for each in (view_quality, module):
        monkeypatch.setattr(each, "artist", artist)


def variants_of(layout: Layout, seed: int = 0) -> dict[str, Measured]:
    return dict(collected_evidence(layout)[seed].variants)


@pytest.mark.usefixtures("runs")
def test_a_distance_that_one_person_alone_leaves_unknown_is_left_blank(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    measured = module.view_quality
    monkeypatch.setattr(module, "view_quality", lambda *given: measured(*given).assign(distance_others=np.nan))
    assert variants_of(layout)["gcl"].distance is None


@pytest.mark.usefixtures("runs")
def test_every_variant_of_every_seed_is_there_with_its_last_epoch(layout: Layout):
    evidence = collected_evidence(layout)
    assert [each.people for each in evidence] == [4, 4]
    assert all(list(each.variants) == list(layout.study.variants) for each in evidence)
    assert [(each.variants["gcl"].clusters_off, each.variants["gcl"].ari) for each in evidence] == [
        (25, 0.03),
        (0, 0.04),
    ]


@pytest.mark.usefixtures("runs")
def test_one_encoder_under_two_names_has_no_effect(layout: Layout):
    table = claims_table(collected_evidence(layout))
    lines = where(table, compared="gcl - tda", metric=MAP)
    assert lines["effect"].tolist() == [0] * len(lines)
    assert lines["seeds"].tolist() == [2] * len(lines)


@pytest.mark.usefixtures("runs")
def test_quality_is_that_of_the_views_a_variant_is_given(layout: Layout, people: PersonSet, truth: Truth):
    found = variants_of(layout)
    assert found["gcl"].psnr == pytest.approx(OFFSET_PSNR)
    assert found["once"].psnr == pytest.approx(OFFSET_PSNR - 20 * np.log10(2))
    assert found["true_views"].psnr == np.inf
    assert found["tda"].psnr is None
    assert found["tda_again"].psnr is None
    rows = module.chosen_rows(people, layout.study)
    files, expected = people.index["file"].iloc[rows].tolist(), {"dose_blur_4": [], "copy": []}
    for yaws in ([yaw] * len(rows) for yaw in NOVEL):
        true = truth.true_views(files, yaws)
        given = {"dose_blur_4": truth.true_views(files, yaws, blur=4), "copy": people.pictures[rows]}
        for variant, views in given.items():
            for row, ours, right in zip(rows, views.astype(float), true.astype(float), strict=True):
                person = people.projections[row, yaws[0] // 45] < 255
                expected[variant].append(10 * np.log10(255**2 / ((ours - right)[person] ** 2).mean()))
    for variant, values in expected.items():
        assert found[variant].psnr == pytest.approx(np.mean(values))


def test_pictures_without_surface_views_have_no_say_in_their_quality(
    tmp_path: Path, people: PersonSet, truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    words = ["evaluation.fid_pictures=4", "evaluation.fid_variants=[gcl]", *VARIANTS, "variants.carried.view=surface"]
    layout = Layout(load_study("smoke", words), root=tmp_path)

    def carried(
        _layout: Layout, _people: PersonSet, rows: np.ndarray, way: str, *, turned: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        assert (way, turned) == ("fitted", True)
        files = people.index["file"].iloc[rows].tolist()
        views = np.stack([truth.true_views(files, [yaw] * len(rows)) for yaw in NOVEL], axis=1) + np.uint8(10)
        views[0] = 0
        return views, np.arange(len(rows)) > 0

    monkeypatch.setattr(module, "carried_views", carried)
    assert given_psnr(layout, people, truth, "carried", 0) == pytest.approx(OFFSET_PSNR)


@pytest.mark.usefixtures("runs")
def test_views_given_are_held_chunk_by_chunk(
    layout: Layout, people: PersonSet, truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    evaluation = layout.study.evaluation.model_copy(update={"batch_size": 1})
    single = Layout(layout.study.model_copy(update={"evaluation": evaluation}), root=layout.root)
    whole, sizes, artist = given_psnr(single, people, truth, "gcl", 0), list[int](), module.artist

    def watched(*given: Any) -> Callable[[np.ndarray], np.ndarray]:
        draw = artist(*given)
        return lambda rows: sizes.append(len(rows)) or draw(rows)

    monkeypatch.setattr(module, "artist", watched)
    monkeypatch.setattr(view_fid, "CHUNK", 3)
    assert given_psnr(single, people, truth, "gcl", 0) == whole
    assert sizes == [3, 1]


@pytest.mark.usefixtures("runs")
def test_distance_is_a_share_of_that_to_others_and_of_drawn_views_alone(layout: Layout, people: PersonSet):
    found = variants_of(layout)
    assert {name for name, each in found.items() if each.distance is not None} == {"gcl"}
    lines = view_quality.view_quality(layout, people, None, "gcl", 0, "train")
    assert found["gcl"].distance == pytest.approx(lines["distance"].mean() / lines["distance_others"].iloc[0])


@pytest.mark.usefixtures("runs")
def test_without_truth_there_is_neither_psnr_nor_a_view_difference(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "load_truth", lambda _: None)
    found = variants_of(layout)
    assert found["gcl"].psnr is None
    assert found["copy"].psnr is None
    assert found["gcl"].queries is not None
    assert list(found["gcl"].queries) == ["pid", "ap", "rank1"]


@pytest.mark.usefixtures("runs")
def test_fid_is_that_of_the_headline_encoding_where_it_was_measured(layout: Layout, people: PersonSet):
    assert variants_of(layout)["gcl"].fid is None
    yaws = (0, *NOVEL)
    views = {
        kind: {str(yaw): {"fid": add + yaw} for yaw in yaws} for kind, add in (("views", 0.5), ("views_jpeg75", 2.5))
    }
    run, facts = layout.stage("gcl", 0), {"pictures": 4, "reference": 16, "network": "made up"}
    (run / "generator.safetensors").write_bytes(b"made up")
    identity = view_fid._identity(people, chosen_rows(people, layout.study), run, facts)
    write_json(run / "fid.json", {"identity": identity, **facts, **views})
    assert variants_of(layout)["gcl"].fid == {yaw: 0.5 + yaw for yaw in NOVEL}
    write_json(run / "fid.json", {"identity": "of others", **facts, **views})
    assert variants_of(layout)["gcl"].fid is None


@pytest.mark.usefixtures("runs")
def test_what_was_measured_is_kept_until_the_weights_change(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    retrieve = module.retrieve
    monkeypatch.setattr(module, "retrieve", lambda *words: asked.append(words) or retrieve(*words))
    first, again = variants_of(layout), variants_of(layout)
    assert len(asked) == layout.study.seeds * len(layout.study.variants)
    for name, each in first.items():
        kept = again[name].queries
        assert each.queries is not None
        assert kept is not None
        pd.testing.assert_frame_equal(each.queries, kept)
        assert (each.psnr, each.distance) == (again[name].psnr, again[name].distance)
    save_weights(build_encoder(layout.study, 7), layout.stage("tda", 0) / "encoder.safetensors")
    variants_of(layout)
    assert len(asked) == layout.study.seeds * len(layout.study.variants) + 1


def test_each_seed_is_measured_on_its_own_people(
    layout: Layout, people: PersonSet, runs: None, monkeypatch: pytest.MonkeyPatch
):
    own = layout.study.people.model_copy(update={"each_seed": True, "seed": 100})
    each_seed = Layout(layout.study.model_copy(update={"people": own}), root=layout.root)
    asked: list[int] = []
    monkeypatch.setattr(module, "load_person_set", lambda at: asked.append(at.study.people.seed) or people)
    assert [each.same_people for each in collected_evidence(each_seed)] == [False, False]
    assert asked == [100, 101]
    assert [each.same_people for each in collected_evidence(layout)] == [True, True]


@pytest.mark.usefixtures("runs")
def test_an_unfinished_run_is_named(layout: Layout, write_run: Callable[..., Path]):
    write_run(layout, "copy", 0, [], finished=False)
    with pytest.raises(RunError, match='variant="copy" and seed=0'):
        collected_evidence(layout)


def test_far_and_near_by_hand():
    # near to far: own camera, right at 60 (near), wrong, right at 60.5 (far), junk, wrong, right at 180 (far)
    gallery = pd.DataFrame({"file": list("abcdefg"), "pid": [5, 5, 6, 5, -1, 6, 5], "camid": [1, 2, 2, 2, 2, 3, 3]})
    queries = pd.DataFrame({"file": ["q", "r", "s"], "pid": [5, 7, 6], "camid": [1, 1, 1]})
    query, shown = torch.zeros(3, 1), torch.arange(1.0, 8.0)[:, None]
    ids = [table[name].to_numpy() for name in ("pid", "camid") for table in (queries, gallery)]
    found = Retrieval(queries, gallery, query, shown, evaluate_ranking(query, shown, *ids), EvaluationSettings())
    yaws = {"q": 10.0, "r": 0, "s": 200, "a": 10, "b": 310, "c": 150, "d": 70.5, "e": 0, "f": 141, "g": 190}
    truth = Truth(Path(), pd.DataFrame({"file": list(yaws), "yaw": list(yaws.values())}), 64, 32)
    table = query_precision(found, truth)
    assert table["pid"].tolist() == [5, 7, 6]
    assert table["rank1"].tolist() == pytest.approx([1, np.nan, 0], nan_ok=True)
    assert table["ap"].tolist() == pytest.approx([(1 + 2 / 3 + 3 / 5) / 3, np.nan, (1 / 3 + 2 / 5) / 2], nan_ok=True)
    assert table["ap_near"].tolist() == pytest.approx([1, np.nan, (1 / 3 + 2 / 5) / 2], nan_ok=True)
    assert table["ap_far"].tolist() == pytest.approx([(1 / 2 + 2 / 4) / 2, np.nan, np.nan], nan_ok=True)


def test_copies_that_are_true_have_infinite_psnr(layout: Layout, people: PersonSet):
    class Same(Truth):
        def true_view(self, file: str, yaw: int) -> np.ndarray:
            return people.pictures[people.index["file"].tolist().index(file)]

    assert given_psnr(layout, people, Same(layout.root, pd.DataFrame(), 64, 32), "copy", 0) == np.inf


@pytest.mark.usefixtures("runs")
def test_repeats_are_averaged_query_by_query_and_views_are_the_first_ones(
    layout: Layout, write_run: Callable[..., Path], variant_lines: Callable[..., list[dict[str, Any]]]
):
    once = variants_of(layout)["gcl"]
    words = ["seeds=2", "evaluation.fid_pictures=4", "evaluation.fid_variants=[gcl]", *VARIANTS]
    several = Layout(load_study("smoke", [*words, "variants.gcl.repeats=2"]), root=layout.root)
    run = write_run(several, "gcl", 0, variant_lines([5, 6], [0.1, 0.2, 0.3]), 1)
    save_weights(build_encoder(layout.study, 5), run / "encoder.safetensors")
    write_run(several, "gcl", 1, variant_lines([5, 6], [0.1, 0.2, 0.3]), 1)
    save_weights(build_encoder(layout.study, 5), several.stage("gcl", 1, 1) / "encoder.safetensors")
    both = variants_of(several)["gcl"]
    assert once.queries is not None
    assert both.queries is not None
    other = pd.DataFrame(read_json(run / module.KEPT)["queries"])
    assert both.queries["ap"].tolist() == pytest.approx(((once.queries["ap"] + other["ap"]) / 2).tolist(), nan_ok=True)
    assert both.queries["pid"].tolist() == once.queries["pid"].tolist()
    assert both.clusters_off == pytest.approx((25 + 50) / 2)  # 3 and 6 clusters of 4 people
    assert (both.psnr, both.distance) == (once.psnr, once.distance)
