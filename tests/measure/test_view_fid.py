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
from gcl_core.evaluation.frechet import frechet_distance
from gcl_core.evaluation.moments import gaussian_statistics
from gcl_core.files import read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure import view_fid as module
from gcl_core.measure.view_fid import (
    chosen_rows,
    fid_encodings,
    kept_fid,
    real_floor,
    study_fid,
    todays_fid,
    view_fid,
    whole_chunks,
)
from gcl_core.mesh.projection import YAWS
from gcl_core.models.weights import build_encoder, build_generator, save_weights
from gcl_core.seeding import numpy_rng

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
        means = pictures.double().mean(dim=(2, 3)).numpy() / 255 + np.arange(len(pictures))[:, None] % 2 / 100
        return means.astype(np.float32)

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


@pytest.mark.parametrize("stop", ["draw", "measure"])
def test_a_measurement_broken_off_within_an_angle_computes_no_finished_chunk_again(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch, stop: str
):
    monkeypatch.setattr(module, "CHUNK", 1)  # four chunks an angle
    whole = view_fid(layout, people, "gcl", 0)
    written = (run / "fid.json").read_bytes()
    assert len(calls) == 4 * len(YAWS)
    assert list(run.glob("inception_*")) == []
    (run / "fid.json").unlink()

    passes: list[int] = []
    draw, features = module.draw_views, module.inception_features

    def break_drawing(*args: Any, **options: Any) -> np.ndarray:
        if stop == "draw" and len(calls) == 4 + 2:  # in the second angle, after two chunks
            raise KeyboardInterrupt
        return draw(*args, **options)

    def break_measuring(*args: Any, **options: Any) -> np.ndarray:
        if stop == "measure" and len(passes) == 2 * 4 + 2 * 2 + 1:  # PNG of the third chunk is done, JPEG is not
            raise KeyboardInterrupt
        passes.append(1)
        return features(*args, **options)

    del calls[:]
    real = list(layout.store.glob("inception_train_*.npy"))
    assert len(real) == 1  # the real side is kept: the passes counted here are of drawn pictures
    monkeypatch.setattr(module, "draw_views", break_drawing)
    monkeypatch.setattr(module, "inception_features", break_measuring)
    with pytest.raises(KeyboardInterrupt):
        view_fid(layout, people, "gcl", 0)
    done = len(passes)
    assert len(list(run.glob("inception_*.npy"))) == done - 2 * 4

    del calls[:]
    stop = "never"
    assert view_fid(layout, people, "gcl", 0) == whole
    assert (run / "fid.json").read_bytes() == written
    assert len(calls) == 4 * len(YAWS) - 4 - 2
    assert len(passes) == 2 * 4 * len(YAWS)
    assert list(run.glob("inception_*")) == []


