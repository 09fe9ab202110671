"""Yours beside the reference: what is the same, within what repeats differ by, outside, or not to be compared."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.files import RunError
from gcl_core.records import record_path
from gcl_core.seeding import numpy_rng
from gcl_core.tables.beside import (
    MEASURED,
    OTHER_SEEDS,
    OUTSIDE,
    SAME,
    UNKNOWN,
    WITHIN,
    Spread,
    agreement,
    recorded_spread,
    side_by_side,
)
from gcl_core.tables.controls import BASELINE


def words_of(ours: Path, theirs: Path, spread: Spread = MEASURED) -> dict[tuple[str, str], str]:
    lines = side_by_side(ours, theirs, spread).to_dict("records")
    return {(line["training"], line["metric"]): line["agrees"] for line in lines}


def kept(
    folder: Path,
    *rows: tuple[str, int, float, float],
    repeats: pd.DataFrame | None = None,
    counts: list[float] | None = None,
) -> Path:
    """Write a profile's table of trainings: title, seeds, mAP, clusters of each, and maybe how often it was trained on
    each seed; and maybe its record of repeats, which knows variants by their names.
    """
    folder.mkdir()
    frame = pd.DataFrame(rows, columns=["variant", "seeds", "mAP", "clusters"])
    frame = frame if counts is None else frame.assign(repeats=counts)
    frame.assign(**{"rank-1": 90.0, "ARI": 0.8}).to_csv(folder / "controls.csv", index=False)
    if repeats is not None:
        path = record_path(folder, "repeats")
        path.parent.mkdir()
        repeats.to_csv(path, index=False)
    return folder


def repeated(**maps: list[float]) -> pd.DataFrame:
    lines = [
        {
            "variant": name,
            "seed": 0,
            "repeat": repeat,
            "map": value,
            "rank1": 0.9,
            "clusters": 40.0 + repeat,
            "ari": 0.5,
        }
        for name, values in maps.items()
        for repeat, value in enumerate(values)
    ]
    return pd.DataFrame(lines)


def test_numbers_are_the_same_within_or_outside_what_repeats_differ_by(tmp_path: Path):
    reference = kept(tmp_path / "theirs", (BASELINE, 1, 66, 47), ("gcl", 1, 81.8, 45), ("no_vi", 1, 43, 40))
    ours = kept(tmp_path / "ours", (BASELINE, 1, 66, 47), ("gcl", 1, 84.0, 46), ("no_vi", 1, 49.7, 40))
    lines = words_of(ours, reference)
    assert [lines[name, "mAP"] for name in ("baseline", "gcl", "no_vi")] == [SAME, WITHIN, OUTSIDE]
    assert lines["gcl", "clusters"] == UNKNOWN  # nobody measured how far these move
    assert lines["gcl", "ARI"] == SAME


def test_means_over_other_numbers_of_seeds_and_trainings_of_one_side_are_not_compared(tmp_path: Path):
    reference = kept(tmp_path / "theirs", ("gcl", 1, 81.8, 45), ("tda", 1, 80.0, 45))
    ours = kept(tmp_path / "ours", ("gcl", 3, 81.8, 45), ("copy", 3, 80.0, 45))
    lines = words_of(ours, reference)
    assert {training for training, _ in lines} == {"gcl"}
    assert set(lines.values()) == {OTHER_SEEDS}


def test_two_repeats_of_one_training_lie_within_the_limit_in_19_of_20_cases():
    draws = numpy_rng(0, "repeats").normal(80, 1.4, (2, 5, 4000))
    for count in (1, 5):  # single trainings, and means of five
        ours, theirs = (each[:count].mean(axis=0) for each in draws)
        limit = MEASURED.limit("mAP", count, count)
        words = [agreement(*pair, limit) for pair in zip(ours.tolist(), theirs.tolist(), strict=True)]
        assert words.count(WITHIN) / len(words) == pytest.approx(0.95, abs=0.01)
    few = Spread({"mAP": 1.4}, 2.0, "roundings", "three repeats")
    assert few.limit("mAP") > 2 * MEASURED.limit("mAP")  # three repeats hardly tell a spread
    assert np.isnan(few.limit("ARI"))


def test_the_spread_is_that_within_each_training_and_repeats_shorten_the_limit(tmp_path: Path):
    repeats = repeated(gcl=[0.80, 0.82, 0.84], tda=[0.50, 0.50])
    rows, both = (("GCL", 1, 82.0, 41.0), ("TDA control", 1, 50.0, 40.5)), {"repeats": repeats, "counts": [3.0, 2.0]}
    folder = kept(tmp_path / "theirs", *rows, **both)
    spread = recorded_spread(folder)
    assert spread is not None
    assert spread.freedom == 3
    assert spread.deviations["mAP"] == pytest.approx(np.sqrt((2 * 2.0**2 + 0) / 3))
    assert spread.deviations["clusters"] == pytest.approx(np.sqrt((2 * 1 + 0.5) / 3))
    three, single = (spread.limit("mAP", count, count) for count in (3, 1))
    ours = kept(tmp_path / "ours", ("GCL", 1, 82 + (three + single) / 2, 41), rows[1], **both)
    lines = words_of(ours, folder, spread)
    assert (lines["GCL", "mAP"], lines["TDA control", "mAP"]) == (OUTSIDE, SAME)  # single trainings would be within


def test_titles_that_share_their_first_words_stay_apart_and_a_blank_number_of_trainings_is_one(tmp_path: Path):
    rows = ((BASELINE, 1, 60.0, 40.0), ("GCL (loud)", 1, 82.0, 41.0), ("GCL (quiet)", 1, 50.0, 40.5))
    ours, theirs = (kept(tmp_path / name, *rows, counts=[np.nan, 1, 1]) for name in ("ours", "theirs"))
    assert {training for training, _ in words_of(ours, theirs)} == {"baseline", "GCL (loud)", "GCL (quiet)"}


def test_where_nothing_was_repeated_no_spread_is_made_up(tmp_path: Path):
    plain = kept(tmp_path / "plain", ("gcl", 1, 80, 45))
    once = kept(tmp_path / "once", ("gcl", 1, 80, 45), repeats=repeated(gcl=[0.8], tda=[0.7]))
    assert recorded_spread(plain) is None
    assert recorded_spread(once) is None


def test_a_folder_without_trainings_is_named(tmp_path: Path):
    with pytest.raises(RunError, match=r"controls\.csv is not there.*Run the study"):
        side_by_side(tmp_path, tmp_path, MEASURED)
