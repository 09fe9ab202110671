"""From folders to a prepared set, and what is said when a picture or mesh is not as it must be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcl_core.config import load_study
from gcl_core.data.index import MARKET_FOLDERS, DataError
from gcl_core.data.person_set import load_person_set
from gcl_core.data.preparation import prepare_data
from gcl_core.mesh.projection import YAWS, projection_folder
from gcl_core.run import Layout

PEOPLE = {"train": ["0001_c1s1_000001_00.jpg", "0002_c2s1_000002_00.jpg"], "query": ["0003_c1s1_000003_00.jpg"]}
PEOPLE["gallery"] = ["-1_c1s1_000005_00.jpg", "0003_c2s1_000004_00.jpg"]


def _grey(value: int, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (40, 90), value if mode == "L" else (value, value, value))


@pytest.fixture
def market(tmp_path: Path) -> Layout:
    """Five grey pictures (10 × frame number) in Market's layout; meshes for training pictures only (1 + yaw / 2)."""
    root = tmp_path / "market"
    for split, names in PEOPLE.items():
        for name in names:
            path = root / MARKET_FOLDERS[split] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _grey(10 * int(name.split("_")[2])).save(path, quality=100)
            for yaw in YAWS if split == "train" else ():
                mesh = projection_folder(root / "meshes", "train", yaw) / name
                mesh.parent.mkdir(parents=True, exist_ok=True)
                _grey(1 + yaw // 2, "L").save(mesh, quality=100)
    small = f"data_root={root} picture.height=64 picture.width=32 generator.dilations=[1,2,3]"
    return Layout(load_study("market1501", small), root=tmp_path)


def test_rows_of_index_pictures_and_meshes_belong_together(market: Layout):
    people = prepare_data(market, workers=2)
    assert people.pictures.shape == (4, 64, 32, 3)
    assert people.projections.shape == (4, 8, 64, 32)
    for row, file in enumerate(people.index["file"]):
        assert abs(int(people.pictures[row].mean()) - 10 * int(Path(file).name.split("_")[2])) <= 1
    train = people.rows("train")
    assert list(people.with_mesh(np.arange(4))) == list(train)
    assert [round(float(people.projections[0, view].mean())) for view in range(8)] == [1 + yaw // 2 for yaw in YAWS]
    assert not people.projections[people.rows("query")].any()


def test_prepared_once_and_again_after_a_change(market: Layout):
    first = prepare_data(market)
    stamp = (market.store / "pictures.npy").stat().st_mtime_ns
    assert prepare_data(market).fingerprint == first.fingerprint
    assert (market.store / "pictures.npy").stat().st_mtime_ns == stamp
    _grey(200).save(market.data_root / "query" / PEOPLE["query"][0])
    changed = prepare_data(market)
    assert changed.fingerprint != first.fingerprint
    assert changed.pictures[changed.rows("query")[0]].mean() > 190


@pytest.mark.parametrize("spoil", [b"", b"no picture at all", "truncate"])
def test_a_broken_picture_is_named_and_nothing_half_made_remains(market: Layout, spoil: bytes | str):
    path = market.data_root / "bounding_box_train" / PEOPLE["train"][1]
    path.write_bytes(path.read_bytes()[:300] if spoil == "truncate" else spoil)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=r"0002_c2s1_000002_00\.jpg cannot be read as a picture"):
        prepare_data(market)
    assert not list(market.store.glob("*"))
    with pytest.raises(DataError, match="holds no prepared data; run notebook 00_data_preparation"):
        load_person_set(market)


def test_a_missing_training_mesh_is_named(market: Layout):
    missing = projection_folder(market.mesh_root, "train", 225) / PEOPLE["train"][0]
    missing.unlink()
    with pytest.raises(DataError, match=r"render_225/0001_c1s1_000001_00\.jpg is missing"):
        prepare_data(market)


def test_a_set_of_another_size_is_refused(market: Layout):
    prepare_data(market)
    larger = Layout(
        market.study.model_copy(update={"picture": load_study("smoke", "picture.height=128").picture}), market.root
    )
    with pytest.raises(DataError, match=r"prepared at \[64, 32\] pixels, the study asks for \[128, 32\]"):
        load_person_set(larger)
