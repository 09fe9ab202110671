"""The numbers in the README are those of the committed figures."""

import re
from pathlib import Path

import pandas as pd


def test_results_table_says_what_the_figures_say(repository: Path):
    text = (repository / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    told = {row[0]: row[1:] for row in rows if len(row) == 5 and re.fullmatch(r"\d+\.\d", row[1])}
    variants = pd.read_csv(repository / "figures" / "mini" / "ablations.csv").set_index("variant")
    accuracy = pd.read_csv(repository / "figures" / "mini" / "reid_accuracy.csv").set_index("method")
    assert set(told) >= {"GCL", "TDA control", "random start", "baseline (stage 1: TDA contrast)"}
    for name, (map_, rank1, clusters, ari) in told.items():
        source = variants if name in variants.index else accuracy[accuracy["source"] == "ours"]
        line = source.loc[name].to_dict()
        assert (map_, rank1) == (f"{line['mAP']:.1f}", f"{line['rank-1']:.1f}"), name
        if clusters:
            assert (clusters, ari) == (f"{line['clusters']:.0f}", f"{line['ARI']:.3f}"), name
