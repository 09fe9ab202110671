"""Trains the same study in float32 and in another precision and puts losses, accuracy and seconds side by side.

python benchmarks/precision.py --epochs 4      # profile mini: some 200 steps of warm-up and of joint training
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from gcl_core.config import load_study
from gcl_core.data.preparation import prepare_data
from gcl_core.layout import Layout
from gcl_core.losses.names import TITLES
from gcl_core.run_folder import read_metrics
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.warm_up import warm_up_generator

SHOWN = (*TITLES, "clusters", "ari", "map", "rank1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", default=["compute.precision=bf16"], help="what differs (default: bf16)")
    parser.add_argument("--profile", default="mini")
    parser.add_argument("--epochs", type=int, default=4, help="of warm-up and of joint training")
    options = parser.parse_args()
    words = [f"warm_up.epochs={options.epochs}", f"joint.epochs={options.epochs}"]
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        exact = Layout(load_study(options.profile, words), root=Path(folder, "float32"))
        prepare_data(exact)
        other = Layout(load_study(options.profile, [*words, *options.settings]), root=Path(folder, "other"))
        for name in ("data", "people"):
            shutil.copytree(exact.runs / name, other.runs / name)
        for title, layout in (("float32", exact), (" ".join(options.settings), other)):
            report[title] = {}
            for stage, train in (
                ("baseline", lambda layout=layout: train_baseline(layout, 0)),
                ("warm-up", lambda layout=layout: warm_up_generator(layout, 0)),
                ("gcl", lambda layout=layout: train_jointly(layout, "gcl", 0)),
                ("tda", lambda layout=layout: train_jointly(layout, "tda", 0)),
            ):
                start = time.perf_counter()
                with contextlib.redirect_stdout(sys.stderr):
                    lines = read_metrics(train())
                shown = {key: [line[key] for line in lines if line.get(key) is not None] for key in SHOWN}
                report[title][stage] = {"seconds": time.perf_counter() - start, **{k: v for k, v in shown.items() if v}}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
