"""The check on a GPU, rehearsed on a CPU as people type it; how it keeps time, goes on, and tells what went wrong."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from gcl_core.files import RunError, hash_file, write_json

TINY = (
    "picture.height=64",
    "picture.width=32",
    "people.train_identities=6",
    "people.test_identities=3",
    "identity_encoder.layers=[1,1,1,1]",
    "identity_encoder.width=16",
    "generator.dim=4",
    "discriminator.dim=8",
)
# what a machine with a GPU need not have (docs/GPU.md)
ABSENT = ("anny", "IPython", "loky", "matplotlib", "papermill", "psutil", "skimage", "snakemake")


@pytest.fixture(autouse=True)
def _measuring(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of data of a tiny study."""
    path = tmp_path_factory.mktemp("gpu") / "data.tar"
    subprocess.run([sys.executable, "-m", "gcl_core", "gpu-data", str(path), *TINY], check=True, capture_output=True)
    return path


def rehearse(repository: Path, data: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [repository / "benchmarks/gpu.sh", data, "--out", out, "--rehearse"]
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_rehearsal_does_every_part_and_a_second_call_what_is_missing(
    repository: Path, data: Path, tmp_path: Path
) -> None:
    from gpu_check import BUDGETS

    out = tmp_path / "out"
    answer = rehearse(repository, data, out)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    parts = json.loads((out / "parts.json").read_text())
    assert list(parts) == list(BUDGETS)
    assert {each["state"] for each in parts.values()} == {"done"}
    found = {part: json.loads((out / f"{part}.json").read_text()) for part in parts}
    assert found["equality"]["float64"]["within"]
    assert found["steps"]["step, precision=fp32"]["share of the matrix product's rate"] > 0
    assert all("map" in found[part]["training"] for part in ("baseline", "gcl", "tda", "surface"))
    assert (out / "views.png").is_file()
    assert (out / "summary.md").read_text().startswith("# A rehearsal on a CPU")

    trained = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.safetensors")}
    del parts["fid"]
    (out / "parts.json").write_text(json.dumps(parts))
    again = rehearse(repository, data, out)
    assert [line.partition(":")[0] for line in again.stdout.splitlines()[:-1]] == ["fid"]
    assert trained == {path: path.stat().st_mtime_ns for path in trained}


def test_nothing_is_imported_that_a_machine_with_a_gpu_may_lack(repository: Path) -> None:
    code = f"import sys; import gpu_check; print(*[name for name in {ABSENT} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), str(repository / "benchmarks")])}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_all_parts_together_take_at_most_twenty_minutes() -> None:
    from gpu_check import BUDGETS

    assert sum(BUDGETS.values()) <= 20 * 60


def test_a_part_whose_time_is_over_is_ended_and_its_log_kept(tmp_path: Path) -> None:
    from gpu_check import _within

    def endless() -> None:
        print("at work", flush=True)
        time.sleep(600)

    start = time.monotonic()
    assert _within(2, tmp_path / "log", endless) is None
    assert time.monotonic() - start < 60
    assert (tmp_path / "log").read_text() == "at work\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_check_that_is_killed_leaves_no_part_at_work(repository: Path, tmp_path: Path) -> None:
    work = "lambda: (print(os.getpid(), flush=True), time.sleep(600))"
    code = "import os, sys, time; from pathlib import Path; from gpu_check import _within; "
    code += f"_within(600, Path(sys.argv[1]), {work})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), str(repository / "benchmarks")])}
    check = subprocess.Popen([sys.executable, "-c", code, tmp_path / "log"], env=environment)
    part = psutil.Process(int(waited(lambda: (tmp_path / "log").is_file() and (tmp_path / "log").read_text())))
    check.kill()
    check.wait(60)
    waited(lambda: not part.is_running() or part.status() == psutil.STATUS_ZOMBIE)


def waited(until: Callable[[], Any]) -> Any:
    """Return what `until` returns as soon as that is something."""
    end = time.monotonic() + 60
    while not (found := until()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_what_was_found_is_on_the_page_before_the_last_part_ends(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_check

    def stopped(budget: float, log: Path, work: Callable[[], None]) -> int:
        if log.name == "equality.log":
            raise KeyboardInterrupt
        log.touch()
        return 0

    monkeypatch.setattr(gpu_check, "_within", stopped)
    write_json(tmp_path / "machine.json", gpu_check._machine(hash_file(data), rehearse=True))
    with pytest.raises(KeyboardInterrupt):
        gpu_check.check(data, tmp_path, rehearse=True)
    assert "| branches | done |" in (tmp_path / "summary.md").read_text()


def test_a_part_that_breaks_off_is_told_by_its_status(tmp_path: Path) -> None:
    from gpu_check import _within

    assert _within(60, tmp_path / "log", lambda: os._exit(7)) == 7
    assert _within(60, tmp_path / "log", lambda: None) == 0


def test_a_failed_measurement_is_kept_and_done_again(tmp_path: Path) -> None:
    from gpu_sheet import Sheet

    calls = []

    def fails() -> dict:
        calls.append("fails")
        raise RuntimeError("CUDA error\n\nno kernel | for this card\nCompile with a switch to know more.\n")

    for expected in (1, 2):
        sheet = Sheet(tmp_path / "part.json")
        sheet.measure("one", fails)
        sheet.measure("other", lambda: calls.append("other") or {"value": 3.0})
        sheet.measure("far off", lambda: {"within": False})
        assert calls.count("fails") == expected
        assert calls.count("other") == 1
        one, far = sheet.problems
        assert one == "one: RuntimeError: CUDA error; no kernel / for this card"
        assert far.startswith("far off: outside its bound")
    sheet.measure("one", lambda: {"value": {"here": float("nan")}})
    assert Sheet(tmp_path / "part.json").found["one"]["value"] == {"here": "nan"}
    assert [each.partition(":")[0] for each in sheet.problems] == ["far off"]


def test_operations_are_those_of_matrix_products_and_convolutions() -> None:
    from gpu_parts import Operations

    with Operations() as counter:
        torch.mm(torch.ones(3, 4), torch.ones(4, 5))
    assert counter.total == 2 * 3 * 4 * 5
    kernel = torch.ones(2, 3, 3, 3, requires_grad=True)
    with Operations() as counter:
        torch.conv2d(torch.ones(1, 3, 8, 8), kernel, padding=1).sum().backward()
    assert counter.total == 2 * 2 * (8 * 8 * 2 * 3 * 9)  # forward, and the kernel's gradient


def test_a_gradient_far_from_the_cpus_is_outside_the_bound() -> None:
    from gpu_parts import judged

    reference = {"image 0": 1.0, "image 1": 1.0}
    lost = {"image 0": 1.0, "other 0": float("nan"), "image 1": 1.0, "other 1": 1.0}
    assert judged({"image 0": 1.0005, "image 1": 9.0}, reference, 1e-3)["within"]
    assert not judged({"image 0": 1.002, "image 1": 1.0}, reference, 1e-3)["within"]
    assert not judged(lost, dict.fromkeys(lost, 1.0), 1e-3)["within"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_nothing_is_done(repository: Path, data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gcl_core", "gpu-check", str(data), "--out", str(tmp_path / "out")]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "torch sees no GPU here" in answer.stderr
    assert not (tmp_path / "out/parts.json").exists()


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    from gpu_check import check

    (tmp_path / "data.tar").write_bytes(content)
    with pytest.raises(RunError, match="holds no data of the check") as told:
        check(tmp_path / "data.tar", tmp_path / "out", rehearse=True)
    assert not (tmp_path / "out").exists()  # where a sound file can be given next
    assert str(told.value).count("data.tar") == 1  # the advice names no file that is somebody's


def _archive(path: Path, names: Sequence[str]) -> None:
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))


@pytest.mark.parametrize("names", [None, [], ["settings.json"], ["photo.jpg", "settings.json", "shapes.json"]])
def test_a_file_that_is_something_else_is_not_replaced(names: list[str] | None, tmp_path: Path) -> None:
    from gpu_data import make_data

    path = tmp_path / "data.tar"
    path.write_bytes(b"somebody's thesis")
    if names is not None:
        _archive(path, names)
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"data\.tar is there and holds no data of the check.*name another file"):
        make_data(path, TINY)
    assert path.read_bytes() == before
    with pytest.raises(RunError, match="is there and holds no data"):
        make_data(tmp_path, TINY)


def test_a_file_of_data_is_replaced_even_when_it_was_cut_off(tmp_path: Path) -> None:
    import gpu_data

    path = tmp_path / "data.tar"
    _archive(path, [gpu_data.SETTINGS, gpu_data.SHAPES])
    path.write_bytes(path.read_bytes()[:1100])
    gpu_data.make_data(path, TINY)
    assert gpu_data.unpacked(gpu_data.opened(path, ()), tmp_path / "out").study.picture.height == 64


@pytest.mark.parametrize("shape", [(3, 32, 16, 3), (3, 8, 32, 16), (3, 7, 32, 16, 3)])
def test_packed_pictures_come_back_to_the_bit(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_data

    monkeypatch.setattr(gpu_data, "TALLEST", 64)  # two pictures to a file
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    parts = gpu_data.packed(array)
    assert len(parts) == 2
    content = {f"a.npy.{place:03}.webp": part for place, part in enumerate(parts)}
    back = np.load(io.BytesIO(gpu_data.as_file(gpu_data.restored(content, "a.npy", shape))))
    assert back.dtype == np.uint8
    assert np.array_equal(back, array)


def test_data_above_forty_megabytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_data

    monkeypatch.setattr(gpu_data, "MOST", 1000)
    words = ["people.train_identities=2", "people.test_identities=2", "picture.height=64", "picture.width=32"]
    with pytest.raises(RunError, match="at most"):
        gpu_data.make_data(tmp_path / "data.tar", words)
    assert not (tmp_path / "data.tar").exists()


def test_results_of_another_machine_are_not_mixed_in(tmp_path: Path) -> None:
    from gpu_check import _same_machine

    _same_machine(tmp_path / "machine.json", {"GPU": "one"})
    _same_machine(tmp_path / "machine.json", {"GPU": "one"})
    with pytest.raises(RunError, match=r"GPU is one there and other here: give another folder by --out"):
        _same_machine(tmp_path / "machine.json", {"GPU": "other"})
    (tmp_path / "machine.json").write_text("[]")
    with pytest.raises(RunError, match=r"machine\.json is damaged or of something else.*move it away"):
        _same_machine(tmp_path / "machine.json", {"GPU": "one"})


def test_results_of_another_file_of_data_are_not_mixed_in(tmp_path: Path) -> None:
    from gpu_check import _machine, _same_machine

    _same_machine(tmp_path / "machine.json", _machine("a" * 64, rehearse=True))
    with pytest.raises(RunError, match=r"data: data is a{12} there and b{12} here: give another folder by --out"):
        _same_machine(tmp_path / "machine.json", _machine("b" * 64, rehearse=True))


def test_what_differs_is_told_in_words_as_one_meets_it(data: Path, tmp_path: Path) -> None:
    from gpu_check import check

    (tmp_path / "machine.json").write_text('{"rehearsal": false, "GPU": "other"}')
    with pytest.raises(
        RunError, match=r"^/.* holds results of another .*rehearsal is False there and True here, .*GPU"
    ):
        check(data, tmp_path, rehearse=True)
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_told_before_people_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_data

    (tmp_path / "file").touch()
    monkeypatch.setattr(gpu_data, "prepare_data", lambda _: pytest.fail("people were made"))
    with pytest.raises(RunError, match=r"cannot write .*data\.tar"):
        gpu_data.make_data(tmp_path / "file" / "data.tar", TINY)


def test_a_machine_that_does_not_answer_is_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_check

    monkeypatch.setattr(gpu_check, "_within", lambda seconds, log, work: log.touch())  # returns no status, as timed out
    with pytest.raises(RunError, match="no answer within 120 seconds"):
        gpu_check.check(data, tmp_path / "out", rehearse=True)
