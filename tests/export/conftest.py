"""A prepared set of noise and a finished run of untrained networks: views to export in a moment."""

import os
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.data.person_set import ARRAYS, describe_store
from gcl_core.files import hash_file, write_json
from gcl_core.layout import Layout
from gcl_core.models.weights import build_encoder, build_generator, save_weights
from gcl_core.provenance import code_of_stage
from gcl_core.seeding import numpy_rng

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports datasets

LABELS = [0, 0, -1, 1, 1, 1, -1, 2]  # of the eight training pictures


def write_store(layout: Layout, endings: Sequence[str]) -> None:
    """Prepare two pictures of each of people 3 to 6 for training, of 10 and 11 for testing; row 2 has no mesh.

    Their names end in turn as `endings` say.
    """
    lines = [
        (f"bounding_box_train/{pid:04d}_c{cam}s1_00.jpg", pid, cam, "train") for pid in (3, 4, 5, 6) for cam in (1, 2)
    ]
    lines += [(f"query/{pid:04d}_c1s1_00.jpg", pid, 1, "query") for pid in (10, 11)]
    lines += [(f"bounding_box_test/{pid:04d}_c2s1_00.jpg", pid, 2, "gallery") for pid in (10, 11)]
    lines = [(file.replace("_00.", f"_{ends}."), *more) for (file, *more), ends in zip(lines, cycle(endings))]
    random, height, width = numpy_rng(0, "export"), layout.study.picture.height, layout.study.picture.width
    projections = random.integers(0, 256, (len(lines), 8, height, width), dtype=np.uint8)
    projections[2] = 0
    layout.store.mkdir(parents=True)
    index = pd.DataFrame(lines, columns=["file", "pid", "camid", "split"]).assign(mesh=np.arange(len(lines)) != 2)
    index.to_csv(layout.store / "index.csv", index=False)
    np.save(layout.store / "pictures.npy", random.integers(0, 256, (len(lines), height, width, 3), dtype=np.uint8))
    np.save(layout.store / "projections.npy", projections)
    describe_store(layout, {}, {name: hash_file(layout.store / name) for name in ARRAYS}, identity="export")


def write_networks(layout: Layout, seed: int) -> None:
    """Put networks as they start at a seed into the run of gcl."""
    folder = layout.stage("gcl", 0)
    encoder = build_encoder(layout.study, seed)
    save_weights(encoder, folder / "encoder.safetensors")
    save_weights(build_generator(layout.study, encoder.code_dim, seed), folder / "generator.safetensors")


@pytest.fixture
def study_of() -> Callable[..., Layout]:
    """Make a layout in a folder, with a prepared set and a finished run of gcl; batches of three pictures."""

    def make(root: Path, *overrides: str, endings: Sequence[str] = ("00",)) -> Layout:
        layout = Layout(load_study("smoke", ["evaluation.batch_size=3", *overrides]), root=root)
        write_store(layout, endings)
        folder = layout.stage("gcl", 0)
        settings = {"picture": layout.study.picture.model_dump(mode="json")}
        facts = {"seed": 0, "settings": settings, "inputs": {}, "code": code_of_stage(layout.study, "gcl")}
        write_json(folder / "manifest.json", {**facts, "kept_epoch": 2, "finished": "now"})
        (folder / "labels").mkdir()
        np.save(folder / "labels" / "epoch_001.npy", np.zeros(8, dtype=np.int64))
        np.save(folder / "labels" / "epoch_002.npy", np.array(LABELS))
        write_networks(layout, 0)
        return layout

    return make


@pytest.fixture
def layout(tmp_path: Path, study_of: Callable[..., Layout]) -> Layout:
    """Return a layout of synthetic people with a run that draws."""
    return study_of(tmp_path / "study")
