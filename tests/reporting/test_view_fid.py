"""FID per view: which pictures are drawn, what is compared, and when kept numbers are used again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.encoding import jpeg_round_trip
from gcl_core.mesh.projection import YAWS
from gcl_core.models.weights import build_encoder, build_generator, save_weights
from gcl_core.reporting import view_fid as module
from gcl_core.reporting.view_fid import chosen_rows, fid_encodings, kept_fid, real_floor, study_fid, view_fid
from gcl_core.run import Layout, read_json, write_json

Drawn = list[tuple[int, ...]]


@pytest.fixture
def run(layout: Layout, write_run: Callable[..., Path]) -> Path:
    """A finished run with real, tiny weights."""
    folder = write_run(layout, "gcl", 0, [])
    encoder = build_encoder(layout.study, 0)
    save_weights(encoder, folder / "encoder.safetensors")
    save_weights(build_generator(layout.study, encoder.code_dim, 0), folder / "generator.safetensors")
    return folder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Stand in for the two networks: a drawn view is its projection in grey, features are three mean colours.

    Returns the list of what was drawn: the first pixel of each projection.
    """
    drawn: Drawn = []

    def draw(_encoder: Any, _generator: Any, pictures: np.ndarray, projections: np.ndarray, **_: Any) -> np.ndarray:
        assert len(pictures) == len(projections)
        drawn.append(tuple(projections[:, 0, 0, 0].tolist()))
        return np.repeat(projections[..., None], 3, axis=-1)

    def features(_network: Any, pictures: torch.Tensor, *, progress: Any) -> np.ndarray:
        progress(len(pictures))
        return pictures.double().mean(dim=(2, 3)).numpy() / 255 + np.arange(len(pictures))[:, None] % 2 / 100

    monkeypatch.setattr(module, "load_inception", lambda device: torch.nn.Identity())
    monkeypatch.setattr(module, "inception_features", features)
    monkeypatch.setattr(module, "draw_views", draw)
    return drawn


def test_every_angle_is_drawn_from_its_own_projection(layout: Layout, people: PersonSet, run: Path, calls: Drawn):
    result = view_fid(layout, people, "gcl", 0)
    rows = chosen_rows(people, layout.study)
    assert list(result["views"]) == ["png", "jpeg75"]
    assert all(list(views) == [str(yaw) for yaw in YAWS] for views in result["views"].values())
    assert calls == [tuple(people.projections[rows, place, 0, 0].tolist()) for place in range(len(YAWS))]
    assert (result["pictures"], result["reference"]) == (4, 16)


