"""Quality of each way of view: closed forms for made-up views, what is kept, table and reading."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.files import read_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure import view_fid
from gcl_core.measure import view_ways as module
from gcl_core.measure.artifacts import numbers, where
from gcl_core.measure.view_fid import chosen_rows
from gcl_core.measure.view_sources import Source
from gcl_core.measure.view_ways import way_quality, way_reading, way_table
from gcl_core.mesh.projection import NOVEL


class Darker(Truth):
    """Every true view is the picture, darker where it is bright, so that an offset cannot clip."""

    pictures: dict[str, np.ndarray]

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return self.pictures[file]


@pytest.fixture
def truth(layout: Layout, people: PersonSet) -> Truth:
    known = Darker(layout.root, pd.DataFrame(), 64, 32)
    object.__setattr__(known, "pictures", dict(zip(people.index["file"], people.pictures // 2, strict=True)))
    return known


@pytest.fixture
def asked(layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand in for the networks and the ways: the surface's views are 10 brighter on the left half of the body.

    Returns how many pictures each pass of the network saw.
    """
    seen: list[int] = []
    people.projections[:] = 255
    people.projections[:, :, :, :16] = 0

    def features(_network: Any, pictures: torch.Tensor, **_: Any) -> np.ndarray:
        seen.append(len(pictures))
        return (pictures.double().mean(dim=(2, 3)).numpy() / 255).astype(np.float32)

    def surface(rows: np.ndarray):
        views = np.repeat((people.pictures[rows] // 2)[:, None], 7, axis=1)
        views[:, :, :, :16] += 10
        return views, rows != chosen_rows(people, layout.study)[1]

    def true(rows: np.ndarray):
        return np.repeat((people.pictures[rows] // 2)[:, None], 7, axis=1), np.ones(len(rows), dtype=bool)

    monkeypatch.setattr(module, "view_sources", lambda *_: {"surface, known": surface, "true": true})
    for each in (module, view_fid):
        monkeypatch.setattr(each, "load_inception", lambda device: torch.nn.Identity(), raising=False)
        monkeypatch.setattr(each, "inception_features", features)
    return seen


def test_an_offset_on_the_person_is_seen_there_and_half_of_it_over_all(
    layout: Layout, people: PersonSet, truth: Truth, asked: list[int]
):
    lines = way_quality(layout, people, truth, 0)
    assert list(dict.fromkeys(lines["way"])) == ["copied", "surface, known", "true"]
    surface = where(lines, way="surface, known")
    assert surface["yaw"].tolist() == list(NOVEL)
    assert surface["pictures"].tolist() == [3] * 7  # one of four has no body
    assert surface["psnr_person"].tolist() == pytest.approx([10 * np.log10(255**2 / 100)] * 7)
    assert surface["psnr"].tolist() == pytest.approx([10 * np.log10(255**2 / 50)] * 7)
    assert 0.5 < surface["ssim"].tolist()[0] < 0.9999
    true = where(lines, way="true")
    assert np.isnan(true[["psnr_person", "psnr", "ssim"]].to_numpy(dtype=np.float64)).all()
    assert np.isfinite(lines["fid"]).all()
    copied = where(lines, way="copied")
    assert len(set(numbers(copied, "fid"))) == 1
    assert numbers(copied, "fid")[0] < numbers(true, "fid")[0]  # whose pictures are darker than all real ones


def test_distances_are_kept_until_data_or_bodies_change(
    layout: Layout, people: PersonSet, truth: Truth, asked: list[int]
):
    first = way_quality(layout, people, truth, 0)
    passes = len(asked)
    assert passes == 1 + 1 + 7 + 7  # all real pictures, copies once, two ways at each angle
    pd.testing.assert_frame_equal(way_quality(layout, people, truth, 0), first)
    assert len(asked) == passes
    assert set(read_json(layout.store / "fid_of_ways.json")["fids"]) == {"copied", "surface, known", "true"}
    other = PersonSet(people.index, people.pictures, people.projections, "changed")
    way_quality(layout, other, truth, 0)
    assert len(asked) == 2 * passes
    write_text(layout.mesh_root / "bodies.csv", "other bodies")  # real pictures are the same
    way_quality(layout, other, truth, 0)
    assert len(asked) == 3 * passes - 1


def test_without_truth_there_are_distances_alone(layout: Layout, people: PersonSet, asked: list[int], tmp_path: Path):
    lines = way_quality(layout, people, None, 0)
    assert set(way_table(lines)["measure"]) == {"FID"}


@pytest.fixture
def sizes(layout: Layout, people: PersonSet, asked: list[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return of how many pictures views are asked for, call by call; `asked` stands in for what makes them."""
    seen: list[int] = []

    def watched(source: Source) -> Source:
        return lambda rows: seen.append(len(rows)) or source(rows)

    ways = {name: watched(each) for name, each in module.view_sources(layout, people, None, 0, "train").items()}
    monkeypatch.setattr(module, "view_sources", lambda *_: dict(ways))
    return seen


def test_views_of_real_people_are_made_for_their_distances_and_then_not_at_all(
    layout: Layout, people: PersonSet, sizes: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "CHUNK", 3)
    first = way_quality(layout, people, None, 0)
    assert sizes == [3, 1, 3, 1]  # two ways beside copies, of four pictures
    assert numbers(where(first, way="surface, known"), "pictures").tolist() == [3] * 7
    assert numbers(where(first, way="true"), "pictures").tolist() == [4] * 7
    pd.testing.assert_frame_equal(way_quality(layout, people, None, 0), first)
    assert len(sizes) == 4  # how many have views is kept with the distances


@pytest.mark.parametrize("chunk", [1, 3])
def test_numbers_do_not_depend_on_how_many_views_are_held(
    layout: Layout, people: PersonSet, truth: Truth, sizes: list[int], chunk: int, monkeypatch: pytest.MonkeyPatch
):
    """A chunk of one picture may have no views at all."""
    evaluation = layout.study.evaluation.model_copy(update={"batch_size": 1})
    single = Layout(layout.study.model_copy(update={"evaluation": evaluation}), root=layout.root)
    whole = way_quality(single, people, truth, 0)
    sizes.clear()
    monkeypatch.setattr(view_fid, "CHUNK", chunk)
    pd.testing.assert_frame_equal(way_quality(single, people, truth, 0), whole, check_exact=True)
    assert sizes == {1: [1, 1, 1, 1], 3: [3, 1]}[chunk]  # true views are not compared with themselves


def test_table_and_reading_hold_the_means():
    lines = [
        {"way": way, "yaw": yaw, "pictures": 4, "psnr_person": start + place, "psnr": start, "ssim": 0.5, "fid": 100.0}
        for way, start in (("copied", 10.0), ("true", np.nan))
        for place, yaw in enumerate(NOVEL)
    ]
    frame = pd.DataFrame(lines)
    frame.loc[frame["way"] == "true", "ssim"] = np.nan
    table = way_table(frame)
    assert table["way"].tolist() == ["copied", "copied", "copied", "copied", "true"]
    line = table.iloc[0]
    assert (line["measure"], line["45°"], line["315°"], line["mean"]) == ("PSNR on the person (dB)", 10, 16, 13)
    text = way_reading(table)
    assert "**copied**: PSNR on the person (dB) 13.0, SSIM 0.50, FID 100." in text
    assert "**true**: FID 100." in text
    assert "*copied* is best at 315° and worst at 45°" in text


class Turning(Darker):
    """Another true view at every angle: the picture, half as bright and rolled by as many columns as the yaw says."""

    def true_view(self, file: str, yaw: int) -> np.ndarray:
        return np.roll(self.pictures[file], yaw // 45, axis=1)


def test_views_of_the_wrong_angle_or_the_wrong_person_are_told_apart(
    layout: Layout, people: PersonSet, truth: Truth, asked: list[int], monkeypatch: pytest.MonkeyPatch
):
    """`asked` stands in for the network of FID. The body is in the left half; on the right nothing counts."""
    turning = Turning(truth.root, truth.people, truth.height, truth.width)
    every = people.index["file"].tolist()
    object.__setattr__(turning, "pictures", dict(zip(every, people.pictures // 2, strict=True)))
    right = np.stack([turning.true_views(every, [yaw] * len(every)) for yaw in NOVEL], axis=1)
    rows = chosen_rows(people, layout.study)
    pids = people.index["pid"].to_numpy()[rows]
    beside = right.copy()
    beside[:, :, :, 16:] = 0
    lacking = np.arange(len(every)) != rows[1]

    def source(views: np.ndarray):
        return lambda chosen: (views[chosen], lacking[chosen])

    swapped = right.copy()
    swapped[rows[[0, 3]]] = right[rows[[3, 0]]]
    ways = {"right": right, "beside": beside, "next angle": np.roll(right, -1, axis=1), "another": swapped}
    monkeypatch.setattr(module, "view_sources", lambda *_: {name: source(each) for name, each in ways.items()})
    lines = way_quality(layout, people, turning, 0)
    found = {name: where(lines, way=name) for name in ways}
    for name in ("right", "beside"):
        assert found[name]["turned"].tolist() == found[name]["recognised"].tolist() == [100] * 7, name
    assert found["next angle"]["turned"].tolist() == [0] * 7
    assert pids[0] != pids[3]
    assert found["another"]["recognised"].tolist() == pytest.approx([100 / 3] * 7)  # the third of these four alone
    assert where(lines, way="copied")["turned"].tolist() == [0] * 7
    table = way_table(lines).set_index(["measure", "way"])
    assert table.loc[("turned as asked (%)", "right"), "mean"] == 100
    assert ("own person nearest (%)", "another") in table.index
