"""Views at test time: means of features by hand, pictures without views, and the words of the reading."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.config import load_study
from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.evaluation.accuracy import accuracy_record
from gcl_core.evaluation.ranking import evaluate_ranking
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure import averaged_views as module
from gcl_core.measure.artifacts import where
from gcl_core.measure.averaged_views import (
    averaged_accuracy,
    averaged_reading,
    averaged_stages,
    averaged_table,
    summed_features,
)
from gcl_core.models.weights import build_encoder, build_generator, save_weights

STUDY = load_study("smoke", "seeds=2")
KINDS = ("alone", "mirrored", "true")


class Known(Truth):
    """The true view at each yaw is the picture, turned upside down and darker by the yaw."""

    people_set: PersonSet

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        row = self.people_set.index["file"].tolist().index(file)
        return (self.people_set.pictures[row, ::-1] * (1 - yaw / 720)).astype(np.uint8)


@pytest.fixture
def truth(layout: Layout, people: PersonSet) -> Truth:
    known = Known(layout.root, pd.DataFrame(), 64, 32)
    object.__setattr__(known, "people_set", people)
    return known


@pytest.fixture
def runs(layout: Layout, write_run: Callable[..., Path]) -> None:
    for number, stage in enumerate(averaged_stages(layout.study)):
        save_weights(build_encoder(layout.study, number), write_run(layout, stage, 0, []) / "encoder.safetensors")
    generator = build_generator(layout.study, build_encoder(layout.study, 0).code_dim, 0)
    save_weights(generator, layout.stage("gcl", 0) / "generator.safetensors")


def test_the_encoders_compared_are_those_that_are_trained():
    assert averaged_stages(STUDY) == ["baseline", "gcl", "tda"]
    assert averaged_stages(load_study("mini")) == ["baseline", "gcl", "tda", "surface"]


def test_features_are_summed_picture_by_picture(layout: Layout, people: PersonSet):
    encoder = build_encoder(layout.study, 0).eval()
    views = people.pictures[:6].reshape(2, 3, 64, 32, 3)
    with torch.no_grad():
        for place, own in enumerate(views):
            each = [
                encoder.features(imagenet_normalize(unit_pictures(view[None], torch.device("cpu")))) for view in own
            ]
            expected = sum(feature[0] / feature[0].norm() for feature in each)
            torch.testing.assert_close(summed_features(encoder, views)[place], expected, atol=1e-5, rtol=1e-4)
    assert summed_features(encoder, views[:0]).shape == (0, encoder.feature_dim)


@pytest.mark.usefixtures("runs")
def test_accuracy_is_that_of_the_mean_of_unit_features(layout: Layout, people: PersonSet, truth: Truth):
    lines = averaged_accuracy(layout, people, truth, 0)
    assert set(lines["views"]) == {"alone", "mirrored", "drawn", "true"}  # nothing tells this set's bodies
    query, gallery = people.rows("query"), people.rows("gallery")
    rows = np.concatenate([query, gallery])
    pids, camids = people.index["pid"].to_numpy(), people.index["camid"].to_numpy()
    for number, stage in enumerate(averaged_stages(layout.study)):
        encoder = build_encoder(layout.study, number)
        own = where(lines, stage=stage)
        record = accuracy_record(encoder, people, layout.study.evaluation)
        assert where(own, views="alone")[["map", "rank1"]].iloc[0].tolist() == [record["map"], record["rank1"]]
        seen = [[people.pictures[row], people.pictures[row][:, ::-1]] for row in rows]
        mean = torch.stack([summed_features(encoder, np.stack(each)[None])[0] / 2 for each in seen])
        mean = mean / mean.norm(dim=1, keepdim=True)
        ids = pids[query], pids[gallery], camids[query], camids[gallery]
        expected = evaluate_ranking(mean[: len(query)], mean[len(query) :], *ids).map
        assert where(own, views="mirrored")["map"].iloc[0] == pytest.approx(expected)


@pytest.mark.usefixtures("runs")
def test_pictures_without_views_keep_their_own_feature(
    layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch
):
    def none(rows: np.ndarray):
        return np.zeros((len(rows), 7, 64, 32, 3), dtype=np.uint8), np.zeros(len(rows), dtype=bool)

    monkeypatch.setattr(module, "view_sources", lambda *_: {"true": none})
    lines = averaged_accuracy(layout, people, None, 0)
    alone, without = where(lines, views="alone"), where(lines, views="true")
    assert without["map"].tolist() == pytest.approx(alone["map"].tolist())
    assert without["viewed"].tolist() == [0] * len(without)


def test_an_encoder_that_is_not_there_is_named(layout: Layout, people: PersonSet):
    with pytest.raises(RunError, match=r"01_baseline\.ipynb with seed=0"):
        averaged_accuracy(layout, people, None, 0)


def made_up() -> pd.DataFrame:
    """Return lines of two encoders: mirrored by 1 and 2 points better, true views by 4 and 10, of half the pictures."""
    gains = {"alone": (0, 0), "mirrored": (0.01, 0.02), "true": (0.04, 0.10)}
    return pd.DataFrame(
        [
            {"stage": stage, "views": kind, "viewed": {"true": 0.5}.get(kind, 1.0), "map": start + gain, "rank1": 0.9}
            for kind, each in gains.items()
            for stage, start, gain in zip(("baseline", "gcl"), (0.5, 0.6), each, strict=True)
        ]
    )


def test_the_table_has_a_row_per_encoder_and_measure_and_a_column_per_kind():
    table = averaged_table(STUDY, made_up())
    assert table.columns.tolist() == ["measure", "stage", *KINDS]
    assert table["stage"].tolist() == ["baseline", "GCL"] * 2
    assert table["measure"].tolist() == ["mAP", "mAP", "rank-1", "rank-1"]
    assert table[list(KINDS)].iloc[1].tolist() == pytest.approx([60, 62, 70])
    assert table[list(KINDS)].iloc[2].tolist() == pytest.approx([90, 90, 90])


def test_the_reading_tells_least_mean_and_most():
    text = averaged_reading(STUDY, made_up())
    assert (
        "Averaged with true views (50 % of the pictures have them), mAP changes by +7.0 points in the mean over 2 "
        "encoders: from +4.0 (baseline, 50.0 alone) to +10.0 (GCL, 60.0 alone)."
    ) in text
    assert "with its mirror image, mAP changes by +1.5 points" in text
