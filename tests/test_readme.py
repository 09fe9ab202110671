"""The numbers in the README are those of the committed figures."""

import re
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def rows(repository: Path) -> list[list[str]]:
    """Cells of every row with five of them in the README's tables."""
    lines = (repository / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if len(row) == 5]


def test_table_of_mini_says_what_the_figures_say(repository: Path, rows: list[list[str]]):
    told = {row[0]: row[1:] for row in rows if re.fullmatch(r"\d+\.\d", row[1])}
    variants = pd.read_csv(repository / "figures" / "mini" / "ablations.csv").set_index("variant")
    accuracy = pd.read_csv(repository / "figures" / "mini" / "reid_accuracy.csv").set_index("method")
    assert set(told) >= {"GCL", "TDA control", "random start", "baseline (stage 1: TDA contrast)"}
    for name, (map_, rank1, clusters, ari) in told.items():
        source = variants if name in variants.index else accuracy[accuracy["source"] == "ours"]
        line = source.loc[name].to_dict()
        assert (map_, rank1) == (f"{line['mAP']:.1f}", f"{line['rank-1']:.1f}"), name
        if clusters:
            assert (clusters, ari) == (f"{line['clusters']:.0f}", f"{line['ARI']:.3f}"), name


def test_table_of_evidence_says_what_the_figures_say(repository: Path, rows: list[list[str]]):
    told = {row[0].split("`")[1]: [cell.strip("*") for cell in row[1:]] for row in rows if "±" in row[1]}
    controls = pd.read_csv(repository / "figures" / "evidence" / "controls.csv").set_index("variant")
    controls.index = [name.split()[0] for name in controls.index]
    assert set(told) >= {"baseline", "gcl", "tda", "tda_long", "copy", "drawn_once", "true_views"}
    for name, cells in told.items():
        line = controls.loc[name].to_dict()
        accuracies = [f"{line['mAP']:.1f} ± {line['± mAP']:.1f}", f"{line['rank-1']:.1f}"]
        assert cells == [*accuracies, f"{line['clusters']:.1f}", f"{line['ARI']:.3f}"], name
