"""Batches of stage 3 are those that a loop by hand makes, wherever they are made, and their threads end."""

import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch

from gcl_core.config import Study, load_study
from gcl_core.data.augment import augment
from gcl_core.data.batches import draw_angles, imagenet_normalize, unit_pictures
from gcl_core.data.person_set import PersonSet
from gcl_core.losses.view_invariant import Partners
from gcl_core.parallel import Ranks
from gcl_core.seeding import numpy_rng, rng
from gcl_core.training import contrast, joint_feed
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.joint_feed import JointFeed
from gcl_core.training.step import Batch
from gcl_core.training.views import NewViews

CPU, TRAIN, EPOCH = torch.device("cpu"), 12, 2
LABELS = torch.arange(TRAIN) // 3
STEPS = list(enumerate([np.array(batch) for batch in ([0, 4, 7, 10], [11, 2, 5, 8], [1, 3, 6, 9], [7, 0, 2, 4])]))


class Noted:
    """Views that are noise, and what was asked of them, by which thread."""

    def __init__(self) -> None:
        self.pixels = numpy_rng(0, "noted").integers(0, 256, (TRAIN, 8, 64, 32, 3), dtype=np.uint8)
        self.asked: list[list[int]] = []
        self.threads: set[str] = set()

    def at(self, picked: np.ndarray, yaws: np.ndarray) -> np.ndarray:
        self.asked.append(picked.tolist())
        self.threads.add(threading.current_thread().name.partition("_")[0])
        return self.pixels[picked, yaws // 45]


@pytest.fixture
def people() -> PersonSet:
    """Return noise in the place of pictures."""
    draw = numpy_rng(1, "joint feed")
    shape = (TRAIN, 64, 32, 3)
    pixels = draw.integers(0, 256, shape, dtype=np.uint8), draw.integers(0, 256, (TRAIN, 8, 64, 32), dtype=np.uint8)
    return PersonSet(pd.DataFrame({"split": ["train"] * TRAIN}), *pixels, "noise")


@pytest.fixture
def leaves_no_thread() -> Iterator[None]:
    """Refuse a test that leaves a thread of `ahead`."""
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def study_of(view: str, *, augmented: bool) -> Study:
    return load_study("smoke", [f"variants.own={{view: {view}, augment: {str(augmented).lower()}}}"])


def batches(study: Study, people: PersonSet, views: NewViews, first: int = 0) -> list[Batch]:
    feed = JointFeed(study, study.variants["own"], people, views, 3, CPU)
    return list(feed.batches(STEPS[first:], epoch=EPOCH, labels=LABELS, plan=()))


def equal(one: Batch, other: Batch) -> bool:
    pairs = [*zip(one.partners, other.partners, strict=True), (one.indices, other.indices), (one.x, other.x)]
    assert one.view is not None
    assert other.view is not None
    return all(torch.equal(a, b) for a, b in [*pairs, (one.view, other.view)])


@pytest.mark.usefixtures("leaves_no_thread")
@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("view", ["copied", "surface", "drawn_once"])
def test_batches_are_those_made_by_hand_from_any_step_on(people: PersonSet, view: str, *, augmented: bool):
    study, noted = study_of(view, augmented=augmented), Noted()
    networks = view == "drawn_once"
    views = NewViews(np.ones(TRAIN, bool), None if view == "copied" else noted.at, networks=networks)
    found = batches(study, people, views)
    assert noted.threads == (set() if view == "copied" else {"MainThread" if networks else "ahead"})
    angles = draw_angles(study.angles, TRAIN, seed=3, purpose="joint angle", epoch=EPOCH)
    for (step, picked), batch in zip(STEPS, found, strict=True):
        x = unit_pictures(people.pictures[picked], CPU)
        new = x if view == "copied" else unit_pictures(noted.pixels[picked, angles[picked] // 45], CPU)
        if augmented:
            new = augment(new, study.augmentation, rng(3, "joint augment", EPOCH, step))
        indices, numbers = torch.from_numpy(picked), rng(3, "joint partners", EPOCH, step)
        partners = draw_own_partners(LABELS, indices, study.contrast, numbers)
        assert equal(batch, Batch(indices, partners, imagenet_normalize(x), view=imagenet_normalize(new)))
    assert all(equal(*pair) for pair in zip(batches(study, people, views, 2), found[2:], strict=True))


@pytest.mark.usefixtures("leaves_no_thread")
@pytest.mark.parametrize(("view", "augmented"), [("surface", False), ("surface", True), ("drawn_once", False)])
def test_a_rank_has_its_part_of_a_batch_and_makes_no_other_views_where_none_are_needed(
    people: PersonSet, monkeypatch: pytest.MonkeyPatch, view: str, *, augmented: bool
):
    study, noted = study_of(view, augmented=augmented), Noted()
    views = NewViews(np.ones(TRAIN, bool), noted.at, networks=view == "drawn_once")
    alone = batches(study, people, views)
    noted.asked.clear()
    second = Ranks()
    monkeypatch.setattr(second, "part", lambda length: slice(length // 2, length))
    for module in (joint_feed, contrast):
        monkeypatch.setattr(module, "ranks", second)
    for whole, own in zip(alone, batches(study, people, views), strict=True):
        assert whole.view is not None
        part = Batch(whole.indices[2:], Partners(*(each[2:] for each in whole.partners)), whole.x[2:])
        assert equal(own, part._replace(view=whole.view[2:]))
    expected = [picked[2:] if (view, augmented) == ("surface", False) else picked for _, picked in STEPS]
    assert noted.asked == [places.tolist() for places in expected]


@pytest.mark.usefixtures("leaves_no_thread")
def test_what_the_making_of_a_view_raises_reaches_the_steps(people: PersonSet):
    def broken(picked: np.ndarray, _: np.ndarray) -> np.ndarray:
        if picked[0] == STEPS[2][1][0]:
            raise OSError("the disk is gone")
        return np.zeros((len(picked), 64, 32, 3), np.uint8)

    study, views = study_of("surface", augmented=False), NewViews(np.ones(TRAIN, bool), broken)
    feed = JointFeed(study, study.variants["own"], people, views, 3, CPU)
    made = feed.batches(STEPS, epoch=EPOCH, labels=LABELS, plan=())
    assert len([next(made), next(made)]) == 2
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)


@pytest.mark.usefixtures("leaves_no_thread")
def test_closed_early_it_ends_its_threads(people: PersonSet):
    study, noted = study_of("surface", augmented=True), Noted()
    feed = JointFeed(study, study.variants["own"], people, NewViews(np.ones(TRAIN, bool), noted.at), 3, CPU)
    made = feed.batches(STEPS * 50, epoch=EPOCH, labels=LABELS, plan=())
    next(made)
    assert len({thread for thread in threading.enumerate() if thread.name.startswith("ahead")}) == 2
    made.close()
    assert len(noted.asked) < 10
