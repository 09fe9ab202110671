"""Files are whole or absent, and errors name the file that they are about."""

import errno
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from gcl_core.files import (
    RunError,
    atomic,
    concerns,
    hash_file,
    held,
    read_json,
    remove_scraps,
    require_place,
    write_json,
    write_text,
)
from gcl_core.provenance import fingerprint


def test_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        assert temporary.write_text("half") / 0
    assert read_json(path) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["facts.json"]


def test_nothing_is_seen_before_a_write_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "facts.txt"
    with atomic(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def test_killed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.txt"
    write_text(path, "earlier")
    child = os.fork()
    if child == 0:
        with atomic(path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert path.read_text() == "earlier"


def test_full_disk_and_unwritable_folder_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.txt"
    write_text(path, "earlier")
    with pytest.raises(RunError, match=r"facts\.txt.*No space left"), atomic(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "earlier"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"inside\.txt"):
        write_text(tmp_path / "file" / "inside.txt", "a folder that is a file cannot be written into")


def test_no_device_pipe_or_folder_gives_way_to_a_file(tmp_path: Path) -> None:
    """As /dev/null would, for who may replace it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a device or a pipe"), ("folder", "a folder")):
        with pytest.raises(RunError, match=f"cannot write .*{name}: it is {kind}"):
            write_text(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_what_stands_in_a_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "disk").symlink_to("/not/mounted")
    for name, told in (("file", "is a file where a folder is needed"), ("disk", "is a link to /not/mounted, which is")):
        with pytest.raises(RunError, match=f"{name} {told}.*Name another place"):
            write_text(tmp_path / name / "below" / "new", "text")
        with pytest.raises(RunError, match=f"{name} {told}"):
            require_place(tmp_path / name / "below" / "new")
        with pytest.raises(RunError, match=f"{name} {told}"), held(tmp_path / name / ".lock", "taken"):
            pass


def test_a_lock_is_refused_or_waited_for_and_that_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, begun, enough, ends = tmp_path / ".lock", threading.Event(), threading.Event(), list[str]()

    def other() -> None:
        with held(lock, "not told"):
            begun.set()
            enough.wait(60)
            ends.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(60)
    with pytest.raises(RunError, match="another makes it; wait for it or stop it"), held(lock, "another makes it"):
        pass
    threading.Timer(0.3, enough.set).start()
    with held(lock, "another makes it", wait=True):
        ends.append("this")
    thread.join()
    assert ends == ["other", "this"]
    assert capsys.readouterr().out == "another makes it; waiting for it\n"


def test_a_place_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("text")
    for name in ("old", "new", "a/new/folder"):
        require_place(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    assert (tmp_path / "old").read_text() == "text"
    with pytest.raises(RunError, match="it is a folder"):
        require_place(tmp_path)


def test_a_link_stays_and_the_file_that_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").write_text("old")
    (tmp_path / "link").symlink_to("disk/file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "file").read_text() == "new"
    for nameless in (Path(), Path("/")):
        with pytest.raises(RunError, match="it names no file"):
            write_text(nameless, "text")


def test_a_missing_input_is_not_told_as_a_failed_write(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.png"
    with pytest.raises(FileNotFoundError, match=r"input\.jpg"), atomic(path):
        (tmp_path / "input.jpg").read_bytes()
    assert list(path.parent.iterdir()) == []


def test_a_copy_onto_a_full_disk_names_the_target(tmp_path: Path) -> None:
    """`shutil.copy` names its source first, also when the target cannot be written."""
    path, source = tmp_path / "out.pdf", tmp_path / "made.pdf"

    def full(temporary: Path) -> OSError:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(temporary))

    with pytest.raises(RunError, match=r"cannot write .*out\.pdf: No space left"), atomic(path) as temporary:
        raise full(temporary)
    with pytest.raises(FileNotFoundError, match=r"made\.pdf"), atomic(path) as temporary:
        shutil.copy(source, temporary)


def test_a_folder_that_is_a_link_is_the_one_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "disk" / "a.txt"))
    assert concerns(refused, tmp_path / "runs" / "a.txt")
    assert concerns(refused, tmp_path / "runs")
    assert not concerns(refused, tmp_path / "runs" / "b.txt")
    assert concerns(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "runs" / "b.txt")


def test_json_refuses_nan_and_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"a": 1', b'{"a": "\xff"}', b"[]", b'"a"', b"null", b"NaN"])
def test_missing_or_broken_json_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"facts\.json.*run the step that writes it again"):
        read_json(path)


def test_a_key_that_json_lacks_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"files": [{"name": "a"}], "code": {}}')
    facts = read_json(path)
    assert facts == {"files": [{"name": "a"}], "code": {}}
    assert facts.get("settings") is None
    for asked in (lambda: facts["settings"], lambda: facts["files"][0]["sha256"], lambda: facts["code"]["sha256"]):
        with pytest.raises(RunError, match=r"facts\.json is damaged.*lacks '(settings|sha256)'; restore it"):
            asked()


def test_a_file_that_cannot_be_hashed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot read .*absent\.safetensors: No such file.*run the step that writes it"):
        hash_file(tmp_path / "absent.safetensors")


def test_hashes(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert hash_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_no_scraps_where_there_is_no_folder(tmp_path: Path) -> None:
    remove_scraps(tmp_path / "absent")
