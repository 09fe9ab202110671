"""Published values: what may be printed, and that nothing else gets in."""

from pathlib import Path

import numpy as np
import pytest

from gcl_core.measure.published import (
    PAPER_VALUES,
    STATUS,
    published_accuracy,
    published_fid,
    published_value,
    published_values,
)


def test_the_packaged_values_are_the_reference_file(shared: Path):
    assert PAPER_VALUES.read_bytes() == (shared / "reference" / "paper_values.csv").read_bytes()


def test_every_value_is_a_number_given_once_and_of_a_status_that_may_be_printed():
    values = published_values()
    assert list(values.columns) == ["method", "dataset", "setting", "metric", "value", "source", "status"]
    assert set(values["status"]) <= set(STATUS)
    assert np.isfinite(values["value"]).all()
    assert not values.duplicated(["method", "dataset", "setting", "metric"]).any()


def test_table_one_has_three_datasets_and_the_known_means():
    table = published_fid()
    assert [round(float(np.mean(list(row.values()))), 2) for row in table.values()] == [62.04, 63.12, 57.97]
    assert all(list(row) == [45, 90, 135, 180, 225, 270, 315] for row in table.values())


def test_a_value_that_is_not_known_or_not_unique_is_an_error():
    assert published_value("GCL", "clusters_approx") == 520
    with pytest.raises(KeyError, match="0 values"):
        published_value("GCL", "SSIM")
    with pytest.raises(KeyError, match="2 values"):  # unsupervised and domain-adaptive
        published_value("JVTC", "mAP")


def test_accuracies_are_unsupervised_and_transcriptions_stand_last():
    table = published_accuracy("synthetic")
    status = list(table["status"])
    assert status == ["verified"] * status.count("verified") + ["third-party"] * status.count("third-party")
    methods = set(zip(table["method"], table["dataset"], table["status"], strict=True))
    assert ("ICE", "Market-1501", "third-party") in methods
    assert ("SpCL", "MSMT17", "verified") in methods
    assert not {"MMT", "DG-Net", "JVTC supervised"} & set(table["method"])


def test_accuracies_of_a_real_dataset_are_its_own_and_unknown_ranks_stay_blank():
    table = published_accuracy("msmt17")
    assert set(table["dataset"]) == {"MSMT17"}
    gcl = table[table["method"] == "GCL"].iloc[0]
    assert gcl["mAP"] == 21.3
    assert np.isnan(gcl["rank5"])
