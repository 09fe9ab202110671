"""Pictures without a mesh: clustered and remembered like all others, never in a batch."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gcl_core.data.batches import epoch_batches
from gcl_core.data.index import DataError
from gcl_core.data.person_set import load_person_set
from gcl_core.evaluation.features import extract_features
from gcl_core.layout import Layout
from gcl_core.models.weights import build_encoder
from gcl_core.run_folder import read_metrics
from gcl_core.training import epochs, joint, warm_up
from gcl_core.training.baseline import train_baseline
from gcl_core.training.baselines import tda
from gcl_core.training.checkpoint import load_state
from gcl_core.training.joint import train_jointly
from gcl_core.training.warm_up import warm_up_generator

MakeLayout = Callable[..., Layout]
LACKING = (0, 1, 7, 8, 20, 35)
TRAIN = 36


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[np.ndarray]]:
    """Note the batches of all epochs: name of the stage → positions among the pictures it chooses from."""
    batches: dict[str, list[np.ndarray]] = {"tda": [], "warm_up": [], "joint": []}
    for module in (tda, warm_up, joint):

        def noted(rows: np.ndarray, size: int, *, name: str = module.__name__.rpartition(".")[2], **keys: object):
            found = epoch_batches(rows, size, **keys)  # pyright: ignore[reportArgumentType]
            batches[name] += found
            return found

        monkeypatch.setattr(module, "epoch_batches", noted)
    return batches


def run_all(layout: Layout) -> None:
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    for variant in ("gcl", "tda"):
        train_jointly(layout, variant, 0)


def test_no_batch_holds_a_picture_without_a_mesh_but_clusters_do(boxes: MakeLayout, drawn: dict[str, list[np.ndarray]]):
    layout = boxes(lacking=LACKING)
    run_all(layout)
    assert set(LACKING) & set(np.concatenate(drawn["joint"]).tolist()) == set()
    assert set(LACKING) < set(np.concatenate(drawn["tda"]).tolist())
    assert max(np.concatenate(drawn["warm_up"])) == TRAIN - len(LACKING) - 1  # positions among those with a mesh
    lines = read_metrics(layout.stage("warm_up", 0))
    assert [line["trained_on"] for line in lines] == [24, 24]  # three batches of 8 out of 30
    for variant in ("gcl", "tda"):
        folder = layout.stage(variant, 0)
        for line in read_metrics(folder)[1:]:
            labels = np.load(folder / "labels" / f"epoch_{line['epoch']:03d}.npy")
            assert len(labels) == TRAIN
            assert (labels[list(LACKING)] >= 0).any()
            usable = (labels >= 0).sum() - (labels[list(LACKING)] >= 0).sum()
            assert line["trained_on"] == usable // 8 * 8


def test_a_generator_without_two_pictures_to_learn_from_is_refused(boxes: MakeLayout):
    layout = boxes(lacking=range(1, 36))
    train_baseline(layout, 0)
    with pytest.raises(DataError, match="1 of 36 training pictures have projections"):
        warm_up_generator(layout, 0)


def test_with_all_meshes_every_clustered_picture_is_drawn_in_the_order_of_before(
    boxes: MakeLayout, drawn: dict[str, list[np.ndarray]]
):
    layout = boxes()
    run_all(layout)
    expected = []
    for variant in ("gcl", "tda"):
        for epoch in (1, 2):
            labels = np.load(layout.stage(variant, 0) / "labels" / f"epoch_{epoch:03d}.npy")
            clustered = torch.from_numpy(labels >= 0).nonzero().flatten().numpy()
            expected += epoch_batches(clustered, 8, seed=0, purpose="joint order", epoch=epoch)
    assert [batch.tolist() for batch in drawn["joint"]] == [batch.tolist() for batch in expected]
    every = [epoch_batches(np.arange(TRAIN), 8, seed=0, purpose="warm-up order", epoch=epoch) for epoch in (1, 2)]
    assert [batch.tolist() for batch in drawn["warm_up"]] == [batch.tolist() for part in every for batch in part]


@pytest.mark.parametrize("lacking", [(), LACKING])
def test_memory_of_pictures_without_a_mesh_is_as_new_as_the_encoder(
    boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch, lacking: Sequence[int]
):
    """From the second epoch on their rows are the encoder's features of now; all other rows are the running memory."""
    layout = boxes(lacking=lacking)
    train_baseline(layout, 0)
    relabel, seen = joint.relabel, []

    def noted(features: torch.Tensor, *others: object):
        seen.append(features.clone())
        return relabel(features, *others)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(joint, "relabel", noted)
    checkpoints = []
    save = epochs.save_checkpoint
    monkeypatch.setattr(
        epochs,
        "save_checkpoint",
        lambda path, parts, **facts: save(path, parts, **facts) or checkpoints.append(load_state(path)),
    )
    folder = train_jointly(layout, "tda", 0)
    assert read_metrics(folder)[1]["trained_on"] > 0
    people, encoder = load_person_set(layout), build_encoder(layout.study, 0)
    encoder.load_state_dict(load_file(layout.stage("baseline", 0) / "encoder.safetensors"))
    torch.testing.assert_close(seen[0], extract_features(encoder, people.pictures, people.rows("train")))
    encoder.load_state_dict(checkpoints[0]["encoder"])
    now = extract_features(encoder, people.pictures, people.rows("train"))
    expected = checkpoints[0]["bank"]["rows"].clone()
    expected[list(lacking)] = now[list(lacking)]
    torch.testing.assert_close(seen[1], expected)
    assert not torch.allclose(seen[1][list(LACKING)], seen[0][list(LACKING)])


def test_clusters_of_pictures_without_a_mesh_alone_are_recorded(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    layout = boxes(lacking=LACKING)
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    relabel = joint.relabel

    def only_lacking(features: torch.Tensor, *others: object) -> tuple[torch.Tensor, dict]:
        labels, facts = relabel(features, *others)  # pyright: ignore[reportArgumentType]
        labels[:] = -1
        labels[list(LACKING)] = 0
        return labels, {**facts, "clusters": 1}

    monkeypatch.setattr(joint, "relabel", only_lacking)
    last = read_metrics(train_jointly(layout, "gcl", 0))[-1]
    assert last["note"] == "no clustered picture has a mesh: nothing to train on in this epoch"
    assert last["trained_on"] == 0
