"""Six grey pictures in Market-1501's layout, with meshes for training alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gcl_core.config import load_study
from gcl_core.data.index import MARKET_FOLDERS
from gcl_core.data.person_set import PersonSet
from gcl_core.layout import Layout
from gcl_core.mesh.projection import YAWS, projection_folder

PEOPLE = {
    "train": ["0001_c1s1_000001_00.jpg", "0002_c1s1_000006_00.jpg", "0002_c2s1_000002_00.jpg"],
    "query": ["0003_c1s1_000003_00.jpg"],
    "gallery": ["-1_c1s1_000005_00.jpg", "0003_c2s1_000004_00.jpg"],
}


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (40, 90), (value, value, value))


def mesh(value: int, size: tuple[int, int] = (40, 80)) -> Image.Image:
    """Return a box in grey, half as high and wide as the picture, on white."""
    picture = Image.new("L", size, 255)
    picture.paste(value, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    return picture


def write_meshes(layout: Layout, split: str, name: str) -> None:
    for yaw in YAWS:
        path = projection_folder(layout.mesh_root, "train" if split == "train" else "test", yaw) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mesh(20 + yaw // 2).save(path, quality=100)


def train_mesh(layout: Layout, number: int, yaw: int) -> Path:
    return projection_folder(layout.mesh_root, "train", yaw) / PEOPLE["train"][number]


@pytest.fixture
def market(tmp_path: Path) -> Callable[..., Layout]:
    """Make six grey pictures (10 × frame number) in Market's layout, meshes (20 + yaw / 2) for training alone."""
    root = tmp_path / "market"
    size = "picture.height=64 picture.width=32 generator.dilations=[1,2,3]"

    def make(*overrides: str, runs: Path = tmp_path) -> Layout:
        return Layout(load_study("market1501", [f"data_root={root}", *size.split(), *overrides]), root=runs)

    for split, names in PEOPLE.items():
        for name in names:
            path = root / MARKET_FOLDERS[split] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            grey(10 * int(name.split("_")[2])).save(path, quality=100)
            if split == "train":
                write_meshes(make(), split, name)
    return make


def assert_rows_belong_together(people: PersonSet) -> None:
    assert len(people.index) == len(people.pictures) == len(people.projections)
    meshes = people.index["mesh"].tolist()
    for row, file in enumerate(people.index["file"]):
        assert abs(int(people.pictures[row].mean()) - 10 * int(Path(file).name.split("_")[2])) <= 1
        figures = [int(projection[32, 16]) for projection in people.projections[row]]
        assert figures == ([20 + yaw // 2 for yaw in YAWS] if meshes[row] else [0] * 8)
