"""Ends the trainings of a study at random moments, over and over, and compares what comes out with an undisturbed run.

python benchmarks/faults.py --kills 30 --terms 10      # profile smoke, in two new folders; prints JSON
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from gcl_core.config import load_study
from gcl_core.data.preparation import prepare_data
from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.seeding import numpy_rng

TRAIN = """
import sys, pathlib
from gcl_core.config import Study
from gcl_core.layout import Layout
from gcl_core.training import epochs
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.warm_up import warm_up_generator
epochs.SAVE_AFTER = 1.0  # seconds: within epochs too, as short as these are
layout = Layout(Study.model_validate_json(sys.argv[1]), root=pathlib.Path(sys.argv[2]))
print("ready", flush=True)
train_baseline(layout, 0)
warm_up_generator(layout, 0)
for variant in layout.study.variants:
    train_jointly(layout, variant, 0)
"""


def start(layout: Layout) -> subprocess.Popen[str]:
    """Start all trainings in a process of their own and wait until it has loaded what it needs."""
    command = [sys.executable, "-c", TRAIN, layout.study.model_dump_json(), str(layout.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def results(layout: Layout) -> dict[str, str]:
    """Hashes of every weight, moment, label and record; checkpoints may lie at other steps."""
    runs = [layout.stage(name, 0) for name in ("baseline", "warm_up", *layout.study.variants)]
    files = [path for run in runs for kind in ("*.safetensors", "*.jsonl", "labels/*") for path in run.glob(kind)]
    kept = [path for path in files if not path.name.startswith(("checkpoint", "times"))]
    return {str(path.relative_to(layout.root)): hash_file(path) for path in kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    study, random = load_study(options.profile), numpy_rng(options.seed, "faults")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole, broken = (Layout(study, root=Path(folder)) for folder in (one, other))
        for layout in (whole, broken):
            prepare_data(layout)
        begun = time.monotonic()
        if start(whole).wait():
            sys.exit("the undisturbed run failed")
        length = time.monotonic() - begun
        signals = random.permutation([signal.SIGKILL] * options.kills + [signal.SIGTERM] * options.terms)
        waits, done, codes = [], 0, Counter()
        for number in signals.tolist():
            process = start(broken)
            try:
                process.wait(random.uniform(0, 2 * length / len(signals)))  # the whole run twice over
                done += 1
            except subprocess.TimeoutExpired:
                asked = time.monotonic()
                process.send_signal(number)
                code = process.wait()
                if number == signal.SIGTERM:
                    waits.append(time.monotonic() - asked)
                # between two stages nobody listens for SIGTERM, which then ends the process at once
                assert code in (-signal.SIGKILL, 128 + signal.SIGTERM, -signal.SIGTERM), code
                codes[code] += 1
        if start(broken).wait():
            sys.exit("the run that was disturbed failed in the end")
        expected, found = results(whole), results(broken)
        report = {
            "seconds undisturbed": length,
            "ended by SIGKILL": codes[-signal.SIGKILL],
            "ended by SIGTERM": len(waits),
            "exit codes": {str(code): number for code, number in sorted(codes.items())},
            "came too late": done,
            "longest wait after SIGTERM, seconds": max(waits, default=None),
            "files compared": len(expected),
            "files that differ": sorted(name for name in expected | found if expected.get(name) != found.get(name)),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
