"""The memory bank: its start, which side 0.2 weighs, what stays untouched, what it refuses."""

import math

import pytest
import torch

from gcl_core.models.memory_bank import MemoryBank


@pytest.fixture
def bank():
    return MemoryBank(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)))


def test_it_starts_with_unit_rows_of_the_given_directions():
    features = torch.tensor([[3.0, 4.0], [0.0, -2.0]])
    torch.testing.assert_close(MemoryBank(features).rows, torch.tensor([[0.6, 0.8], [0.0, -1.0]]))


def test_a_fifth_of_the_old_row_and_four_fifths_of_the_new_feature():
    bank = MemoryBank(torch.eye(3))
    bank.update(torch.tensor([1]), 7 * torch.eye(3)[2:])  # the length of the feature does not matter
    length = math.sqrt(0.2**2 + 0.8**2)
    torch.testing.assert_close(bank.rows[1], torch.tensor([0, 0.2 / length, 0.8 / length]))
    assert bank.rows[1, 2].item() == pytest.approx(0.970, abs=5e-4)


@pytest.mark.parametrize(("keep_old", "expected"), [(0.0, [0.0, 1.0]), (1.0, [1.0, 0.0])])
def test_the_ends_of_keep_old(keep_old, expected):
    bank = MemoryBank(torch.tensor([[1.0, 0.0]]), keep_old=keep_old)
    bank.update(torch.tensor([0]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(bank.rows[0], torch.tensor(expected))


def test_an_update_moves_its_rows_towards_the_features_and_no_other_by_a_bit(bank):
    old = bank.rows.clone()
    indices = torch.tensor([7, 2, 5])
    new = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)))
    bank.update(indices, new)
    assert ((bank.rows[indices] * new).sum(1) > (old[indices] * new).sum(1)).all()
    torch.testing.assert_close(bank.rows.norm(dim=1), torch.ones(10))
    untouched = torch.tensor([0, 1, 3, 4, 6, 8, 9])
    assert torch.equal(bank.rows[untouched], old[untouched])


def test_no_graph_is_kept(bank):
    features = torch.randn(2, 4, requires_grad=True)
    bank.update(torch.tensor([0, 1]), features)
    assert not bank.rows.requires_grad


def test_it_travels_in_a_checkpoint(bank):
    other = MemoryBank(torch.ones(10, 4))
    other.load_state_dict(bank.state_dict())
    assert torch.equal(other.rows, bank.rows)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_broken_features_are_refused_by_row(bank, value):
    features = torch.ones(3, 4)
    features[1] = value
    bank.update(torch.tensor([4, 8, 1]), features)
    with pytest.raises(ValueError, match=r"1 of 3 features .* rows \[8\]"):
        bank.check()
    with pytest.raises(ValueError, match=r"1 of 3 features .* rows \[1\]"):
        MemoryBank(features)


def test_a_feature_that_leaves_nothing_of_its_row_is_refused_too():
    bank = MemoryBank(torch.eye(3), keep_old=0.5)
    bank.update(torch.tensor([0, 2]), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]))
    with pytest.raises(ValueError, match=r"1 of 2 features .* rows \[2\]"):
        bank.check()
    bank.update(torch.tensor([0, 1]), torch.eye(3)[:2])
    bank.check()  # of the last update alone


def test_an_index_twice_is_refused(bank):
    old = bank.rows.clone()
    with pytest.raises(ValueError, match=r"rows \[3\] occur more than once"):
        bank.update(torch.tensor([3, 1, 3]), torch.ones(3, 4))
    assert torch.equal(bank.rows, old)


def test_keep_old_out_of_range():
    with pytest.raises(ValueError, match=r"keep_old is 1\.5.*0 to 1"):
        MemoryBank(torch.ones(1, 2), keep_old=1.5)