def test_chunks_of_other_weights_are_not_read_and_go(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    draw = module.draw_views

    def break_off(*args: Any, **options: Any) -> np.ndarray:
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(*args, **options)

    monkeypatch.setattr(module, "CHUNK", 1)
    monkeypatch.setattr(module, "draw_views", break_off)
    with pytest.raises(KeyboardInterrupt):
        view_fid(layout, people, "gcl", 0)
    assert len(list(run.glob("inception_*.npy"))) == 2 * 2
    monkeypatch.setattr(module, "draw_views", draw)
    del calls[:]
    code = build_encoder(layout.study, 0).code_dim
    save_weights(build_generator(layout.study, code, 1), run / "generator.safetensors")
    view_fid(layout, people, "gcl", 0)
    assert len(calls) == 4 * len(YAWS)
    assert list(run.glob("inception_*")) == []


def test_equal_numbers_compare_drawn_pictures_with_as_many_other_real_ones_each_time_the_same(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn
):
    view = view_fid(layout, people, "gcl", 0)["views"]["png"]["90"]
    real = np.load(next(layout.store.glob("inception_train_*.npy")))
    rows = chosen_rows(people, layout.study)
    drawn = np.repeat(people.projections[rows, YAWS.index(90)][..., None], 3, axis=-1)
    features = module.inception_features(torch.nn.Identity(), torch.from_numpy(drawn).permute(0, 3, 1, 2), progress=int)
    some = np.sort(numpy_rng(0, "FID equal N").choice(16, 4, replace=False))
    assert len(set(some.tolist())) == 4
    mine = gaussian_statistics(features)
    assert view["fid"] == pytest.approx(frechet_distance(mine, gaussian_statistics(real)))
    assert view["fid_matched"] == pytest.approx(frechet_distance(mine, gaussian_statistics(real[some])))
    assert view["fid_matched"] != view["fid"]


def test_with_all_pictures_drawn_equal_numbers_change_nothing(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn
):
    every = Layout(load_study("smoke", "evaluation.fid_pictures=null"), root=layout.root)
    views = view_fid(every, people, "gcl", 0)["views"]["png"].values()
    assert all(view["fid_matched"] == view["fid"] for view in views)


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


def test_numbers_of_the_earlier_protocol_are_read_by_others_but_measured_anew_here(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn
):
    result = view_fid(layout, people, "gcl", 0)
    old = {str(yaw): {"fid": 1.5, "kid": 0.0, "kid_std": 0.0} for yaw in YAWS}
    facts = {key: result[key] for key in ("pictures", "reference", "network")}
    write_json(run / "fid.json", {"identity": "of protocol 1", **facts, "views": old})
    assert kept_fid(run) == {**facts, "views": {"png": old}}
    assert view_fid(layout, people, "gcl", 0) == result


def test_a_claim_takes_numbers_of_todays_weights_data_and_pictures_alone_and_needs_no_network(
    layout: Layout, people: PersonSet, run: Path, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    assert todays_fid(layout, people, run) is None
    result = view_fid(layout, people, "gcl", 0)
    monkeypatch.setattr(module, "inception_source", lambda: pytest.fail("asked for the network"))
    assert todays_fid(layout, people, run) == result
    more = Layout(load_study("smoke", "evaluation.fid_pictures=5"), root=layout.root)
    other = PersonSet(people.index, people.pictures, people.projections, fingerprint="others")
    assert todays_fid(more, people, run) is None
    assert todays_fid(layout, other, run) is None
    code = build_encoder(layout.study, 0).code_dim
    save_weights(build_generator(layout.study, code, 1), run / "generator.safetensors")
    assert todays_fid(layout, people, run) is None
    assert kept_fid(run) == result


def test_the_real_floor_compares_disjoint_pictures_and_is_kept(
    layout: Layout, people: PersonSet, calls: Drawn, monkeypatch: pytest.MonkeyPatch
):
    floor = real_floor(layout, people)
    assert (floor["halves"]["pictures"], floor["halves"]["reference"]) == (4, 12)
    assert (floor["gallery"]["pictures"], floor["gallery"]["reference"]) == (4, 16)
    real = np.load(next(layout.store.glob("inception_train_*.npy")))
    one, rest = np.split(real[numpy_rng(0, "FID halves").permutation(16)], [4])
    some = np.sort(numpy_rng(0, "FID equal N").choice(12, 4, replace=False))
    one = gaussian_statistics(one)
    assert floor["halves"]["fid"] == pytest.approx(frechet_distance(one, gaussian_statistics(rest)))
    assert floor["halves"]["fid_matched"] == pytest.approx(frechet_distance(one, gaussian_statistics(rest[some])))
    assert floor["gallery"]["fid_matched"] != floor["gallery"]["fid"]
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
    monkeypatch.setattr(module, "load_person_set", lambda _layout: people)
    monkeypatch.setattr(module, "view_fid", lambda _layout, _people, variant, seed: {"of": (variant, seed)})
    results = study_fid(layout)
    assert {name: [result["of"] for result in seeds] for name, seeds in results.items()} == {
        name: [(name, 0), (name, 1)] for name in layout.study.evaluation.fid_variants
    }


@pytest.mark.parametrize(("batch", "features", "size"), [(64, 1, 512), (64, 64, 512), (48, 64, 576), (700, 64, 11200)])
def test_a_chunk_is_of_whole_batches_of_both_kinds(batch: int, features: int, size: int):
    study, rows = load_study("smoke", [f"evaluation.batch_size={batch}"]), np.arange(12000) * 2
    parts = list(whole_chunks(rows, study, features=features))
    assert {len(part) for part in parts[:-1]} == {size}
    np.testing.assert_array_equal(np.concatenate(parts), rows)
