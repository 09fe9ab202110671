"""What a study would cost: the numbers of steps are exact, the measured parts are real and add up."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gcl_core.config import ClusteringSettings, Study, load_study
from gcl_core.data.index import DataError
from gcl_core.data.report import PUBLISHED
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.timm_trunk import TimmTrunk
from gcl_core.models.trunks import ResNetTrunk
from gcl_core.models.weights import load_encoder, save_weights
from gcl_core.training.start import start_encoder
from gcl_core.workflow import cost
from gcl_core.workflow.cost import Cost, _cost, measure_costs
from gcl_core.workflow.counts import (
    baseline_epochs,
    clusterings,
    count_pictures,
    drawn_views,
    encoded_pictures,
    extracted_pictures,
    inception_pictures,
    stage_one,
)


def study_of(*overrides: str) -> Study:
    few = ["baseline.tda.epochs=3", "baseline.tda.instance_epochs=1", "identity_encoder.width=8"]
    return load_study("smoke", [*few, *overrides])


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(study_of(), root=tmp_path)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "BUDGET", 0.0)
    monkeypatch.setattr(cost, "CLUSTERED", 60)
    monkeypatch.setattr(cost, "PASSES", 4)


def test_pictures_are_counted_as_they_will_be_made_or_lie_there(layout: Layout, tmp_path: Path):
    people = layout.study.people
    counts = count_pictures(layout)
    assert counts["train"] == people.train_identities * people.pictures_per_identity
    held = counts["query"] + counts["gallery"]
    assert held == people.test_identities * people.pictures_per_identity + people.distractors  # junk is not used
    elsewhere = layout.study.model_copy(update={"dataset": "market1501", "data_root": tmp_path / "nowhere"})
    with pytest.raises(DataError, match="no such folder"):
        count_pictures(Layout(elsewhere, root=tmp_path))


def test_a_study_on_the_cpu_is_not_told_the_memory_of_a_gpu_that_is_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)  # nothing was put there
    assert _cost("work on the CPU", 1, lambda: None).memory > 0


def test_every_kind_of_step_is_counted_by_the_settings(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    """48 pictures: 3 epochs of 3 batches of 16; 2 of 6 of 8; per variant 2 of 6; FID of 8 views."""
    monkeypatch.setattr(cost, "load_inception", lambda device: None)
    monkeypatch.setattr(cost, "inception_features", lambda network, pictures: None)
    study = layout.study
    counts = {"train": 48, "query": 8, "gallery": 20}
    costs = list(measure_costs(layout, counts))
    times = {each.what.partition(":")[0]: each.times for each in costs}
    drawn = [variant for variant in study.variants.values() if variant.view == "drawn"]
    assert times["stage 1, tda"] == 3 * (48 // study.baseline.tda.batch_size)
    assert times["stage 2"] == 2 * (48 // study.warm_up.batch_size)
    assert times["stage 3, a variant that draws"] == 2 * (48 // study.joint.batch_size) * len(drawn)
    assert times["stage 3, a control"] == 2 * (48 // study.joint.batch_size)
    clustered = (3 - study.baseline.tda.instance_epochs) + 2 * len(study.variants)
    assert times["clustering of 48 pictures"] == clustered
    ways = 1 + 7 * 3  # copies, which are the same at every angle; fitted and known bodies, true views
    pictures = 8 * 3 * (len(study.evaluation.fid_variants) + 1) + ways * 3 + 48 + 3
    assert times["FID"] == -(-pictures // 16)
    assert times["measuring"] == -(-encoded_pictures(layout, counts) // cost.PASSES)
    assert times["drawing"] == -(-drawn_views(layout, counts) // 16)
    assert all(each.seconds > 0 for each in costs[:-1])
    assert all(each.memory > 50_000_000 for each in costs)  # a process with torch in it


def test_given_weights_cost_no_training(layout: Layout, tmp_path: Path):
    given = layout.study.model_copy(update={"given_weights": tmp_path})
    costs = measure_costs(replace(layout, study=given), {"train": 32, "query": 8, "gallery": 16})
    assert [cost.what.partition(":")[0] for cost in costs] == ["measuring", "drawing", "FID"]


def test_measuring_is_counted_notebook_by_notebook(tmp_path: Path):
    """Real people, three of 48 training pictures judged; a bound of two trainings; bodies that come with the meshes."""
    words = ["dataset=market1501", f"data_root={tmp_path}", "evaluation.fid_pictures=3", "variants.tda.repeats=2"]
    study = study_of(*words)
    layout, counts = Layout(study, root=tmp_path), {"train": 48, "query": 8, "gallery": 20}
    drawn = [name for name, variant in study.variants.items() if variant.view == "drawn"]
    assert (study.evaluation.fid_variants, set(study.variants) - set(drawn)) == (("gcl", "no_vi"), {"tda"})
    quality = 1 + 1 + 7  # a picture as it is, as one to be drawn, and drawn
    trained = len(drawn) + 2

    def encoded(bodies: int) -> int:
        views = 28 * (1 + 1 + 7 * (1 + bodies)) * 3  # alone, mirrored, drawn and carried; baseline, GCL and control
        own = 8 * 3 * 2 + 28 * (1 + 1 + len(study.variants)) + quality * (3 + 3) * 2
        return own + 28 * (3 + 1) + views + 28 * trained + quality * 3 * len(drawn)

    assert encoded_pictures(layout, counts) == encoded(0)
    assert drawn_views(layout, counts) == 8 * 3 * 2 + 7 * (3 + 3) * 2 + 7 * 28 + 7 * 3 * len(drawn)
    assert inception_pictures(layout, counts) == 8 * 3 * 3 + 3 + 48 + 3
    layout.mesh_root.mkdir(parents=True)
    (layout.mesh_root / "bodies.csv").write_text("bodies")
    assert encoded_pictures(layout, counts) == encoded(1)
    assert inception_pictures(layout, counts) == 8 * 3 * 3 + (1 + 7) * 3 + 48 + 3


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no weights here"), ValueError("is damaged"), RunError("not kept")]
)
def test_without_the_network_of_fid_the_rest_is_estimated(
    error: Exception, layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def absent(device: torch.device) -> None:
        raise error

    monkeypatch.setattr(cost, "load_inception", absent)
    monkeypatch.setattr(cost, "_cost", lambda what, times, run: Cost(what, times, 1.0, 1))
    costs = list(measure_costs(layout, {"train": 48, "query": 8, "gallery": 20}))
    assert costs[-1].what.startswith("drawing")
    assert f"FID is left out of the estimate: {error}" in capsys.readouterr().err


def test_every_kind_of_step_has_the_encoder_of_its_training(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    """In the layout in memory and precision that training's functions give it; ImageNet's weights are not fetched."""
    monkeypatch.setattr(cost, "load_inception", lambda device: None)
    monkeypatch.setattr(cost, "inception_features", lambda network, pictures: None)
    study = study_of("compute.precision=bf16")
    folder, cpu = layout.stage("baseline", 0), torch.device("cpu")
    start, _ = start_encoder(Layout(study, root=layout.root), 0, 0, cpu)
    save_weights(start, folder / "encoder.safetensors")
    expected = {"stage 1, tda": how_it_lies(start)}
    later = how_it_lies(load_encoder(study, folder, cpu))
    expected |= dict.fromkeys(("features", "stage 2", "stage 3, a variant that draws", "stage 3, a control"), later)
    seen: dict[str, set[tuple[tuple[int, ...], bool]]] = {}
    forward, measure = ResNetTrunk.forward, cost._cost

    def watched(trunk: ResNetTrunk, x: torch.Tensor) -> torch.Tensor:
        found = forward(trunk, x)
        seen[at[-1]].add((trunk.layer1[0].conv1.weight.stride(), torch.is_autocast_enabled("cpu")))  # pyright: ignore
        return found

    at: list[str] = []

    def measured(what: str, times: int, run: Callable[[], object]) -> Cost:
        at.append(what.partition(":")[0])
        seen[at[-1]] = set()
        return measure(what, times, run)

    monkeypatch.setattr(ResNetTrunk, "forward", watched)
    monkeypatch.setattr(cost, "_cost", measured)
    weights = study.identity_encoder.model_copy(update={"weights": "imagenet"})
    monkeypatch.setattr("gcl_core.models.weights.load_imagenet", lambda encoder: pytest.fail("weights were fetched"))
    fetching = study.model_copy(update={"identity_encoder": weights})
    list(measure_costs(Layout(fetching, root=layout.root), {"train": 48, "query": 8, "gallery": 20}))
    for what, strides in expected.items():
        assert seen[what] == {(strides, what != "features")}, what


def how_it_lies(encoder: IdentityEncoder) -> tuple[int, ...]:
    """Return the strides of a 3x3 convolution, in which channels last can be told."""
    return encoder.trunk.layer1[0].conv1.weight.stride()  # pyright: ignore


def test_time_of_clustering_grows_with_the_square(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cost, "_cost", lambda what, times, run: Cost(what, times, 2.0, 1))
    monkeypatch.setattr(cost, "load_inception", lambda device: None)
    small, large = (
        next(
            each for each in measure_costs(layout, {"train": n, "query": 1, "gallery": 1}) if "clustering" in each.what
        )
        for n in (60, 600)
    )
    assert (small.seconds, large.seconds) == (2.0, 200.0)
    assert small.total == small.times * 2.0


@pytest.mark.parametrize("words", ["method: kmeans, kmeans_clusters: 100", "method: hdbscan", "k1: 200, k2: 20"])
def test_every_clusterer_is_measured_after_what_it_compiles(words: str, monkeypatch: pytest.MonkeyPatch):
    study, sizes, by = load_study("smoke", [f"clustering={{{words}}}"]), list[int](), cost.cluster_by

    def sized(settings: ClusteringSettings, features: torch.Tensor, people: np.ndarray) -> object:
        sizes.append(len(features))
        return by(settings, features, people)

    monkeypatch.setattr(cost, "cluster_by", sized)
    monkeypatch.setattr(cost, "CLUSTERED", 400)
    cost._clustering(study, 400, 64, torch.device("cpu"))
    assert sizes[0] == 64
    assert set(sizes[1:]) == {400}


def test_more_clusters_than_are_measured_are_no_fault_of_the_settings(monkeypatch: pytest.MonkeyPatch):
    study = load_study("smoke", ["clustering={method: kmeans, kmeans_clusters: 200}"])
    monkeypatch.setattr(cost, "CLUSTERED", 100)
    assert cost._clustering(study, 1000, 64, torch.device("cpu")).what == "clustering of 1000 pictures"


@pytest.mark.parametrize("method", ["tda", "cluster_contrast"])
def test_epochs_in_which_every_picture_is_a_class_of_its_own_cluster_nothing(method: str):
    words = f"baseline.method={method} baseline.{method}.epochs=4 baseline.{method}.instance_epochs="
    counted = [clusterings(load_study("smoke", f"{words}{number}")) for number in (0, 3, 9)]
    assert [each - counted[2] for each in counted] == [4, 1, 0]


@pytest.mark.parametrize(("every", "times"), [("null", 101), ("5", 21), ("7", 16), ("200", 2)])
def test_stage_1_is_evaluated_at_its_start_as_often_as_asked_and_at_its_end(every: str, times: int):
    study = load_study("smoke", f"baseline.method=jvtc evaluation.stage_1_every={every}")
    assert baseline_epochs(study) == times


@pytest.mark.parametrize("profile", list(PUBLISHED))
def test_the_page_of_a_published_set_counts_its_passes_as_the_dry_run_does(profile: str, repository: Path):
    page = (repository / "docs" / "datasets" / f"{profile}.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"\| features: passes of 64 pictures.* \| ([\d,]+) \|", page)
    counts = {split: pictures for split, (pictures, _) in PUBLISHED[profile].items()}
    seen = extracted_pictures(load_study(profile, "data_root=elsewhere"), counts)
    assert told == f"{-(-seen // 64):,}"


@pytest.mark.parametrize("method", ["jvtc", "cluster_contrast"])
def test_steps_of_other_first_stages(method: str, tmp_path: Path):
    study = study_of(
        f"baseline.method={method}",
        "baseline.jvtc.instances=4",
        "baseline.jvtc.copies=2",
        "baseline.cluster_contrast.identities=2",
        "baseline.cluster_contrast.instances=2",
    )
    first = next(measure_costs(Layout(study, root=tmp_path), {"train": 48, "query": 8, "gallery": 20}))
    expected = {"jvtc": 100 * 12, "cluster_contrast": 50 * 200}
    assert first.what == f"stage 1, {method}: step"
    assert first.times == expected[method]


def test_jvtcs_dense_distances_are_in_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Labels by looks in epochs 2 and 4, by looks and time in 6 and 8, which clusters twice, and once for JVTC+."""
    words = [f"baseline.jvtc.{word}" for word in ("epochs=9", "global_from=2", "joint_from=6", "relabel_every=2")]
    layout = Layout(study_of("baseline.method=jvtc", "device=cpu", *words), root=tmp_path)
    monkeypatch.setattr(cost, "load_inception", lambda device: None)
    measured: list[str] = []

    def measure(what: str, times: int, run: Callable[[], object]) -> Cost:
        if "dense" in what:
            run()
            measured.append(what)
        return Cost(what, times, 2.0, 1000)

    monkeypatch.setattr(cost, "_cost", measure)
    costs = list(measure_costs(layout, {"train": 600, "query": 120, "gallery": 300}))
    clustering, ranking = (each for each in costs if "dense" in each.what)
    assert measured == [clustering.what, ranking.what]
    assert (clustering.times, ranking.times) == (2 + 2 * 2 + 1, 1)
    assert (clustering.seconds, ranking.seconds) == (2.0 * 10**2, 2.0 * 2 * 5)
    assert clustering.memory == 1000 + 4 * (600**2 - 60**2)
    assert ranking.memory == 1000 + 4 * (120 * 300 - 60 * 60)
    sparse = next(each for each in costs if each.what == "clustering of 600 pictures")
    assert sparse.times == sum(layout.study.of_variant(name).joint.epochs for name in layout.study.variants)


