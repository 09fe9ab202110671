"""Where views come from: only from what a picture has, and galleries leave the places of others white."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.layout import Layout
from gcl_core.measure import drawn_people
from gcl_core.measure import view_sources as module
from gcl_core.measure.view_sources import shown_views, view_sources
from gcl_core.models.weights import build_encoder, build_generator, save_weights


class Yaws(Truth):
    """True views of one grey each: the yaw in units of 45 degrees."""

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return np.full((64, 32, 3), yaw // 45, dtype=np.uint8)


@pytest.fixture
def run(layout: Layout, write_run: Callable[..., Path]) -> None:
    encoder, folder = build_encoder(layout.study, 0), write_run(layout, "gcl", 0, [])
    save_weights(encoder, folder / "encoder.safetensors")
    save_weights(build_generator(layout.study, encoder.code_dim, 0), folder / "generator.safetensors")


@pytest.mark.usefixtures("run")
def test_only_pictures_with_a_mesh_are_drawn(layout: Layout, people: PersonSet):
    meshes = np.arange(len(people.index)) % 2 == 0
    half = PersonSet(people.index.assign(mesh=meshes), people.pictures, people.projections, people.fingerprint)
    rows = np.concatenate([people.rows("query"), people.rows("gallery")])
    views, there = view_sources(layout, half, None, 0, "test")["drawn"](rows)
    assert views.shape == (7, 7, 64, 32, 3)
    assert there.tolist() == meshes[rows].tolist()
    bare = PersonSet(people.index.assign(mesh=False), people.pictures, people.projections, people.fingerprint)
    assert view_sources(layout, bare, None, 0, "test") == {}


@pytest.mark.usefixtures("run")
def test_networks_are_loaded_once_and_not_before_a_view_is_asked_for(
    layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch
):
    loaded: list[str] = []
    for name in ("load_encoder", "load_generator"):
        load = getattr(drawn_people, name)
        monkeypatch.setattr(drawn_people, name, lambda *given, load=load: loaded.append(load.__name__) or load(*given))
    rows, drawn = people.rows("train")[:8], view_sources(layout, people, None, 0, "train")["drawn"]
    assert loaded == []
    pieces = [drawn(rows[start : start + 4])[0] for start in (0, 4)]
    assert loaded == ["load_encoder", "load_generator"]
    study = layout.study.model_copy(update={"evaluation": layout.study.evaluation.model_copy(update={"batch_size": 4})})
    whole = drawn_people.draw_people(Layout(study, root=layout.root), people, "gcl", 0, rows)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_each_way_is_asked_for_its_own_bodies_and_true_views_stand_in_order(
    layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch
):
    def carried(_layout: Layout, _people: PersonSet, rows: np.ndarray, way: str):
        return np.full((len(rows), 7, 64, 32, 3), len(way), dtype=np.uint8), rows != 2

    monkeypatch.setattr(module, "known_ways", lambda _layout: ["fitted", "known"])
    monkeypatch.setattr(module, "carried_views", carried)
    sources = view_sources(layout, people, Yaws(layout.root, pd.DataFrame(), 64, 32), 0, "train")
    assert list(sources) == ["drawn", "surface, fitted", "surface, known", "true"]
    rows = np.array([5, 2])
    assert [sources[f"surface, {way}"](rows)[0][0, 0, 0, 0, 0] for way in ("fitted", "known")] == [6, 5]
    assert sources["true"](rows)[0][:, :, 0, 0, 0].tolist() == [[1, 2, 3, 4, 5, 6, 7]] * 2
    study = load_study("mini")
    read: list[str] = []

    def kept(_layout: Layout, _people: PersonSet, variant: str, _seed: int):
        read.append(variant)
        return lambda rows: (variant, np.ones(len(rows), dtype=bool))

    monkeypatch.setattr(module, "kept_merger", kept)
    merging = view_sources(Layout(study, root=layout.root), people, None, 0, "train")
    assert list(merging) == ["drawn", "surface, fitted", "surface, known", "surface, merged"]
    assert read == []
    assert [merging["surface, merged"](part)[0] for part in (rows, rows[:1])] == ["surface_cluster"] * 2
    assert read == ["surface_cluster"]  # plan and textures are read once, however many pieces are asked for
    monkeypatch.setattr(module, "known_ways", lambda _layout: [])
    assert "surface, merged" not in view_sources(Layout(study, root=layout.root), people, None, 0, "test")
    del sources["drawn"]
    shown = shown_views(sources, rows, {"surface, fitted": "ours"})
    assert list(shown) == ["ours", "surface, known"]
    assert shown["ours"][1] == [None] * 7
    assert all((view == 6).all() for view in shown["ours"][0] if view is not None)
    assert len(shown["ours"][0]) == 7
