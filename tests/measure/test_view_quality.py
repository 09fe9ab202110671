"""Quality of drawn views: closed forms for made-up drawings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.layout import Layout
from gcl_core.measure import drawn_people, view_fid
from gcl_core.measure import view_quality as module
from gcl_core.measure.view_quality import (
    quality_rows,
    study_quality,
    view_quality,
    view_quality_reading,
    view_quality_table,
)
from gcl_core.models.weights import build_encoder, build_generator, load_encoder, save_weights

Draw = Callable[[np.ndarray], np.ndarray]


class OriginalAsTruth(Truth):
    """Every true view is the picture itself, a little darker where it is bright, so that an offset cannot clip."""

    pictures: dict[str, np.ndarray]

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return self.pictures[file]


@pytest.fixture
def run(layout: Layout, write_run: Callable[..., Path]) -> None:
    for variant in layout.study.evaluation.fid_variants:
        save_weights(build_encoder(layout.study, 0), write_run(layout, variant, 0, []) / "encoder.safetensors")


@pytest.fixture
def truth(layout: Layout, people: PersonSet) -> Truth:
    known = OriginalAsTruth(layout.root, pd.DataFrame(), 64, 32)
    pictures = dict(zip(people.index["file"], people.pictures // 2, strict=True))
    object.__setattr__(known, "pictures", pictures)
    return known


@pytest.mark.usefixtures("run")
def test_an_offset_of_ten_has_the_psnr_of_ten(
    layout: Layout, people: PersonSet, truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    def artist(_layout: Layout, people: PersonSet, _variant: str, _seed: int) -> Draw:
        return lambda rows: np.repeat(people.pictures[rows][:, None] // 2 + 10, 7, axis=1).astype(np.uint8)

    monkeypatch.setattr(module, "artist", artist)
    lines = view_quality(layout, people, truth, "gcl", 0, "train")
    assert lines["yaw"].tolist() == [45, 90, 135, 180, 225, 270, 315]
    assert lines["psnr"].tolist() == pytest.approx([10 * np.log10(255**2 / 100)] * 7)
    assert min(lines["ssim"]) > 0.9


@pytest.mark.usefixtures("run")
def test_a_drawing_equal_to_its_original_has_distance_zero(
    layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch
):
    def artist(_layout: Layout, people: PersonSet, _variant: str, _seed: int) -> Draw:
        return lambda rows: np.repeat(people.pictures[rows][:, None], 7, axis=1)

    monkeypatch.setattr(module, "artist", artist)
    lines = study_quality(layout, people, None, 0)
    assert lines["distance"].tolist() == pytest.approx([0] * 28, abs=1e-5)
    assert min(lines["distance_others"]) > 0.001
    assert len(set(lines["distance_others"])) == 2  # one encoder here, two splits
    table = view_quality_table(layout.study, lines)
    assert len(table) == 2 * 4  # nothing of what only a truth could tell
    assert "PSNR" not in view_quality_reading(layout.study, lines)


@pytest.mark.usefixtures("run")
def test_views_are_held_chunk_by_chunk_and_the_numbers_are_those_of_all_at_once(
    layout: Layout, people: PersonSet, truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    """Batches of 2 are drawn and 3 pass the encoder: a chunk is of 6 pictures, of which there are 16."""
    evaluation = layout.study.evaluation.model_copy(update={"batch_size": 2, "fid_pictures": None})
    few = Layout(layout.study.model_copy(update={"evaluation": evaluation}), root=layout.root)
    encoder = load_encoder(few.study, few.stage("gcl", 0), torch.device("cpu"))
    save_weights(build_generator(few.study, encoder.code_dim, 0), few.stage("gcl", 0) / "generator.safetensors")
    monkeypatch.setattr(module, "PASS", 3)
    held: list[int] = []
    draw = drawn_people.draw_views

    def watched(*given: Any, **named: Any) -> np.ndarray:
        held.append(len(given[2]))
        return draw(*given, **named)

    monkeypatch.setattr(drawn_people, "draw_views", watched)
    whole = view_quality(few, people, truth, "gcl", 0, "train")
    assert held == [16]
    monkeypatch.setattr(view_fid, "CHUNK", 5)
    chunked = view_quality(few, people, truth, "gcl", 0, "train")
    assert held == [16, 6, 6, 4]
    pd.testing.assert_frame_equal(chunked, whole, check_exact=True)
    assert np.isfinite(whole[["psnr", "ssim", "distance", "distance_true"]].to_numpy()).all()


def test_test_pictures_are_people_with_meshes_and_no_more_than_training_pictures(layout: Layout, people: PersonSet):
    rows = quality_rows(people, layout.study, "test")
    lines = people.index.iloc[rows]
    assert len(rows) == len(quality_rows(people, layout.study, "train")) == 4
    assert (lines["pid"] > 0).all()
    assert set(lines["split"]) <= {"query", "gallery"}


def test_the_table_and_the_reading_hold_the_means(layout: Layout):
    yaws = [45, 90, 135, 180, 225, 270, 315]
    facts = {"variant": "gcl", "split": "train", "pictures": 4, "distance": 0.25, "distance_others": 1.0}
    facts |= {"ssim": 0.5, "distance_true": 0.75}
    lines = pd.DataFrame([{**facts, "yaw": yaw, "psnr": 10.0 + place} for place, yaw in enumerate(yaws)])
    table = view_quality_table(layout.study, lines)
    psnr = table.iloc[0]
    assert (psnr["variant"], psnr["n"], psnr["45°"], psnr["315°"], psnr["mean"]) == ("GCL", 4, 10, 16, 13)
    text = view_quality_reading(layout.study, lines)
    assert "PSNR 13.0 dB and SSIM 0.50" in text
    assert "0.25 of the distance to other people (true views: 0.75)" in text