def test_a_source_set_is_counted_first(tmp_path: Path):
    people = ["source.people.train_identities=4", "source.people.pictures_per_identity=8"]
    study = study_of(
        "source.dataset=synthetic", "source.epochs=5", "source.identities=2", "source.instances=2", *people
    )
    first = next(measure_costs(Layout(study, root=tmp_path), {"train": 48, "query": 8, "gallery": 20}))
    assert (first.what, first.times) == ("source set: step", 5 * 8)


def test_an_epoch_of_jvtc_passes_over_the_labelled_source_where_there_is_one(tmp_path: Path):
    people = ["source.people.train_identities=4", "source.people.pictures_per_identity=8"]
    jvtc = ["baseline.method=jvtc", "baseline.jvtc.epochs=3", "baseline.jvtc.instances=4", "baseline.jvtc.copies=2"]
    study = study_of("source.dataset=synthetic", *jvtc, *people)
    assert stage_one(study, 48, 32) == (3 * (32 // (4 * 2)), 2 * 4 * 2)  # as many pictures of the source beside it
    assert stage_one(study, 48) == (3 * (48 // 4), 4 * 2)
    costs = measure_costs(Layout(study, root=tmp_path), {"train": 48, "query": 8, "gallery": 20})
    assert next(each for each in costs if each.what == "stage 1, jvtc: step").times == 3 * 4


def test_a_study_on_a_trunk_of_timm_is_measured_without_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("timm", reason="timm, an optional extra, is not installed")
    monkeypatch.setattr(cost, "load_inception", lambda device: None)
    monkeypatch.setattr(cost, "inception_features", lambda network, pictures: None)
    monkeypatch.setattr(TimmTrunk, "load", lambda trunk, weights: pytest.fail("weights were fetched"))
    passed: list[str] = []
    forward = TimmTrunk.forward
    monkeypatch.setattr(
        TimmTrunk, "forward", lambda trunk, x: passed.append(trunk.settings["model"]) or forward(trunk, x)
    )
    section = "identity_encoder={kind: timm, model: resnet10t, stride: 16, embedding: null, weights: pretrained}"
    study = load_study("smoke", ["baseline.tda.epochs=3", "baseline.tda.instance_epochs=1", section])
    costs = list(measure_costs(Layout(study, root=tmp_path), {"train": 48, "query": 8, "gallery": 20}))
    assert [each.what.partition(":")[0] for each in costs][:2] == ["stage 1, tda", "features"]
    assert set(passed) == {"resnet10t"}
    assert all(each.seconds > 0 for each in costs[:-1])
