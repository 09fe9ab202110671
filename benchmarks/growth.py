"""How clustering grows with the number of pictures: clustering.py at every size, each in a process of its own.

python benchmarks/growth.py --out growth.png      # 256 features per picture, 2,000 to 1,000,000; prints JSON
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from spectra import KINDS

SIZES = (2_000, 5_000, 12_936, 32_621, 100_000, 300_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--size", type=int, default=256, help="features per picture")
    parser.add_argument("--features", choices=KINDS, default=KINDS[0])
    parser.add_argument("--out", type=Path, help="draw the curves into this file")
    options = parser.parse_args()
    reports = []
    for pictures in options.sizes:
        print(f"{pictures} pictures …", file=sys.stderr, flush=True)
        words = [str(pictures), "--size", str(options.size), "--features", options.features]
        script = Path(__file__).with_name("clustering.py")
        answer = subprocess.run([sys.executable, script, *words], stdout=subprocess.PIPE, text=True, check=True)
        reports.append(json.loads(answer.stdout))
    print(json.dumps(reports, indent=2))
    if options.out:
        draw(reports, options.out)


def draw(reports: list[dict], path: Path) -> None:
    """Draw seconds and memory over the number of pictures; hollow where neighbours are approximate."""
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
    pictures = [report["pictures"] for report in reports]
    exact = sum(report["recall"] == 1 for report in reports)
    curves = {
        "neighbours": [report["seconds"]["neighbours"] for report in reports],
        "all after them": [report["seconds"]["all after the neighbours"] for report in reports],
    }
    for (name, values), marker in zip(curves.items(), "os", strict=True):
        (line,) = panels[0].plot(pictures, values, f"{marker}-", label=name)
        panels[0].plot(pictures[exact:], values[exact:], marker, color="white", markeredgecolor=line.get_color())
    panels[0].set(xscale="log", yscale="log", xlabel="pictures", ylabel="seconds")
    panels[0].legend(title="hollow: approximate")
    panels[1].plot(pictures, [report["GB above inputs"]["whole"] for report in reports], "o-")
    panels[1].set(xscale="log", yscale="log", xlabel="pictures", ylabel="GB above inputs")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
