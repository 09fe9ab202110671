"""Carried views as a dataset: beside each view where its pixels come from, loaded, verified and described."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from gcl_core.cli import main
from gcl_core.config import ConfigError
from gcl_core.export import write as module
from gcl_core.export.choice import Choice
from gcl_core.export.read import load_views, verify_views
from gcl_core.export.write import export_views
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS
from gcl_core.surface.bodies import Way
from gcl_core.surface.carrier import Carrier
from gcl_core.surface.sources import COLOURS
from gcl_core.surface.views import CarriedViews

BODILESS = 4  # a row whose body is not to be trusted


class MadeUp(Carrier):
    """Carries what tells the row and the yaw, so that a swapped file shows."""

    def __init__(self, *_: object):
        self.carried: list[int] = []

    def with_views(self, rows: np.ndarray) -> np.ndarray:
        return rows[rows != BODILESS]

    def carry(self, row: int | np.integer, yaws: Sequence[int] = YAWS[1:], *, turned: bool = True) -> CarriedViews:
        assert turned
        self.carried.append(int(row))
        views = np.stack([np.full((64, 32, 3), (row, yaw // 45, 9), dtype=np.uint8) for yaw in yaws])
        return CarriedViews(views, np.stack([np.full((64, 32), (row + yaw // 45) % 4, dtype=np.uint8) for yaw in yaws]))


@pytest.fixture(autouse=True)
def carrier(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    made = MadeUp()
    monkeypatch.setattr(module, "Carrier", lambda *_: made)
    return made


CHOICE = Choice(surface="known", yaws=(45, 180))


@pytest.mark.parametrize("naming", ["nv", "market"])
def test_every_view_and_its_sources_lie_where_the_manifest_says(layout: Layout, tmp_path: Path, naming: str):
    choice = Choice(surface="known", yaws=(45, 180), naming=naming)
    folder = export_views(layout, tmp_path / "views", choice)
    views = load_views(folder)
    lines = views.manifest
    assert len(lines) == 2 * 7  # row 2 has a body but no mesh, row 4 no body
    rows = np.repeat([0, 1, 2, 3, 5, 6, 7], 2)
    assert views.pictures(lines)[:, 0, 0, 0].tolist() == rows.tolist()
    assert views.pictures(lines)[:, 0, 0, 1].tolist() == [1, 4] * 7
    assert views.sources(lines)[:, 5, 5].tolist() == ((rows + [1, 4] * 7) % 4).tolist()
    assert lines["bodies"].unique().tolist() == ["known"]
    assert not {"encoder", "generator"} & set(lines)
    assert lines["sources"].tolist()[0] == {"nv": "sources/45/0003_c1s1_00.png"}.get(
        naming, "sources/0003_c1s1_00_nv045.png"
    )
    with Image.open(folder / lines["sources"].tolist()[0]) as picture:
        assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == COLOURS[1].tolist()
    assert verify_views(folder) == 2 * 14 + 5
    (split,) = load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache")).values()
    assert len(split) == 14  # the sources are no views


def test_changed_lost_and_added_sources_are_named(layout: Layout, tmp_path: Path):
    folder = export_views(layout, tmp_path / "views", CHOICE)
    one, other = (folder / f"sources/45/000{pid}_c1s1_00.png" for pid in (3, 4))
    other.write_bytes(one.read_bytes()[:-1])
    one.unlink()
    (folder / "sources" / "more.png").write_bytes(b"")
    with pytest.raises(RunError, match=r"Changed: sources/45/0004.*missing: sources/45/0003.*extra: sources/more"):
        verify_views(folder)


def test_a_lost_file_of_sources_is_made_again_before_the_end(
    layout: Layout, tmp_path: Path, carrier: MadeUp, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "views"
    with monkeypatch.context() as broken:
        broken.setattr(module, "_finish", lambda *_: None)
        broken.setattr(module.shutil, "rmtree", lambda *_, **__: None)
        export_views(layout, folder, CHOICE)
    (folder / "sources/180/0006_c2s1_00.png").unlink()
    carrier.carried.clear()
    export_views(layout, folder, CHOICE)
    assert carrier.carried == [7]  # the last batch alone
    assert verify_views(folder) == 2 * 14 + 5


def test_the_datasheet_tells_bodies_sources_and_the_command(layout: Layout, tmp_path: Path):
    folder = export_views(layout, tmp_path / "views", CHOICE, words="smoke")
    sheet, made_of = (folder / "README.md").read_text(), read_json(folder / "recipe.json")["made_of"]
    assert "- 0: background\n- 1: filled, a guess from what is around it\n- 2: mirrored, " in sheet
    assert "Novel views over the surface of bodies" in sheet
    assert "export-views smoke --surface known --seed 0 --split train --yaw 45 180 --naming nv --out DIR" in sheet
    assert (made_of["variant"], made_of["bodies"], made_of["weights"]) == (None, "known", {})
    with pytest.raises(RunError, match="made of other bodies"):
        export_views(layout, folder, Choice(surface="fitted", yaws=(45, 180)))


def test_no_run_is_needed_and_drawn_views_have_no_sources(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn = load_views(export_views(layout, tmp_path / "drawn", Choice(people=(3,))))
    assert "sources" not in drawn.manifest
    with pytest.raises(RunError, match="have no sources"):
        drawn.sources(drawn.manifest)
    (layout.stage("gcl", 0) / "manifest.json").unlink()
    assert load_views(export_views(layout, tmp_path / "carried", CHOICE)).drawn
    monkeypatch.setattr(MadeUp, "with_views", lambda _self, rows: rows[:0])
    with pytest.raises(ConfigError, match="a body that is to be trusted"):
        export_views(layout, tmp_path / "none", CHOICE)


@pytest.mark.parametrize("way", get_args(Way))
def test_every_kind_of_body_has_its_words(layout: Layout, tmp_path: Path, way: Way):
    export_views(layout, tmp_path / "views", Choice(surface=way, people=(3,)))
    assert "Bodies are " in (tmp_path / "views/README.md").read_text()


def test_the_command_refuses_other_bodies(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["export-views", "smoke", "--surface", "smpl", "--out", "nowhere"])
    assert "invalid choice: 'smpl'" in capsys.readouterr().err
