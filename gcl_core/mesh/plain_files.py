"""Arrays, numbers, text and containers out of .npz and .pkl files, without running anything that the files hold.

A pickle is a program: it may name any function and call it. Here it may name only what `_KNOWN` lists, which are
stand-ins that rebuild numpy arrays, numpy numbers and ordered dicts; numpy's own constructors never see what a file
says before it was checked. Object arrays inside .npz files are pickles and are read in the same way.

What joblib dumps is a pickle, often compressed, in which each array's bytes follow the place where the array is named.
"""

import bz2
import gzip
import io
import lzma
import math
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.numbers import show, text_of

SUFFIXES = (".npz", ".pkl")

_ADVICE = (
    "save plain numpy arrays instead, also of what torch saved: np.savez(path, **arrays), each torch tensor as "
    "tensor.cpu().numpy()"
)
_COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {
    b"x": zlib.decompress,
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ": lzma.decompress,
    b"]\x00": lzma.decompress,
}
"""How a compressed pickle begins, and what opens it; no pickle begins so."""


def read_plain(path: Path) -> Any:
    """Return what a file holds: of .npz a dict name -> array; of .pkl what Python 2 or 3 pickled or joblib dumped.

    Raises MeshError: no such file, another suffix, truncated, or holding more than arrays, numbers, text, containers.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise MeshError(f"{path} is not there; check how it is spelt")
    if suffix not in SUFFIXES:
        raise MeshError(f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}")
    try:
        data = path.read_bytes()
        return _read_zip(data) if suffix == ".npz" else _unpickle(io.BytesIO(_decompress(data)))
    except MeshError as error:
        raise MeshError(f"{path}: {error}") from error
    except OSError as error:
        raise MeshError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a broken or hostile file can raise anything
        kind = "a zip of numpy arrays" if suffix == ".npz" else "a pickle"
        raise MeshError(
            f"{path} is truncated or not {kind} ({type(error).__name__}: {text_of(str(error))}); save it again"
        ) from error


def read_names(values: Any, where: str) -> list[str]:
    """Return picture names out of an array or list of text or bytes, with `/` between folders.

    Raises MeshError: anything else, or a name of nothing.
    """
    items = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    names = []
    for item in items if isinstance(items, list | tuple) else [items]:
        name = item.decode("utf-8", "backslashreplace") if isinstance(item, bytes) else item
        if not isinstance(name, str) or not name:
            raise MeshError(f"{where} holds {show(name)}; expected names of pictures: paths or base names")
        names.append(name.replace("\\", "/"))
    return names


def _decompress(data: bytes) -> bytes:
    return next((opened(data) for start, opened in _COMPRESSED.items() if data.startswith(start)), data)


def _read_zip(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.removesuffix(".npy"): _read_array(archive, name) for name in archive.namelist()}


def _read_array(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(member)
        if dtype.hasobject:
            found = _unpickle(io.BytesIO(member.read()))
            return found.item() if shape == () else found
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _unpickle(stream: io.BytesIO) -> Any:
    return _finish(_Unpickler(stream).load())


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO):  # not read ahead of, so that arrays' bytes can be taken from between
        super().__init__(stream, encoding="latin1")
        self._joblib_array = type("_JoblibArrayHere", (_JoblibArray,), {"stream": stream})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return self._joblib_array
        known = _KNOWN.get((module.replace("numpy.core.", "numpy._core."), name))
        if known is None:
            held = text_of(f"{module}.{name}")
            raise MeshError(f"it holds {held}, which is not read since pickles can run code; {_ADVICE}")
        return known


class _Dtype:
    """A dtype of plain numbers or text, or of objects; anything else that a pickle says of it is ignored or refused."""

    def __init__(self, code: str, *_: Any):
        self.code, self.order = _text(code), "="

    def __setstate__(self, state: tuple) -> None:
        self.order = _text(state[1])

    def real(self) -> np.dtype:
        if self.code[:1] not in tuple("biufOSU") or not (self.code[1:].isdigit() or not self.code[1:]):
            raise MeshError(f"it holds an array of type {self.code!r}, which is not read; {_ADVICE}")
        return np.dtype((self.order if self.order in "<>" else "=") + self.code)


class _Array:
    """An array in the making: what numpy pickles is a call without content, and then the content as "state"."""

    def __init__(self, *_: Any):
        self.shape, self.dtype, self.fortran, self.content = (0,), _Dtype("u1"), False, b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    def real(self) -> np.ndarray:
        dtype, order = self.dtype.real(), "F" if self.fortran else "C"
        if not dtype.hasobject:
            return np.frombuffer(_bytes(self.content), dtype).reshape(self.shape, order=order).copy()
        flat = np.empty(len(self.content), dtype=object)
        for place, item in enumerate(self.content):
            flat[place] = _finish(item)
        return flat.reshape(self.shape, order=order)


class _JoblibArray(_Array):
    """An array that joblib dumped: its bytes follow in the stream once its "state" was read."""

    stream: io.BytesIO

    def __setstate__(self, state: Any) -> None:
        self.shape, self.dtype, self.fortran = state["shape"], state["dtype"], state["order"] == "F"
        dtype = self.dtype.real()
        if dtype.hasobject:
            array = _unpickle(self.stream)
            self.content = array.ravel("F" if self.fortran else "C").tolist()
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self.stream.read(self.stream.read(1)[0])
        self.content = self.stream.read(math.prod(self.shape) * dtype.itemsize)


def _array_from_buffer(content: Any, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _scalar(dtype: _Dtype, content: Any = b"") -> _Array:
    return _array_from_buffer(content, dtype, (), "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise MeshError(f"it holds text in the encoding {encoding!r}; {_ADVICE}")
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,  # bytes in protocols 0-2
    ("__builtin__", "bytes"): lambda: b"",  # empty ones
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _array_from_buffer,
}


def _finish(found: Any) -> Any:
    """Return a pickle's content with real arrays and numbers in place of the stand-ins."""
    if isinstance(found, _Array):
        array = found.real()
        return array[()] if array.shape == () and not array.dtype.hasobject else array
    if isinstance(found, dict):
        return {key: _finish(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finish(item) for item in found]
    return found


def _bytes(content: Any) -> Any:
    return content.encode("latin1") if isinstance(content, str) else content  # str: from Python 2


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
