"""Times the FID network in three arithmetics and says what each does to features and to FID; prints JSON.

OMP_NUM_THREADS=2 python benchmarks/inception.py
"""

import argparse
import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from gcl_core.config import PeopleSettings
from gcl_core.data.people.make import make_people
from gcl_core.evaluation.encoding import jpeg_round_trip
from gcl_core.evaluation.frechet import frechet_distance
from gcl_core.evaluation.inception import load_inception
from gcl_core.evaluation.moments import gaussian_statistics

HEIGHT, WIDTH, BATCH = 128, 64, 16
PER_PERSON = 4
BLUR = 1.5  # pixels: stands for what a generator loses


def two_sets(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of synthetic people, and as many of other people, blurred and through JPEG."""
    people = -(-2 * count // PER_PERSON)
    settings = PeopleSettings(
        train_identities=people, test_identities=2, pictures_per_identity=PER_PERSON, true_views=False
    )
    with tempfile.TemporaryDirectory() as folder:
        make_people(Path(folder), settings, height=HEIGHT, width=WIDTH, progress=False)
        files = sorted((Path(folder) / "bounding_box_train").glob("*.jpg"))
        pictures = np.stack([np.asarray(PIL.Image.open(file)) for file in files])
    blurred = gaussian_filter(pictures[count : 2 * count].astype(np.float32), (0, BLUR, BLUR, 0))
    return pictures[:count], jpeg_round_trip(np.round(blurred).astype(np.uint8))


def timed_features(
    network: nn.Module, batch: np.ndarray, memory: torch.memory_format, *, bfloat16: bool
) -> tuple[np.ndarray, float]:
    arithmetic = torch.autocast("cpu", dtype=torch.bfloat16) if bfloat16 else contextlib.nullcontext()
    pictures = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous(memory_format=memory).float() / 255
    with torch.inference_mode(), arithmetic:
        start = time.perf_counter()
        found = network(pictures)[0].flatten(1).float().numpy()
        return found, time.perf_counter() - start


def fids(found: np.ndarray, count: int) -> dict[str, float]:
    first, second = found[:count], found[count:]
    pairs = {"FID of the two sets": (first, second), "FID of halves of the first": np.split(first, [count // 2])}
    return {name: frechet_distance(*map(gaussian_statistics, pair)) for name, pair in pairs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=48, help="of each of the two sets")
    options = parser.parse_args()
    pictures = np.concatenate(two_sets(options.pictures))
    batches = np.split(pictures, range(BATCH, len(pictures), BATCH))
    ways = {
        "float32": (torch.contiguous_format, False),
        "float32, channels last": (torch.channels_last, False),
        "bfloat16 autocast, channels last": (torch.channels_last, True),
    }
    networks = {name: load_inception().to(memory_format=memory) for name, (memory, _) in ways.items()}
    found: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number, batch in enumerate([batches[0], *batches]):  # the ways take turns, after one batch to warm up
        for name, (memory, bfloat16) in ways.items():
            features, seconds = timed_features(networks[name], batch, memory, bfloat16=bfloat16)
            if number:
                found[name].append(features)
                speeds[name].append(len(batch) / seconds)

    report: dict[str, Any] = {"pictures of each set": options.pictures, "threads": torch.get_num_threads()}
    expected = np.concatenate(found["float32"])
    levels = fids(expected, options.pictures)
    for name, parts in found.items():
        features = np.concatenate(parts)
        off = np.linalg.norm(features - expected, axis=1) / np.linalg.norm(expected, axis=1)
        report[name] = {
            "pictures per second, median and best batch": [float(np.median(speeds[name])), max(speeds[name])],
            "features off, relative, mean": float(off.mean()),
        }
        for of, fid in fids(features, options.pictures).items():
            report[name] |= {of: fid, f"{of}, off, relative": abs(fid - levels[of]) / levels[of]}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
