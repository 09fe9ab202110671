"""Batches on the device are those of the prepared set however they come there; the thread that makes them ends."""

import threading

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.data import feed
from gcl_core.data.feed import AHEAD, SHARE, Feed, ahead, fits
from gcl_core.data.person_set import PersonSet
from gcl_core.seeding import numpy_rng

CPU = torch.device("cpu")


@pytest.fixture
def people() -> PersonSet:
    """Return twenty random pictures and their projections."""
    draw = numpy_rng(0, "feed")
    pictures = draw.integers(0, 256, (20, 6, 4, 3)).astype(np.uint8)
    return PersonSet(pd.DataFrame(), pictures, draw.integers(0, 256, (20, 8, 6, 4)).astype(np.uint8), "random")


def at_work() -> list[str]:
    """Names of the threads that make batches."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("resident", [False, True])
def test_batches_are_the_rows_asked_for_at_the_angles_asked_for(
    people: PersonSet, monkeypatch: pytest.MonkeyPatch, *, resident: bool
):
    """Against one picture at a time, in both ways; rows that are moved in several chunks."""
    monkeypatch.setattr(feed, "fits", lambda *_: resident)
    monkeypatch.setattr(feed, "CHUNK", 4)
    rows = np.array([19, 3, 4, 0, 11, 7, 8, 15, 2, 1, 5])
    batches = [np.array([10, 0, 3]), np.array([4, 9]), np.array([1]), np.array([2, 5, 6]), np.array([8, 7])]
    angles = 45 * (np.arange(len(rows)) % 7 + 1)
    fed = Feed(people, rows, CPU, projections=True)
    for batch, drawn, plain in zip(batches, fed.drawn(batches, angles=angles), fed.pictures(batches), strict=True):
        assert torch.equal(drawn.pictures, plain)
        for place, picked in enumerate(batch):
            row, view = rows[picked], angles[picked] // 45
            picture = torch.tensor(people.pictures[row] / np.float32(255)).permute(2, 0, 1)
            mesh, turned = (
                torch.tensor(people.projections[row, each] / np.float32(127.5) - 1)[None] for each in (0, view)
            )
            torch.testing.assert_close(drawn.pictures[place], picture)
            torch.testing.assert_close(drawn.mesh[place], mesh)
            torch.testing.assert_close(drawn.turned[place], turned)


def test_the_values_do_not_depend_on_the_way(people: PersonSet, monkeypatch: pytest.MonkeyPatch):
    batches, angles = [np.arange(12), np.arange(12, 16)], np.full(16, 90)
    found = []
    for resident in (False, True):
        monkeypatch.setattr(feed, "fits", lambda *_, resident=resident: resident)
        found.append(list(Feed(people, np.arange(2, 18), CPU, projections=True).drawn(batches, angles=angles)))
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_gpu_holds_what_takes_at_most_its_share_of_free_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    assert fits(int(SHARE * 1000), torch.device("cuda"))
    assert not fits(int(SHARE * 1000) + 1, torch.device("cuda"))
    assert not fits(0, CPU)


def test_items_are_made_in_order_in_another_thread_and_no_more_than_some_ahead():
    made: list[int] = []
    threads = set()

    def make(item: int) -> int:
        threads.add(threading.get_ident())
        made.append(item)
        return item * item

    source = ahead(make, range(20), CPU)
    for item, square in enumerate(source):
        assert square == item * item
        assert made == list(range(len(made)))
        assert item < len(made) <= item + 1 + AHEAD
    assert len(made) == 20
    assert threads.isdisjoint({threading.get_ident()})
    assert not at_work()


def test_nothing_to_make_gives_nothing():
    assert list(ahead(lambda item: item, [], CPU)) == []


def test_what_the_thread_raises_reaches_who_asks_for_that_item():
    def make(item: int) -> int:
        if item == 3:
            raise OSError("the disk is gone")
        return item

    source = ahead(make, range(6), CPU)
    assert [next(source) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(source)
    assert not at_work()


def test_closed_early_it_ends_its_thread_and_makes_no_more():
    made: list[int] = []
    source = ahead(lambda item: made.append(item), range(1000), CPU)
    next(source)
    assert at_work()
    source.close()
    assert not at_work()
    assert len(made) <= 1 + AHEAD


@pytest.mark.parametrize("resident", [False, True])
def test_pictures_alone_need_no_projections(people: PersonSet, monkeypatch: pytest.MonkeyPatch, *, resident: bool):
    """The bytes that are to fit are those of the rows in use."""
    needed: list[int] = []
    monkeypatch.setattr(feed, "fits", lambda size, _: needed.append(size) or resident)
    plain = Feed(people, np.arange(5), CPU, projections=False)
    assert len(list(plain.pictures([np.arange(3)]))) == 1
    Feed(people, np.arange(5), CPU, projections=True)
    assert needed == [5 * 6 * 4 * 3, 5 * 6 * 4 * (3 + 8)]
