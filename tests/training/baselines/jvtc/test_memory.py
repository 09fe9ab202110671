"""JVTC's memory: start, update, state."""

import torch

from gcl_core.seeding import rng
from gcl_core.training.baselines.jvtc.memory import InstanceMemory


def make(*, unit: bool = False) -> InstanceMemory:
    return InstanceMemory(50, 8, unit=unit, generator=rng(0, "test memory"))


def test_starts_uniform_with_a_label_for_each():
    memory = make()
    assert memory.rows.min() >= 0
    assert memory.rows.max() < 1
    assert abs(memory.rows.mean() - 0.5) < 0.05
    assert memory.labels.tolist() == list(range(50))


def test_keep_old_weighs_the_old_row_and_others_stay():
    memory, vectors = make(), torch.eye(8)[:2]
    before = memory.rows.clone()
    memory.update(torch.tensor([7, 3]), vectors, keep_old=0.3)
    assert torch.allclose(memory.rows[7], 0.3 * before[7] + 0.7 * vectors[0])
    assert torch.allclose(memory.rows[3], 0.3 * before[3] + 0.7 * vectors[1])
    others = [row for row in range(50) if row not in (3, 7)]
    assert torch.equal(memory.rows[others], before[others])


def test_unit_rows_are_brought_to_length_one():
    memory = make(unit=True)
    memory.update(torch.tensor([1]), torch.eye(8)[:1], keep_old=0.5)
    assert torch.allclose(memory.rows[1].norm(), torch.tensor(1.0))


def test_labels_are_part_of_the_state():
    memory, other = make(), make()
    memory.labels.copy_(torch.arange(50) // 3)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.labels, torch.arange(50) // 3)
