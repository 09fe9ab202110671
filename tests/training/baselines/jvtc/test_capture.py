"""Cameras and times out of file names."""

import numpy as np
import pytest

from gcl_core.data.index import DataError
from gcl_core.training.baselines.jvtc.capture import SLOT_GAP, read_captures


def test_market_sequences_become_one_clock_per_camera():
    found = read_captures(
        [
            "bounding_box_train/0002_c1s1_000451_03.jpg",
            "bounding_box_train/0002_c1s2_000010_01.jpg",
            "bounding_box_train/0007_c1s1_000900_01.jpg",
            "bounding_box_train/0007_c1s5_000001_01.jpg",  # sequences 3 and 4 are not there
            "bounding_box_train/0007_c1s2_000300_01.jpg",
            "bounding_box_train/0007_c6s2_000020_01.jpg",  # this camera has no earlier sequence
            "bounding_box_test/-1_c6s3_000001_00.jpg",
        ]
    )
    assert found.camids.tolist() == [1, 1, 1, 1, 1, 6, 6]
    assert found.frames.tolist() == [451, 910, 900, 1201, 1200, 20, 21]
    assert set(found.slots) == {""}


def test_duke():
    found = read_captures(["bounding_box_train/0001_c2_f0046182.jpg", "0005_c8_f0000001.jpg"])
    assert found.camids.tolist() == [2, 8]
    assert found.frames.tolist() == [46182, 1]


def test_msmt_slots_lie_far_apart():
    found = read_captures(
        [
            "train/0000/0000_000_01_0303morning_0008_0.jpg",
            "train/0000/0000_001_15_0302noon_0010_1.jpg",
            "train/0001/0001_002_01_0303morning_0020_0.jpg",
        ]
    )
    assert found.camids.tolist() == [1, 15, 1]
    assert found.slots.tolist() == ["0303morning", "0302noon", "0303morning"]
    assert found.frames.tolist() == [8 + SLOT_GAP, 10, 20 + SLOT_GAP]
    some = found.take(np.array([2, 1]))
    assert some.camids.tolist() == [1, 15]
    assert some.frames.tolist() == [20 + SLOT_GAP, 10]
    assert some.slots.tolist() == ["0303morning", "0302noon"]


@pytest.mark.parametrize("name", ["0001_c1.jpg", "0001_c1s1.jpg", "someone.jpg"])
def test_a_name_without_time_is_quoted(name: str):
    with pytest.raises(DataError, match=rf"{name}: no time .*0002_c1s1_000451_03\.jpg or 0001_c2_f0046182\.jpg or"):
        read_captures([name])


def test_names_of_two_kinds_are_refused():
    with pytest.raises(DataError, match=r"0001_c2_f0046182\.jpg: no time .* \(1 of 2 pictures\).*0002_c1s1_000451_03"):
        read_captures(["0002_c1s1_000451_03.jpg", "0001_c2_f0046182.jpg"])
