"""The supervised start, from a folder of pictures to the first epoch of stage 1."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from gcl_core.data.index import MARKET_FOLDERS, DataError
from gcl_core.data.source_set import load_source_set, prepare_source, source_layout
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.run_folder import read_metrics
from gcl_core.seeding import numpy_rng
from gcl_core.training import epochs
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines.source import pretrain_on_source
from gcl_core.training.epochs import Epochs
from gcl_core.training.start import start_encoder
from tests.lab import Killed

MakeLayout = Callable[..., Layout]
TEST_PEOPLE = (7, 8)


def write_market(root: Path, people: Sequence[int]) -> None:
    """Write pictures without meshes: two coloured halves a person, three for each of two cameras."""
    draw = numpy_rng(0, "market")
    for pid in (*people, *TEST_PEOPLE):
        halves = draw.integers(0, 255, (2, 1, 1, 3))
        for camid in (1, 2):
            for number in range(3):
                split = "train" if pid in people else "query" if number == 0 else "gallery"
                path = root / MARKET_FOLDERS[split] / f"{pid:04d}_c{camid}s1_{number:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = halves.repeat(32, axis=1).repeat(32, axis=2).reshape(64, 32, 3)
                Image.fromarray((pixels + draw.integers(-20, 20, pixels.shape)).clip(0, 255).astype(np.uint8)).save(
                    path
                )


@pytest.fixture
def from_market(tmp_path: Path, tiny_study: Callable) -> MakeLayout:
    """Make a layout with a source set in Market's layout, not yet prepared; the target set is not prepared either."""

    def make(people: Sequence[int] = (1, 2, 3, 4), root: Path = tmp_path) -> Layout:
        folder = tmp_path / f"market of {len(people)}"
        if not folder.exists():
            write_market(folder, people)
        words = ["source.dataset=market1501", f"source.data_root={folder}", "source.epochs=3"]
        return Layout(tiny_study(*words, "source.identities=3", "source.instances=2"), root=root)

    return make


def test_a_source_needs_neither_meshes_nor_the_target(from_market: MakeLayout):
    """Its set is prepared without projections, and none of the target's pictures or labels is there to be read."""
    layout = from_market()
    prepared = prepare_source(layout)
    assert not prepared.index["mesh"].to_numpy().any()
    assert not prepared.projections.any()
    assert not (source_layout(layout).store / "without_mesh.csv").exists()
    assert not layout.store.exists()
    (source_layout(layout).data_root / "meshes" / "train" / "render").mkdir(parents=True)  # fitted later: no matter
    assert load_source_set(layout).fingerprint == prepare_source(layout).fingerprint == prepared.fingerprint
    lines = read_metrics(pretrain_on_source(layout, 0))
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    assert lines[-1]["loss"] == pytest.approx(lines[-1]["identity"] + lines[-1]["triplet"], abs=1e-5)


def test_seeds_train_side_by_side(from_market: MakeLayout):
    """Another seed may be reading, or a notebook checking, the set: a lock on it is no obstacle."""
    prepare_source(from_market())
    with FileLock(source_layout(from_market()).store / ".lock"):
        first, second = (read_metrics(pretrain_on_source(from_market(), seed)) for seed in (0, 1))
    assert first != second


def test_a_killed_run_records_what_a_whole_one_does(
    from_market: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, broken = from_market(), from_market(root=tmp_path / "broken")
    prepare_source(whole)
    prepare_source(broken)
    lines = read_metrics(pretrain_on_source(whole, 0))
    tell, told = Epochs.tell, []

    def stop(self: Epochs, *given: Any, **inspected: Any) -> None:
        tell(self, *given, **inspected)
        told.append(given)
        if len(told) == 2:
            raise Killed

    monkeypatch.setattr(epochs, "SAVE_AFTER", -1.0)  # keep every step
    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "tell", stop)
        with pytest.raises(Killed):
            pretrain_on_source(broken, 0)
    assert read_metrics(pretrain_on_source(broken, 0)) == lines


def test_what_is_not_there_is_named(from_market: MakeLayout, boxes: MakeLayout):
    with pytest.raises(
        DataError, match=r"source.*no prepared data; run notebook 00_data_preparation with profile 'smo"
    ):
        pretrain_on_source(from_market(), 0)
    with pytest.raises(RunError, match=r"source/seed0/encoder\.safetensors is missing"):
        start_encoder(from_market(), 0, 0, torch.device("cpu"))
    with pytest.raises(DataError, match="no prepared data"):
        train_baseline(boxes("source.dataset=synthetic"), 0)


def test_one_person_alone_is_refused(from_market: MakeLayout):
    layout = from_market(people=[1])
    prepare_source(layout)
    with pytest.raises(DataError, match="has 1 training identity: expected two or more"):
        pretrain_on_source(layout, 0)
    assert not (layout.stage("source", 0) / "encoder.safetensors").exists()


@pytest.mark.parametrize("embedding", [6, None])
def test_the_feature_before_the_neck_is_forwards(embedding: int | None):
    encoder = IdentityEncoder(block="basic", layers=(1, 1, 1, 1), width=4, embedding=embedding).train()
    picture = torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    before, after = encoder.embed(picture), encoder(picture).feature
    expected = (before - before.mean(dim=0)) / (before.var(dim=0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-5)
