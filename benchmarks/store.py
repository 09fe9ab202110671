"""Times batches from the decoded store against torchvision's ImageFolder and DataLoader on the same files; prints JSON.

python benchmarks/store.py
python benchmarks/store.py --root /path/to/Market-1501-v15.09.15 --height 256 --width 128
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from gcl_core.data.batches import epoch_batches, unit_pictures
from gcl_core.data.index import MARKET_FOLDERS, read_index
from gcl_core.data.pictures import BadPictureError, read_picture
from gcl_core.data.store import fill_array, open_array, place_array
from gcl_core.seeding import numpy_rng

CPU = torch.device("cpu")
BATCH_SIZES = (16, 64)


def make_noise(root: Path, count: int) -> None:
    """Write `count` grey-noise JPEGs of 64 x 128 pixels in Market's layout, nearly all for training."""
    random = numpy_rng(0, "store benchmark")
    for number in range(count):
        split = "query" if number == 0 else "gallery" if number == 1 else "train"
        folder = root / MARKET_FOLDERS[split]
        folder.mkdir(parents=True, exist_ok=True)
        pid = 1 if split != "train" else 2 + number // 16
        noise = np.repeat(random.integers(0, 256, (128, 64, 1), dtype=np.uint8), 3, axis=-1)
        Image.fromarray(noise).save(folder / f"{pid:04d}_c{1 + number % 2}s1_{number:06d}_00.jpg", quality=85)


def batches_per_second(batches: Callable[[], Iterable[Tensor]], repeats: int) -> float:
    """Return the best of `repeats` passes over the training pictures, workers' start-up included."""
    rates = []
    for _ in range(repeats):
        start, count, total = time.perf_counter(), 0, 0.0
        for batch in batches():
            count += 1
            total += float(batch[0, 0, 0, 0])  # it is there
        rates.append(count / (time.perf_counter() - start))
    return max(rates)


def compare(root: Path, target: Path, options: argparse.Namespace) -> dict[str, object]:
    """Build a store of a Market-layout folder and return what was measured, one dictionary a batch size."""
    index = read_index("folder", root)
    size, files = (options.height, options.width), index["file"].tolist()
    for file in files:
        (root / file).read_bytes()  # both sides find the files in memory
    start = time.perf_counter()
    fill_array(
        target,
        (len(files), *size, 3),
        lambda row: read_picture(root / files[row], *size),
        identity="benchmark",
        bad=BadPictureError,
        leave_out=False,
        what="store",
    )
    place_array(target)
    seconds = time.perf_counter() - start
    pictures, rows = open_array(target), np.flatnonzero(index["split"] == "train")
    resize = transforms.Resize(size, transforms.InterpolationMode.BICUBIC)
    folder = ImageFolder(str(root), transforms.Compose([resize, transforms.ToTensor()]))
    rates: list[dict[str, float]] = []
    for batch_size in BATCH_SIZES:
        order = epoch_batches(rows, batch_size, seed=0, purpose="benchmark", epoch=1)
        loader = DataLoader(folder, batch_size, shuffle=True, num_workers=options.workers, drop_last=True)
        ours = batches_per_second(lambda order=order: (unit_pictures(pictures[batch], CPU) for batch in order), 3)
        theirs = batches_per_second(lambda loader=loader: (pixels for pixels, _ in loader), 3)
        rates.append({"batch": batch_size, "store": ours, "ImageFolder": theirs, "ratio": ours / theirs})
    return {
        "pictures": len(files),
        "size": list(size),
        "loader workers": options.workers,
        "store bytes": target.stat().st_size,
        "build seconds": seconds,
        "built pictures per second": len(files) / seconds,
        "batches a second": rates,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a folder in Market's layout; default: noise is made")
    parser.add_argument("--pictures", type=int, default=2000, help="how many pictures of noise are made")
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder) / "noise"
        if options.root is None:
            make_noise(root, options.pictures)
        print(json.dumps(compare(root, Path(folder) / "store" / "pictures.npy", options), indent=2))


if __name__ == "__main__":
    main()
