"""Reading files that are not to be trusted: what numpy writes comes back, and nothing else is ever run."""

import collections
import io
import os
import pickle
import struct
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.plain_files import read_plain

CONTENT = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(4, dtype=">i2"),
    "scalar": np.float64(2.5),
    "truth": np.array([True, False]),
    "text": np.array(["a.jpg", "übung.jpg"]),
    "bytes": np.array([b"a", b"bcd"]),
    "empty": np.zeros((0, 10)),
    "objects": np.array([{"x": np.arange(3)}, [1, "two", None]], dtype=object),
    "plain": collections.OrderedDict(a=[1, 2.5, (True, None)], b=b"\xff\x00"),
}


def _assert_same(found, expected) -> None:
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            _assert_same(found[key], expected[key])
    elif (isinstance(expected, np.ndarray) and expected.dtype == object) or isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_numpy_pickles_comes_back_in_every_protocol(tmp_path, protocol):
    path = tmp_path / "set.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    _assert_same(read_plain(path), CONTENT)


def test_pickles_of_numpy_1_come_back(tmp_path):
    written = pickle.dumps(CONTENT["float"], 2)
    assert b"numpy._core" in written
    path = tmp_path / "set.pkl"
    path.write_bytes(written.replace(b"numpy._core", b"numpy.core"))
    _assert_same(read_plain(path), CONTENT["float"])


def test_pickles_of_python_2_come_back(tmp_path):
    """Byte by byte what Python 2 writes for {'pose': np.array([1.5, -2e9])}: its strings hold bytes."""
    content = struct.pack("<2d", 1.5, -2e9)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    )
    path = tmp_path / "set.pkl"
    path.write_bytes(b"\x80\x02}U\x04pose" + array + b"U" + bytes([len(content)]) + content + b"tbs.")
    np.testing.assert_array_equal(read_plain(path)["pose"], [1.5, -2e9])


def test_an_npz_comes_back_with_object_arrays_and_dicts(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **{name: CONTENT[name] for name in ("float", "fortran", "text", "objects", "plain")})
    found = read_plain(path)
    _assert_same(found["objects"], CONTENT["objects"])
    _assert_same(found["plain"], CONTENT["plain"])
    _assert_same(found["fortran"], CONTENT["fortran"])
    assert found["text"][1] == "übung.jpg"


class _Call:
    """Pickles as the call of a function, which is what runs in a careless reader."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _gadgets(mark: Path) -> dict[str, bytes]:
    touch = f"open({str(mark)!r}, 'w').close()"
    runstring = import_module("numpy.testing._private.utils").runstring
    calls = {
        "posix.system" if os.name == "posix" else "nt.system": _Call(os.system, f"echo > {mark}"),
        "builtins.eval": _Call(eval, touch),
        "builtins.exec": _Call(exec, touch),
        "builtins.getattr": _Call(getattr, "a", "upper"),
        "builtins.__import__": _Call(__import__, "antigravity"),
        "runstring": _Call(runstring, touch, {}),
        "numpy.fromfile": _Call(np.fromfile, str(mark)),
        "pickle.loads": _Call(pickle.loads, pickle.dumps(_Call(eval, touch))),
        "io.open": _Call(io.open, str(mark), "w"),
    }
    written = {name: pickle.dumps({"pose": call}, 4) for name, call in calls.items()}
    written["numpy.dtype.__init__"] = b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93."
    written["numpy.core.multiarray.os.system"] = b"cnumpy.core.multiarray\nos.system\n."
    return written


GADGETS = tuple(_gadgets(Path("mark")))


@pytest.mark.parametrize("gadget", GADGETS)
def test_a_pickle_that_calls_something_is_refused_by_name_and_not_run(tmp_path, gadget):
    mark, path = tmp_path / "mark", tmp_path / "set.pkl"
    path.write_bytes(_gadgets(mark)[gadget])
    with pytest.raises(MeshError, match=rf"(?s)set\.pkl.*{gadget}.*np\.savez"):
        read_plain(path)
    assert not mark.exists()


def test_an_object_array_that_calls_something_is_refused_and_not_run(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "set.npz"
    np.savez(path, pose=np.zeros(72), extra=np.array([_Call(eval, f"open({str(mark)!r}, 'w')")], dtype=object))
    with pytest.raises(MeshError, match=r"builtins\.eval"):
        read_plain(path)
    assert not mark.exists()


def _array_of(kind: bytes, state: bytes = b"", content: bytes = b"C\x08abcdefgh") -> bytes:
    """A pickled array of one item; `kind` pushes the argument of dtype, `state` sets the dtype's state."""
    dtype = b"cnumpy\ndtype\n" + kind + b"\x85R" + state
    head = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return head + b"(K\x01K\x01\x85" + dtype + b"\x89" + content + b"tb."


