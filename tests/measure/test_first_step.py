"""The first step of joint training, set up for a reader's hands: the pictures and networks that training itself has."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gcl_core.config import load_study
from gcl_core.data.person_set import load_person_set
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.first_step import as_in_the_figure, first_step, shown_step
from gcl_core.training import joint
from gcl_core.training.baseline import train_baseline
from gcl_core.training.checkpoint import Stateful
from gcl_core.training.learners import Learners
from gcl_core.training.step import Batch
from gcl_core.training.warm_up import warm_up_generator
from tests.training.conftest import boxes, tiny_study

__all__ = ["boxes", "tiny_study"]  # fixtures


class StopError(Exception):
    """Training has shown its first step."""


def tensors(part: Stateful) -> list[Tensor]:
    """Return copies of a network's tensors, or of an optimiser's moments."""
    state = part.state_dict()
    kept = state["state"].values() if "param_groups" in state else [state]
    return [value.clone() for each in kept for value in each.values()]


def test_it_is_the_first_step_of_training(boxes: Callable[..., Layout], monkeypatch: pytest.MonkeyPatch) -> None:
    layout = boxes()
    people = load_person_set(layout)
    with pytest.raises(RunError, match="01_baseline"):
        first_step(layout, layout.study, people, 0, pictures=8)
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    seen: list[tuple[Batch, dict[str, list[Tensor]]]] = []

    def shown(learners: Learners, batch: Batch, *_: object, **__: object) -> None:
        assert learners.encoder.training
        seen.append((batch, {name: tensors(part) for name, part in learners.parts().items() if "schedule" not in name}))
        raise StopError

    monkeypatch.setattr(joint, "joint_step", shown)
    with pytest.raises(StopError):
        joint.train_jointly(layout, "gcl", 0)
    (batch, expected), start = seen[0], first_step(layout, layout.study, people, 0, pictures=8)

    for name in ("indices", "x", "mesh", "turned"):
        assert torch.equal(getattr(start.batch, name), getattr(batch, name)), name
    assert all(torch.equal(*each) for each in zip(start.batch.partners, batch.partners, strict=True))
    assert start.rows.tolist() == start.training_rows[batch.indices].tolist()
    learners = start.learners()
    assert learners.encoder.training
    for name, values in expected.items():
        ours = tensors(learners.parts()[name])
        assert len(ours) == len(values)
        assert all(torch.equal(*each) for each in zip(ours, values, strict=True)), name
    assert start.learners().encoder is not learners.encoder


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("clustering.min_samples=500",), "0 of .* training pictures are in a cluster"),
        (
            ("clustering.method=kmeans", "clustering.kmeans_clusters=1"),
            "All .* training pictures are in one cluster, which leaves no negatives",
        ),
    ],
)
def test_where_clusters_leave_no_step_identities_stand_in_and_it_is_said(
    boxes: Callable[..., Layout], words: tuple[str, ...], told: str
) -> None:
    layout = boxes(*words)
    people = load_person_set(layout)
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    start, said = shown_step(layout, layout.study, people, 0, pictures=8)
    assert re.match(told, said)
    assert said.endswith("each person is a cluster here; training has no identities.")
    assert len(start.labels.unique()) == people.index["pid"].iloc[people.rows("train")].nunique()
    assert start.batch.partners.valid.any(dim=1).all()


def test_the_figure_decides_every_switch_of_the_step() -> None:
    released = load_study(
        "smoke",
        ["profile=released", "fidelity=released", "compute.precision=bf16", "joint.bn_real_only=true"],
    )
    made, plain = as_in_the_figure(released), load_study("smoke")
    assert made.contrast == plain.contrast
    others = {name for name, value in made.joint if value != getattr(plain.joint, name)}
    assert others <= {"drawing_schedule", "keep"}  # they decide learning rates and what is kept, not the step
    assert made.losses == plain.losses
    assert made.compute == plain.compute
    assert released.losses.feature_at == "reconstruction"
