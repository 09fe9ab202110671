"""Unpacking archives: whole or not at all, and nothing outside the folder."""

import io
import os
import random
import shutil
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest

from gcl_core.cli import main
from gcl_core.data import archive as module
from gcl_core.data.archive import unpack
from gcl_core.data.index import DataError

FILES = {"set/query/0001_c1.jpg": b"one" * 500, "set/list.txt": b"", "top.jpg": random.Random(0).randbytes(5000)}
KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def _pack(path: Path, files: dict[str, bytes] = FILES) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in files.items():
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                target.writestr(info, content)
        return path
    kind, open_tar = path.name.rpartition(".")[2], cast(Any, tarfile.open)  # its modes are literals
    with open_tar(path, "w" if kind == "tar" else f"w:{kind}") as target:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return path


def _found(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _refused(archive: Path, words: str) -> None:
    """The archive is refused in these words, and beside it nothing was written."""
    before = _found(archive.parent)
    with pytest.raises(DataError, match=words):
        unpack(archive, archive.parent / "out")
    assert _found(archive.parent) == before
    assert not (archive.parent / "out").exists()
    assert not list(archive.parent.glob(".out*"))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_unpacked(tmp_path: Path, kind: str):
    out = unpack(_pack(tmp_path / f"a.{kind}"), tmp_path / "new" / "out")
    assert out == tmp_path / "new" / "out"
    assert _found(out) == FILES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_archives_inside_of_an_archive_are_left_packed_and_told(tmp_path: Path, capsys: pytest.CaptureFixture):
    inner = _pack(tmp_path / "inner.tar.gz").read_bytes()
    outer = _pack(tmp_path / "outer.zip", {"set/Inner.TAR.GZ": inner, "set/a.jpg": b"one"})
    main(["unpack", str(outer), "--out", str(tmp_path / "out")])
    told = capsys.readouterr().out.splitlines()[1:]
    assert [line.split(" is an archive itself")[0] for line in told] == [str(tmp_path / "out/set/Inner.TAR.GZ")]
    assert (tmp_path / "out/set/Inner.TAR.GZ").read_bytes() == inner


def test_folders_of_an_archive_are_kept_and_may_be_named_twice(tmp_path: Path):
    _pack(tmp_path / "a.zip", {"set/": b"", "set/query/": b"", **FILES})
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "a.zip", "a") as target:
        target.writestr("set/", b"")
    assert (unpack(tmp_path / "a.zip", tmp_path / "out") / "set" / "query").is_dir()
    assert _found(tmp_path / "out") == FILES


def test_backslashes_of_windows_part_folders(tmp_path: Path):
    unpack(_pack(tmp_path / "a.zip", {"set\\query\\0001_c1.jpg": b"1"}), tmp_path / "out")
    assert _found(tmp_path / "out") == {"set/query/0001_c1.jpg": b"1"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["../a.jpg", "set/../../a.jpg", "/a.jpg", "..\\a.jpg", "\\a.jpg", "C:\\a.jpg", "c:a.jpg"]
)
def test_entries_outside_the_folder(tmp_path: Path, kind: str, name: str):
    _refused(_pack(tmp_path / f"a.{kind}", {"first.jpg": b"1", name: b"2"}), "would lie outside the folder")


@pytest.mark.parametrize(
    "type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_of_a_tar(tmp_path: Path, type_: bytes):
    with tarfile.open(tmp_path / "a.tar", "w") as target:
        info = tarfile.TarInfo("set/link")
        info.type, info.linkname = type_, "top.jpg"
        target.addfile(info)
    _refused(tmp_path / "a.tar", "holds set/link, a link or device")


def test_links_of_a_zip(tmp_path: Path):
    info = zipfile.ZipInfo("set/link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr(info, "/etc/passwd")
    _refused(tmp_path / "a.zip", "holds the link set/link")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_entries_that_come_twice(tmp_path: Path, kind: str):
    _refused(_pack(tmp_path / f"a.{kind}", {"set/a.jpg": b"1", "set\\a.jpg": b"2"}), "holds set/a.jpg twice")
    _refused(
        _pack(tmp_path / f"b.{kind}", {"set": b"1", "set/a.jpg": b"2"}), "holds set/a.jpg inside of what is a file"
    )


def test_an_archive_without_files(tmp_path: Path):
    _refused(_pack(tmp_path / "a.zip", {}), "holds no file")
    _refused(_pack(tmp_path / "b.zip", {"set/": b""}), "holds no file")


def test_an_encrypted_zip(tmp_path: Path):
    content = bytearray(_pack(tmp_path / "a.zip", {"a.jpg": b"1"}).read_bytes())
    content[6] |= 1  # the flag in the entry's header, and in the directory at the end
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    _refused(tmp_path / "a.zip", "is encrypted; unpack it by hand with the password")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
def test_truncated_archives(tmp_path: Path, kind: str, share: float):
    whole = _pack(tmp_path / f"a.{kind}").read_bytes()
    (tmp_path / f"a.{kind}").write_bytes(whole[: int(len(whole) * share)])
    _refused(tmp_path / f"a.{kind}", "truncated")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_packed_stream_that_lacks_its_last_bytes(tmp_path: Path, kind: str):
    whole = _pack(tmp_path / f"a.{kind}").read_bytes()
    (tmp_path / f"a.{kind}").write_bytes(whole[:-2])
    _refused(tmp_path / f"a.{kind}", "truncated")


def test_a_tar_cut_between_two_entries(tmp_path: Path):
    files = {f"{number}.jpg": b"1" * 512 for number in range(4)}
    whole = _pack(tmp_path / "a.tar", files).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 2 * 1024])  # a header and a block each
    _refused(tmp_path / "a.tar", "its end mark is missing")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_flipped_bytes_leave_all_or_nothing(tmp_path: Path, kind: str):
    whole, draw = _pack(tmp_path / f"a.{kind}").read_bytes(), random.Random(1)
    refused = 0
    for attempt in range(60):
        broken = bytearray(whole)
        broken[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / f"a.{kind}").write_bytes(broken)
        try:
            out = unpack(tmp_path / f"a.{kind}", tmp_path / f"out{attempt}")
        except DataError:
            refused += 1
            assert not (tmp_path / f"out{attempt}").exists()
        else:
            assert set(_found(out).values()) <= set(FILES.values())  # a name may have changed, never a picture
    assert refused > 30


