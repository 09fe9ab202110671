"""Galleries: who is shown, and every picture at its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.figures.galleries import choose_people, gallery_people, row_psnr, view_gallery
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.drawn_people import draw_people, gallery_splits
from gcl_core.mesh.projection import NOVEL
from gcl_core.models.weights import build_encoder, build_generator, save_weights
from tests.fits import assert_fits

ROWS = np.array([2, 9])


class KnownTruth(Truth):
    """True views that can be recognised: all pixels are the yaw in units of 45 degrees plus a number for the file."""

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return np.full((64, 32, 3), 16 * len(file) % 100 + yaw // 45, dtype=np.uint8)


def canvas(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def occurrences(picture: np.ndarray, within: np.ndarray) -> list[tuple[int, int]]:
    """Return all (top, left) at which a picture stands in a larger one, by trying every place."""
    height, width = picture.shape[:2]
    places = np.argwhere((within[: -height + 1 or None, : -width + 1 or None] == picture[0, 0]).all(axis=-1))
    return [(int(y), int(x)) for y, x in places if (within[y : y + height, x : x + width] == picture).all()]


@pytest.mark.parametrize(("split", "pids"), [("train", {3, 4, 5, 6}), ("test", {10, 11, 12})])
def test_different_people_and_no_distractor_the_same_each_time(people: PersonSet, split: str, pids: set[int]):
    rows = choose_people(people, split, 8)
    assert set(people.index["pid"].to_numpy()[rows]) == pids
    assert len(rows) == len(pids)
    assert rows.tolist() == choose_people(people, split, 8).tolist()
    assert len(choose_people(people, split, 2)) == 2


def test_identity_zero_is_a_person_in_training(people: PersonSet):
    index = people.index.assign(pid=people.index["pid"].replace(3, 0))
    rows = choose_people(replace(people, index=index), "train", 8)
    assert 0 in index["pid"].to_numpy()[rows]


def test_pictures_without_mesh_are_not_shown(people: PersonSet):
    split = people.index["split"]
    some = replace(people, index=people.index.assign(mesh=split != "query"))
    assert set(split.to_numpy()[choose_people(some, "test", 8)]) == {"gallery"}
    none = replace(people, index=people.index.assign(mesh=split == "train"))
    assert gallery_splits(none) == ["train"]
    assert gallery_splits(people) == ["train", "test"]
    with pytest.raises(ValueError, match="no test picture has mesh"):
        choose_people(none, "test", 8)


def test_every_picture_stands_once_at_the_place_of_its_angle(layout: Layout, people: PersonSet):
    drawn = {
        name: np.random.default_rng(seed).integers(0, 250, (2, 7, 64, 32, 3), np.uint8)
        for seed, name in enumerate("ab")
    }
    truth = KnownTruth(layout.root, pd.DataFrame(), 64, 32)
    image = canvas(view_gallery(layout.study, gallery_people(people, ROWS, drawn, truth)))
    meshes = np.repeat(people.projections[ROWS][..., None], 3, axis=-1)
    lefts = [occurrences(mesh, image)[0][1] for mesh in meshes[0]]
    assert lefts == sorted(lefts)
    for place, row in enumerate(ROWS):
        tops = [occurrences(mesh, image) for mesh in meshes[place]]
        assert [place_found[0][1] for place_found in tops] == lefts
        assert len({place_found[0][0] for place_found in tops}) == 1
        originals = occurrences(people.pictures[row], image)
        assert [left for _, left in originals] == [0, 0]
        assert originals[0][0] > tops[0][0][0]
        for (top, _), views in zip(originals, drawn.values(), strict=True):
            assert [occurrences(view, image) for view in views[place]] == [[(top, left)] for left in lefts[1:]]
        true = truth.true_view(str(people.index["file"][row]), 45)
        below = [(top, left) for top, left in occurrences(true, image) if top > originals[1][0]]
        assert lefts[1] in {left for _, left in below}


def test_more_than_two_people_stand_two_abreast(layout: Layout, people: PersonSet):
    rows, drawn = np.array([0, 5, 9]), {"GCL": np.zeros((3, 7, 64, 32, 3), np.uint8)}
    figure = view_gallery(layout.study, gallery_people(people, rows, drawn))
    (first,), (second,), (third,) = (occurrences(people.pictures[row], canvas(figure)) for row in rows)
    assert first[0] == second[0] < third[0]
    assert first[1] == third[1] == 0 < second[1]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("45°") == 2
    assert texts.count("GCL") == 2  # once a row of people


def test_degrees_labels_and_arrows(layout: Layout, people: PersonSet):
    drawn = {"GCL": np.zeros((2, 7, 64, 32, 3), np.uint8)}
    figure = view_gallery(layout.study, gallery_people(people, ROWS, drawn))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:8] == ["0°", "45°", "90°", "135°", "180°", "225°", "270°", "315°"]
    assert texts[8:] == ["mesh", "GCL", "", "mesh", "GCL", ""]


def test_views_are_drawn_with_the_run_own_weights(layout: Layout, people: PersonSet, write_run: Callable[..., Path]):
    encoder = build_encoder(layout.study, 0)
    for stage, seed in (("gcl", 0), ("warm_up", 1)):
        folder = write_run(layout, stage, 0, [])
        save_weights(build_generator(layout.study, encoder.code_dim, seed), folder / "generator.safetensors")
    save_weights(encoder, layout.stage("gcl", 0) / "encoder.safetensors")
    with pytest.raises(RunError, match="01_baseline"):  # the warm-up has no encoder of its own
        draw_people(layout, people, "warm_up", 0, ROWS)
    save_weights(encoder, write_run(layout, "baseline", 0, []) / "encoder.safetensors")
    views: Any = {stage: draw_people(layout, people, stage, 0, ROWS) for stage in ("gcl", "warm_up")}
    assert views["gcl"].shape == (2, 7, 64, 32, 3)
    assert (views["gcl"] != views["warm_up"]).any()


def test_each_drawn_row_tells_its_psnr_on_the_person_where_true_views_are_known(layout: Layout, people: PersonSet):
    truth = KnownTruth(layout.root, pd.DataFrame(), 64, 32)
    files = people.index["file"][ROWS].tolist()
    exact = np.stack([[truth.true_view(file, yaw) for yaw in NOVEL] for file in files])
    gallery = gallery_people(people, ROWS, {"ten off": exact + 10}, truth)
    expected = 20 * np.log10(255 / 10)
    assert row_psnr(gallery[0], "ten off") == pytest.approx(expected)
    assert row_psnr(gallery[0], "mesh") is row_psnr(gallery[0], "true") is None
    assert row_psnr(gallery_people(people, ROWS, {"ten off": exact})[0], "ten off") is None
    figure = view_gallery(layout.study, gallery, quality=True)
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told.count(f"{expected:.1f}\ndB") == len(ROWS)
    assert_fits(figure)
