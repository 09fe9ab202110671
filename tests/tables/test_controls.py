"""Controls: means over seeds and repeats beside random weights and the baseline."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.layout import Layout
from gcl_core.measure.artifacts import records, repeated, where
from gcl_core.tables.controls import BASELINE, controls_table


@pytest.fixture
def table(layout: Layout, write_run: Callable[..., Path], variant_lines: Callable) -> Callable[[Layout], pd.DataFrame]:
    """Two seeds; the baseline has one record, that of a start."""
    for seed in (0, 1):
        write_run(layout, "baseline", seed, [{"epoch": 0, "map": 0.1, "rank1": 0.2, "note": "random start"}])
        for variant in layout.study.variants:
            write_run(layout, variant, seed, variant_lines([5, 3 + seed], [0.1, 0.2, 0.3 + seed / 10]))

    def make(shown: Layout, *, seeds: tuple[int, ...] = (0, 1)) -> pd.DataFrame:
        found = records(shown, ["baseline", *shown.study.variants])
        kept = pd.concat([where(found, seed=seed) for seed in seeds])
        return controls_table(shown.study, kept, repeated(shown))

    return make


def test_controls_are_means_over_seeds_with_half_their_range(
    layout: Layout, table: Callable[..., pd.DataFrame], write_run: Callable[..., Path]
):
    for seed in (0, 1):
        lines = [{"epoch": epoch, "map": value, "rank1": value} for epoch, value in ((0, 0.1), (1, 0.4 + 0.2 * seed))]
        write_run(layout, "baseline", seed, [{**line, "note": "random start"} for line in lines])
    found = table(layout).set_index("variant")
    assert found.index.tolist() == ["random start", BASELINE, *(each.title for each in layout.study.variants.values())]
    assert found.loc[["random start", BASELINE, "GCL"], "mAP"].tolist() == pytest.approx([10, 50, 35])
    assert found.loc["GCL", ["± mAP", "clusters", "± clusters", "ARI"]].tolist() == pytest.approx([5, 3.5, 0.5, 0.035])
    assert found.loc[BASELINE, ["clusters", "± clusters", "ARI"]].tolist() == pytest.approx([5, 0, 0.05])  # epoch 1
    assert np.isnan(found.loc["random start", "clusters"])
    assert found.loc["GCL", "repeats"] == 1
    assert np.isnan(found["SD over repeats"]).all()
    assert np.isnan(table(layout, seeds=(0,))["± mAP"]).all()


def test_a_checkpoint_taken_over_has_no_start_of_its_own(layout: Layout, table: Callable[..., pd.DataFrame]):
    assert table(layout)["variant"].iloc[0] == BASELINE


def test_a_variants_repeats_are_averaged_and_their_spread_stands_beside(
    layout: Layout, table: Callable[..., pd.DataFrame], write_run: Callable[..., Path], variant_lines: Callable
):
    no_vi = layout.study.variants["no_vi"].model_copy(update={"repeats": 2})
    study = layout.study.model_copy(update={"variants": {**layout.study.variants, "no_vi": no_vi}})
    several = Layout(study, root=layout.root)
    for seed in (0, 1):
        for repeat in (0, 1):
            lines = variant_lines([5, 3 + seed], [0.1, 0.2, 0.3 + seed / 10 + 0.02 * repeat])
            write_run(several, "no_vi", seed, lines, repeat)
    found = table(several).set_index("variant")
    facts = ["repeats", "mAP", "SD over repeats", "± mAP"]
    assert found.loc["without the three losses", facts].tolist() == pytest.approx([2, 36, np.sqrt(2), 5])
    assert found.loc["GCL", "repeats"] == 1