def test_files_that_are_no_archive(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(b"<html>please log in</html>" * 100)
    _refused(tmp_path / "a.zip", "is neither a zip nor a tar")
    _refused(tmp_path / "missing.zip", r"missing\.zip: No such file")
    (tmp_path / "folder").mkdir()
    _refused(tmp_path / "folder", "is a folder, there is nothing to unpack")


def test_an_existing_target_is_left_alone(tmp_path: Path):
    archive = _pack(tmp_path / "a.zip")
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("out", "link", "a.zip"):
        with pytest.raises(DataError, match=f"{name} exists already; give the name of a new folder"):
            unpack(archive, tmp_path / name)
    assert not list((tmp_path / "out").iterdir())


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "HARMLESS", 100_000)
    for kind in ("zip", "tar.gz"):
        _refused(_pack(tmp_path / f"a.{kind}", {"a.jpg": bytes(10**6)}), "out of proportion for pictures")
        unpack(_pack(tmp_path / f"b.{kind}", {"a.jpg": bytes(99_000)}), tmp_path / kind)  # too small to do harm
    monkeypatch.setattr(module, "LARGEST", 4000)
    _refused(_pack(tmp_path / "c.tar"), "out of proportion")


def test_a_tar_that_claims_a_petabyte_is_refused_at_once(tmp_path: Path):
    info = tarfile.TarInfo("a.jpg")
    info.size = 10**15
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(1024))
    _refused(tmp_path / "a.tar", "out of proportion|truncated")


def test_a_full_disk_is_told_before(tmp_path: Path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3 * 4096))  # FILES: one block and two
    assert _found(unpack(_pack(tmp_path / "a.zip"), tmp_path / "new" / "out")) == FILES
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3 * 4096 - 1))
    _refused(_pack(tmp_path / "b.zip"), "needs 0.0 GB when unpacked, .* has 0.0 GB free; make room")


def test_an_interrupted_call_leaves_nothing_and_a_killed_one_is_cleared(tmp_path: Path, monkeypatch):
    archive = _pack(tmp_path / "a.zip")

    def interrupted(*_: object) -> None:
        assert list(tmp_path.glob(".out.unpacking/**/*.jpg"))  # in the midst of it
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]
    (tmp_path / ".out.unpacking" / "old").mkdir(parents=True)
    (tmp_path / ".out.unpacking" / "old" / "half.jpg").write_bytes(b"half")
    assert _found(unpack(archive, tmp_path / "out")) == FILES
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "out"]


def test_two_calls_do_not_share_a_folder(tmp_path: Path):
    archive = _pack(tmp_path / "a.zip")
    with (
        module.FileLock(tmp_path / ".out.lock"),
        pytest.raises(DataError, match="out is being unpacked by another call"),
    ):
        unpack(archive, tmp_path / "out")


def test_a_folder_without_the_right_to_write():
    if not hasattr(os, "seteuid") or os.geteuid() != 0:
        pytest.skip("only root can drop its rights")
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        archive = _pack(folder / "a.zip")
        os.seteuid(65534)
        try:
            with pytest.raises(DataError, match=r"cannot unpack .*a\.zip: .*Permission denied; .*out was not made"):
                unpack(archive, folder / "out")
        finally:
            os.seteuid(0)
        assert os.listdir(folder) == ["a.zip"]
    finally:
        shutil.rmtree(folder)