def test_views_that_are_the_real_pictures_have_distance_zero(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    every = Layout(load_study("smoke", "evaluation.fid_pictures=null"), root=layout.root)
    monkeypatch.setattr(module, "draw_views", lambda _e, _g, pictures, _p, **_: pictures[:, None])
    views = view_fid(every, people, "gcl", 0)["views"]
    assert all(view["fid"] < 1e-9 for view in views["png"].values())
    assert all(view["fid"] > 1e-9 for view in views["jpeg75"].values())  # only the drawn side goes through JPEG
    monkeypatch.setattr(module, "draw_views", lambda _e, _g, pictures, _p, **_: 255 - pictures[:, None] // 2)
    (run / "fid.json").unlink()
    assert view_fid(every, people, "gcl", 0)["views"]["png"]["45"]["fid"] > 0.1


def test_a_second_call_costs_nothing_until_weights_or_data_change(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    first = view_fid(layout, people, "gcl", 0)
    del calls[:]
    assert view_fid(layout, people, "gcl", 0) == first
    assert calls == []

    save_weights(
        build_generator(layout.study, build_encoder(layout.study, 0).code_dim, 1), run / "generator.safetensors"
    )
    view_fid(layout, people, "gcl", 0)
    assert len(calls) == len(YAWS)

    del calls[:]
    other = PersonSet(people.index, people.pictures[::-1].copy(), people.projections, fingerprint="others")
    changed = view_fid(layout, other, "gcl", 0)
    assert len(calls) == len(YAWS)
    assert changed["views"]["png"]["45"] != first["views"]["png"]["45"]


def test_a_broken_measurement_goes_on_with_the_next_angle(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    draw = module.draw_views

    def break_off(*args: Any, **options: Any) -> np.ndarray:
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(*args, **options)

    monkeypatch.setattr(module, "draw_views", break_off)
    with pytest.raises(KeyboardInterrupt):
        view_fid(layout, people, "gcl", 0)
    monkeypatch.setattr(module, "draw_views", draw)
    del calls[:]
    result = view_fid(layout, people, "gcl", 0)
    assert len(calls) == len(YAWS) - 3
    (run / "fid.json").unlink()
    assert view_fid(layout, people, "gcl", 0) == result


def test_both_encodings_are_of_one_drawing_and_jpeg_is_pillows(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    seen: list[np.ndarray] = []
    features = module.inception_features

    def look(network: Any, pictures: torch.Tensor, **options: Any) -> np.ndarray:
        seen.append(pictures.permute(0, 2, 3, 1).numpy())
        return features(network, pictures, **options)

    monkeypatch.setattr(module, "inception_features", look)
    view_fid(layout, people, "gcl", 0)
    assert len(calls) == len(YAWS)
    png, jpeg = seen[-2:]
    assert (png == png[..., :1]).all()  # grey, as the stand-in draws
    assert np.array_equal(jpeg, jpeg_round_trip(png))
    assert not np.array_equal(jpeg, png)


def test_numbers_kept_in_png_stay_and_only_jpeg_is_measured_after(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    both = view_fid(layout, people, "gcl", 0)["views"]
    kept = read_json(run / "fid.json")
    marked = {yaw: {**view, "fid": 1.5} for yaw, view in kept["views"].items()}
    write_json(run / "fid.json", {**{k: v for k, v in kept.items() if k != "views_jpeg75"}, "views": marked})
    again = view_fid(layout, people, "gcl", 0)["views"]
    assert again == {"png": marked, "jpeg75": both["jpeg75"]}


def test_the_first_variant_has_both_encodings_others_the_headlines_alone(layout: Layout):
    assert fid_encodings(layout.study, "gcl") == ["png", "jpeg75"]
    assert fid_encodings(layout.study, "no_vi") == ["png"]
    released = load_study("smoke", "fidelity=released")
    assert fid_encodings(released, "gcl") == ["jpeg75", "png"]
    assert fid_encodings(released, "no_vi") == ["jpeg75"]


def test_another_profile_reads_what_is_complete(layout: Layout, people: PersonSet, run: Path, calls: Drawn):
    assert kept_fid(run) is None
    result = view_fid(layout, people, "gcl", 0)
    assert kept_fid(run) == result
    kept = read_json(run / "fid.json")
    del kept["views_jpeg75"]["45"]
    write_json(run / "fid.json", kept)
    assert kept_fid(run) == {**result, "views": {"png": result["views"]["png"]}}
    write_json(run / "fid.json", {**kept, "views": {}})
    assert kept_fid(run) is None


def test_the_real_floor_compares_disjoint_pictures_and_is_kept(
    layout: Layout, people: PersonSet, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    floor = real_floor(layout, people)
    assert (floor["halves"]["pictures"], floor["halves"]["reference"]) == (4, 12)
    assert (floor["gallery"]["pictures"], floor["gallery"]["reference"]) == (4, 16)
    monkeypatch.setattr(module, "load_inception", lambda device: pytest.fail("measured again"))
    assert real_floor(layout, people) == floor


def test_pictures_are_chosen_among_training_pictures_the_same_each_time(layout: Layout, people: PersonSet):
    rows = chosen_rows(people, layout.study)
    assert rows.tolist() == chosen_rows(people, layout.study).tolist()
    assert len(set(rows.tolist())) == 4
    assert set(rows.tolist()) <= set(people.rows("train").tolist())
    every = load_study("smoke", "evaluation.fid_pictures=999")
    assert chosen_rows(people, every).tolist() == people.rows("train").tolist()


def test_all_variants_and_seeds_are_measured(layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "view_fid", lambda _layout, _people, variant, seed: {"of": (variant, seed)})
    results = study_fid(layout, people)
    assert {name: [result["of"] for result in seeds] for name, seeds in results.items()} == {
        name: [(name, 0), (name, 1)] for name in layout.study.evaluation.fid_variants
    }
