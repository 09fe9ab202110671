"""The table of three protocols: means over seeds, in percent, an encoder per row."""

import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.tables.protocols import protocols_reading, protocols_table


def test_numbers_are_means_over_seeds_in_percent() -> None:
    lines = [
        {
            "stage": stage,
            "seed": seed,
            "protocol": protocol,
            "map": 0.1 * place + 0.02 * seed,
            "rank1": 0.5,
            "queries": 9,
        }
        for stage in ("start", "gcl")
        for seed in (0, 1)
        for place, protocol in enumerate(("standard", "other", "within"))
    ]
    table = protocols_table(load_study("smoke"), pd.DataFrame(lines))
    assert list(table["encoder"]) == ["start", "GCL"]
    assert list(table["seeds"]) == [2, 2]
    assert table["mAP, other"].tolist() == pytest.approx([11, 11])
    assert table["± mAP, other"].tolist() == pytest.approx([1, 1])
    assert table["rank-1, within"].tolist() == pytest.approx([50, 50])
    assert "*within* everything by other cameras (9 queries)" in protocols_reading(pd.DataFrame(lines))
