"""A layout whose runs are made up: small, written in a moment, with known numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.files import write_json, write_text
from gcl_core.layout import Layout
from gcl_core.provenance import code_of_stage
from gcl_core.seeding import numpy_rng, training_draws

Lines = list[dict[str, Any]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a layout of two seeds in a folder of its own."""
    return Layout(load_study("smoke", "seeds=2 evaluation.fid_pictures=4"), root=tmp_path)


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Write a run folder with a manifest and given records; `finished=False` leaves it as if it were still at work."""

    def write(layout: Layout, stage: str, seed: int, lines: Lines, repeat: int = 0, *, finished: bool = True) -> Path:
        folder = layout.stage(stage, seed, repeat)
        settings = {"picture": layout.study.picture.model_dump(mode="json")}
        facts = {"fingerprint": f"{stage}-{seed}", "git_revision": "abc", "settings": settings}
        facts |= {
            "seed": training_draws(layout.study.training_seed, seed, repeat),
            "inputs": {},
            "code": code_of_stage(layout.study, stage),
        }
        write_json(folder / "manifest.json", {**facts, **({"finished": "now"} if finished else {})})
        write_text(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return write


@pytest.fixture
def variant_lines() -> Callable[[list[int], list[float | None]], Lines]:
    """Make records of a variant: `maps` from epoch 0 on, `clusters` from epoch 1 on (ARI a hundredth of them)."""

    def make(clusters: list[int], maps: list[float | None]) -> Lines:
        rest = {"rank5": 1.0, "rank10": 1.0}
        lines: Lines = [{"epoch": 0, "map": maps[0], "rank1": maps[0], **rest, "note": "start"}]
        for epoch, (count, value) in enumerate(zip(clusters, maps[1:], strict=True), start=1):
            facts = {"clusters": count, "outliers": 2, "eps": 0.5, "ari": count / 100, "nmi": 0.5, "purity": 0.9}
            lines.append({"epoch": epoch, **facts, "l_vi_prime": 1.0 / epoch, "map": value, "rank1": value, **rest})
        return lines

    return make


@pytest.fixture
def people() -> PersonSet:
    """Return 4 training people (4 pictures) and 3 test people (2 pictures) by two cameras, one distractor; noise."""
    lines = [(f"train/{pid}_{cam}_{n}", pid, cam, "train") for pid in (3, 4, 5, 6) for cam in (1, 2) for n in (0, 1)]
    lines += [(f"query/{pid}", pid, 1, "query") for pid in (10, 11, 12)]
    lines += [(f"gallery/{pid}", pid, 2, "gallery") for pid in (0, 10, 11, 12)]
    random = numpy_rng(0, "reporting test")
    pictures = random.integers(0, 256, (len(lines), 64, 32, 3), dtype=np.uint8)
    projections = random.integers(1, 256, (len(lines), 8, 64, 32), dtype=np.uint8)
    index = pd.DataFrame(lines, columns=["file", "pid", "camid", "split"]).assign(mesh=True)
    return PersonSet(index, pictures, projections, fingerprint="made up")
