"""A tiny prepared set of coloured boxes, and a study small enough to train in seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import Study, load_study
from gcl_core.data.index import SPLITS
from gcl_core.data.person_set import ARRAYS, describe_store
from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.seeding import numpy_rng

OVERRIDES = """
people.train_identities=6 baseline.tda.epochs=3 baseline.tda.instance_epochs=1 baseline.threads=1 warm_up.epochs=2
warm_up.threads=1 joint.epochs=2 identity_encoder.width=8 clustering.k1=6 clustering.rho=0.2 clustering.min_samples=2
generator.dim=2 generator.mlp_dim=16 discriminator.dim=4 discriminator.scales=2
"""


def write_boxes(layout: Layout, lacking: Sequence[int]) -> None:
    """Prepare pictures of 6 training and 4 test 'people': two coloured boxes each, seen by two cameras.

    Rows `lacking` have no mesh.
    """
    store, height, width = layout.store, layout.study.picture.height, layout.study.picture.width
    draw = numpy_rng(0, "boxes")
    lines, pictures = [], []
    for pid in range(1, 11):
        colours = draw.integers(0, 255, (2, 3))
        for camid in (1, 2):
            for number in range(3):
                split = "train" if pid <= 6 else "query" if number == 0 else "gallery"
                lines.append((f"{split}/{pid:04d}_c{camid}s1_{number:06d}_00.jpg", pid, camid, split))
                picture = draw.integers(90, 130, (height, width, 3))
                picture[8 : height // 2, 8:-8] = colours[0]
                picture[height // 2 : -8, 8:-8] = colours[1]
                pictures.append(picture)
    index = pd.DataFrame(lines, columns=["file", "pid", "camid", "split"])
    order = np.argsort([SPLITS.index(line[3]) for line in lines], kind="stable")
    store.mkdir(parents=True)
    index.iloc[order].assign(mesh=~np.isin(np.arange(len(lines)), lacking)).to_csv(store / "index.csv", index=False)
    np.save(store / "pictures.npy", np.stack(pictures)[order].astype(np.uint8))
    projections = np.full((len(lines), 8, height, width), 255, dtype=np.uint8)
    for view in range(8):
        projections[:, view, 8:-8, 4 + view : 20 + view] = 160
    projections[list(lacking)] = 0
    np.save(store / "projections.npy", projections)
    describe_store(layout, {}, {name: hash_file(store / name) for name in ARRAYS}, identity="boxes")


@pytest.fixture(scope="session")
def tiny_study() -> Callable[..., Study]:
    """Make a study that trains in seconds, with overrides."""
    return lambda *overrides: load_study("smoke", [*OVERRIDES.split(), *overrides])


@pytest.fixture
def boxes(tmp_path: Path, tiny_study: Callable[..., Study]) -> Callable[..., Layout]:
    """Make a layout whose data are prepared: of the same folder at each call, or of a folder given as `root`.

    Pictures in rows `lacking` have no mesh; at the first call of a folder.
    """

    def make(*overrides: str, root: Path = tmp_path, lacking: Sequence[int] = ()) -> Layout:
        layout = Layout(tiny_study(*overrides), root=root)
        if not layout.store.exists():
            write_boxes(layout, lacking)
        return layout

    return make
