"""PK batches: how many, of which labels, and that nobody waits long."""

import numpy as np
import pytest

from gcl_core.data.sampling import pk_batches

LABELS = np.array([0] * 5 + [1] * 2 + [2] * 7 + [3] * 4 + [-1] * 6 + [4] * 4)


def draw(labels: np.ndarray = LABELS, *, iterations: int | None = None, epoch: int = 1, **sizes: int):
    return pk_batches(
        labels,
        classes=sizes.get("classes", 2),
        instances=sizes.get("instances", 3),
        iterations=iterations,
        seed=0,
        purpose="test",
        epoch=epoch,
    )


def test_each_batch_has_p_labels_and_k_pictures_of_each():
    for batch in draw(iterations=50):
        labels = LABELS[batch].reshape(2, 3)
        assert (labels == labels[:, :1]).all()
        assert labels[0, 0] != labels[1, 0]
        assert (labels >= 0).all()
        for label, places in zip(labels[:, 0], batch.reshape(2, 3), strict=True):
            alone = len(set(places.tolist()))
            assert alone == 3 or (label == 1 and alone <= 2)  # repeated only where there are too few


def test_the_number_of_batches_is_given_or_what_the_labelled_pictures_fill():
    assert len(draw()) == 22 // 6
    assert len(draw(iterations=11)) == 11
    assert len(draw(np.array([0, 1, -1]))) == 1


def test_labels_come_in_passes_so_that_none_waits_long():
    """Any five labels in a row from the start of a pass hold all five, whatever the batch borders."""
    labels = np.concatenate([LABELS[batch].reshape(2, 3)[:, 0] for batch in draw(iterations=25)])
    assert (np.bincount(labels) == 10).all()
    gaps = [np.diff(np.flatnonzero(labels == label)).max() for label in range(5)]
    assert max(gaps) <= 9


@pytest.mark.parametrize("labels", [[-1, -1], [0, 0, -1], []])
def test_fewer_than_two_labels_give_no_batch(labels: list[int]):
    assert draw(np.array(labels, dtype=np.int64)) == []


def test_few_labels_make_smaller_batches():
    batches = draw(classes=16, instances=2, iterations=3)
    assert [len(batch) for batch in batches] == [10, 10, 10]


def test_the_draw_is_a_function_of_the_epoch():
    first, again, other = draw(), draw(), draw(epoch=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