def test_dtypes_that_would_fool_numpy_are_refused(tmp_path):
    path = tmp_path / "set.pkl"
    path.write_bytes(_array_of(b"X\x02\x00\x00\x00f8"))
    assert read_plain(path).shape == (1,)  # the harmless one, so that the others fail for what they are
    fooling = {
        "an object out of bytes": _array_of(b"X\x02\x00\x00\x00O8"),
        "a record": _array_of(b"]X\x01\x00\x00\x00aX\x01\x00\x00\x00O\x86a"),
        "a comma string": _array_of(b"X\x03\x00\x00\x00O,O"),
        "void": _array_of(b"X\x02\x00\x00\x00V8"),
        "an array in place of a dtype": b"\x80\x03cnumpy\ndtype\ncnumpy\nndarray\n\x85R(K\x01tb.",
        "too few bytes": _array_of(b"X\x02\x00\x00\x00f8", content=b"C\x03abc"),
    }
    for what, written in fooling.items():
        path.write_bytes(written)
        try:
            found = read_plain(path)
        except MeshError:
            continue
        assert what == "an object out of bytes", what
        assert found.tolist() in ([97], list(b"abcdefgh"))  # numbers, never pointers


def test_a_dtypes_state_sets_its_byte_order_and_nothing_else(tmp_path):
    """numpy's own dtype takes item size and flags from a pickle; a wrong size reads past the end."""
    state = b"(K\x03X\x01\x00\x00\x00>NNJ\xff\xff\xff\x7fJ\xff\xff\xff\x7fK\x08K\x3ftb"  # item size 2^31, flags 63
    path = tmp_path / "set.pkl"
    path.write_bytes(_array_of(b"X\x02\x00\x00\x00i8", state))
    assert read_plain(path)[0] == int.from_bytes(b"abcdefgh", "big")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.pkl", pickle.dumps(CONTENT)[:200], "truncated or not a pickle"),
        ("a.pkl", b"", "truncated or not a pickle"),
        ("a.pkl", b"hello", "truncated or not a pickle"),
        ("a.pkl", b"\x80\x02U\x011Q.", "truncated or not a pickle"),  # as torch.save wrote: a persistent id
        ("a.npz", b"PK\x03\x04 and then nothing", "truncated or not a zip"),
        ("a.npy", b"", r"\.npz or \.pkl"),
    ],
)
def test_broken_files_are_told_by_name(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MeshError, match=rf"a\.np.*{said}|a\.pkl.*{said}"):
        read_plain(path)


def test_a_missing_file_is_told(tmp_path):
    for name in ("none.npz", "folder"):
        with pytest.raises(MeshError, match=rf"{name} is not there; check how it is spelt"):
            read_plain(tmp_path / name)


@pytest.mark.parametrize("name", ["a.NPZ", "a.Pkl"])
def test_a_suffix_may_be_written_in_capitals(tmp_path, name):
    with (tmp_path / name).open("wb") as stream:
        np.savez(stream, pose=np.arange(3)) if name == "a.NPZ" else pickle.dump({"pose": np.arange(3)}, stream)
    assert read_plain(tmp_path / name)["pose"].tolist() == [0, 1, 2]


def test_a_truncated_npz_is_told(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, pose=np.zeros((50, 72)))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(MeshError, match="truncated"):
        read_plain(path)
