"""The data of the check on a GPU as one file: a prepared set of synthetic people with their surface views."""

import io
import json
import lzma
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gcl_core.config import load_study
from gcl_core.data.preparation import prepare_data
from gcl_core.files import RunError, atomic
from gcl_core.layout import Layout
from gcl_core.surface.stored import stored_views

STUDY = str(Path(__file__).with_name("gpu.yaml"))
SETTINGS = "settings.json"  # the words given when the data were made, so that the study is the same where they are used
ARRAYS = ("pictures.npy", "projections.npy", "surface_fitted.npy")
TABLES = ("index.csv", "surface_fitted.json", "store.json")  # store.json last: with it a store counts as prepared
MOST = 40e6  # bytes


def make_data(file: Path, words: Sequence[str]) -> None:
    """Make the study's people and their surface views on this machine and write them to `file`, at most 40 MB.

    Raises RunError when they take more, ConfigError for wrong words.
    """
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(load_study(STUDY, words), root=Path(folder))
        people = prepare_data(layout)
        stored_views(layout, people, "fitted")
        members = {SETTINGS: json.dumps(list(words)).encode()}
        members |= {f"{name}.xz": _packed(np.load(layout.store / name)) for name in ARRAYS}
        members |= {name: (layout.store / name).read_bytes() for name in TABLES}
    size = sum(map(len, members.values()))
    if size > MOST:
        raise RunError(
            f"the data take {size / 1e6:.1f} MB, at most {MOST / 1e6:.0f} MB are allowed: give fewer people "
            "(people.train_identities, people.test_identities) or smaller pictures"
        )
    with atomic(file) as temporary, tarfile.open(temporary, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    print(f"{file}: {len(people.index)} pictures, {size / 1e6:.1f} MB")


def unpacked(file: Path, root: Path, changes: Sequence[str]) -> Layout:
    """Return the layout, below `root`, of the study that a file of data was made for, its data in place.

    `changes` are further settings, which may not concern the data. Raises RunError for a file that is none of ours.
    """
    try:
        with tarfile.open(file) as archive:
            members = {entry.name: archive.extractfile(entry) for entry in archive.getmembers() if entry.isfile()}
            content = {name: stream.read() for name, stream in members.items() if stream is not None}
        words = json.loads(content[SETTINGS])
        store = {name: lzma.decompress(content[f"{name}.xz"]) for name in ARRAYS} | {n: content[n] for n in TABLES}
    except (OSError, tarfile.TarError, KeyError, ValueError, lzma.LZMAError) as error:
        raise RunError(
            f"{file} holds no data of the check ({error!r}): make it by `python -m gcl_core gpu-data {file}`"
        ) from error
    layout = Layout(load_study(STUDY, [*words, *changes]), root=root)
    layout.store.mkdir(parents=True, exist_ok=True)
    for name, value in store.items():
        path = layout.store / name
        if not path.is_file() or path.stat().st_size != len(value):
            with atomic(path) as temporary:
                temporary.write_bytes(value)
    return layout


def _packed(array: np.ndarray) -> bytes:
    """Return an array of bytes as a compressed .npy file: a pixel's channel by its difference from its neighbour's."""
    stream = io.BytesIO()
    np.save(stream, array)
    distance = array.shape[-1] if array.shape[-1] == 3 else 1
    filters = [{"id": lzma.FILTER_DELTA, "dist": distance}, {"id": lzma.FILTER_LZMA2, "preset": 6}]
    return lzma.compress(stream.getvalue(), filters=filters)
