"""Pictures and mesh projections decoded once into memory-mapped arrays; training reads batches without decoding."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from gcl_core.data.index import DataError
from gcl_core.run import atomic


def read_picture(path: Path, height: int, width: int, mode: str = "RGB") -> UInt8[np.ndarray, "h w *c"]:
    """Decode one picture to `mode` (RGB or L) at height × width, bicubic (§5.3), values 0…255.

    Raises DataError: missing, truncated, not a picture.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode).resize((width, height), Image.Resampling.BICUBIC))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; restore it, or remove the entry that names it") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error}); replace it with an intact copy") from error


def build_array(
    target: Path, shape: Sequence[int], read: Callable[[int], np.ndarray], *, what: str, workers: int | None = None
) -> None:
    """Fill a uint8 array of `shape` by `read(i)` for every row i, in threads, and store it whole or not at all."""
    with atomic(target) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=tuple(shape))
        with ThreadPoolExecutor(workers) as pool:
            rows = pool.map(read, range(shape[0]))
            for row, values in enumerate(tqdm(rows, total=shape[0], desc=what, mininterval=2)):
                array[row] = values
        array.flush()


def open_array(path: Path) -> np.ndarray:
    """Open a stored array read-only, memory-mapped. Raises DataError when it is missing or broken."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be opened ({error}); run notebook 00_data_preparation again") from error
