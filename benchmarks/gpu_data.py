"""The data of the check on a GPU as one file: a prepared set of synthetic people with their surface views."""

import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from gcl_core.config import Study, load_study
from gcl_core.data.preparation import prepare_data
from gcl_core.files import RunError, atomic
from gcl_core.layout import Layout
from gcl_core.surface.stored import stored_views

STUDY = str(Path(__file__).with_name("gpu.yaml"))
SETTINGS = "settings.json"  # the words given when the data were made, so that the study is the same where they are used
ARRAYS = ("pictures.npy", "projections.npy", "surface_fitted.npy")
TABLES = ("index.csv", "surface_fitted.json", "store.json")  # store.json last: with it a store counts as prepared
SHAPES = "shapes.json"  # of the arrays
MOST = 40e6  # bytes
TALLEST = 16383  # rows that a WebP file can have


def make_data(file: Path, words: Sequence[str]) -> None:
    """Make the study's people and their surface views on this machine and write them to `file`, at most 40 MB.

    Raises RunError when they take more or `file` is something else already or cannot be written, ConfigError for wrong
    words.
    """
    if file.exists() and not (file.is_file() and _ours(file)):
        raise RunError(f"{file} is there and holds no data of the check; nothing was replaced: name another file")
    study = load_study(STUDY, words)
    with atomic(file) as temporary, tempfile.TemporaryDirectory() as folder:
        temporary.touch()  # where nothing can be written, that is told before minutes of work
        layout = Layout(study, root=Path(folder))
        people = prepare_data(layout)
        stored_views(layout, people, "fitted")
        arrays = {name: np.load(layout.store / name) for name in ARRAYS}
        shapes = {name: array.shape for name, array in arrays.items()}
        members = {SETTINGS: json.dumps(list(words)).encode(), SHAPES: json.dumps(shapes).encode()}
        for name, array in arrays.items():
            members |= {f"{name}.{place:03}.webp": part for place, part in enumerate(packed(array))}
        members |= {name: (layout.store / name).read_bytes() for name in TABLES}
        size = sum(map(len, members.values()))
        if size > MOST:
            raise RunError(
                f"the data take {size / 1e6:.1f} MB, at most {MOST / 1e6:.0f} MB are allowed: give fewer people "
                "(people.train_identities, people.test_identities) or smaller pictures"
            )
        with tarfile.open(temporary, "w") as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    print(f"{file}: {len(people.index)} pictures, {size / 1e6:.1f} MB")


def _ours(file: Path) -> bool:
    """Whether a file begins as `make_data` writes it; one that was cut off still does."""
    try:
        with tarfile.open(file, "r:") as archive:
            return [entry.name for entry in islice(archive, 2)] == [SETTINGS, SHAPES]
    except (OSError, tarfile.TarError):
        return False


def opened(file: Path, changes: Sequence[str]) -> tuple[Study, dict[str, bytes]]:
    """Return the study that a file of data was made for and the files of its store.

    `changes` are further settings, which may not concern the data. Raises RunError for a file that is none of ours.
    """
    try:
        with tarfile.open(file) as archive:
            members = {entry.name: archive.extractfile(entry) for entry in archive.getmembers() if entry.isfile()}
            content = {name: stream.read() for name, stream in members.items() if stream is not None}
        words = json.loads(content[SETTINGS])
        shapes = json.loads(content[SHAPES])
        store = {name: as_file(restored(content, name, shapes[name])) for name in ARRAYS} | {
            n: content[n] for n in TABLES
        }
        return load_study(STUDY, [*words, *changes]), store
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{file} holds no data of the check ({error!r}): make them by `python -m gcl_core gpu-data FILE`, "
            "FILE being a new name"
        ) from error


def unpacked(data: tuple[Study, dict[str, bytes]], root: Path) -> Layout:
    """Return the layout, below `root`, of an opened file's study, its data in place."""
    study, store = data
    layout = Layout(study, root=root)
    layout.store.mkdir(parents=True, exist_ok=True)
    for name, value in store.items():
        path = layout.store / name
        if not path.is_file() or path.read_bytes() != value:
            with atomic(path) as temporary:
                temporary.write_bytes(value)
    return layout


def packed(array: np.ndarray) -> list[bytes]:
    """Return pictures, [n (v) h w (3)] uint8, as lossless WebP files; the v views of a picture lie side by side.

    They are packed on all cores, and 400 pictures take seconds where general compression takes minutes.
    """
    strips = _strips(array)
    many = TALLEST // strips.shape[1]
    parts = [strips[start : start + many] for start in range(0, len(strips), many)]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_webp, parts))


def _strips(array: np.ndarray) -> np.ndarray:
    """Return [n h w 3]: v views of a picture side by side in one, grey as three equal channels."""
    grey = array.shape[-1] != 3
    with_channels = np.repeat(array[..., None], 3, axis=-1) if grey else array
    if with_channels.ndim == 4:
        return with_channels
    count, views, height, width, channels = with_channels.shape
    return np.moveaxis(with_channels, 1, 2).reshape(count, height, views * width, channels)


def _webp(strips: np.ndarray) -> bytes:
    stream = io.BytesIO()
    pixels = np.ascontiguousarray(strips.reshape(-1, *strips.shape[2:]))
    Image.fromarray(pixels).save(stream, format="WEBP", lossless=True, exact=True, quality=50, method=4)
    return stream.getvalue()


def restored(content: Mapping[str, bytes], name: str, shape: Sequence[int]) -> np.ndarray:
    """Return the array of a name and shape from the members of a file of data."""
    members = sorted(member for member in content if member.startswith(f"{name}.") and member.endswith(".webp"))
    parts = [np.asarray(Image.open(io.BytesIO(content[member])).convert("RGB")) for member in members]
    if not parts:
        raise KeyError(f"{name}.000.webp")
    pixels, grey = np.concatenate(parts), shape[-1] != 3
    count, *views, height, width = shape if grey else shape[:-1]
    strips = pixels[..., :1] if grey else pixels
    if views:
        strips = np.moveaxis(strips.reshape(count, height, *views, width, -1), 1, 2)
    return np.ascontiguousarray(strips.reshape(shape))


def as_file(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
