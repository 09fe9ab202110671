"""A failing, killed or stopped run, on a copy of the study; where steps run, and on which GPUs."""

import contextlib
import fcntl
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import torch
from filelock import FileLock, Timeout

from gcl_core.config import Study, load_study
from gcl_core.files import RunError, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.provenance import code_of_stage
from gcl_core.workflow import failures
from gcl_core.workflow import study as workflow
from gcl_core.workflow.study import stale_steps
from tests.test_cluster import planner, targets

FAILING = "print('about to fail', flush=True)\nraise ValueError('picture 7 is broken')"
BASELINES = ("01_baseline_seed0", "01_baseline_seed1")
STAND_IN = """import os, time
begin = time.time()
time.sleep(4)
print(f"sees {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')} from {begin} to {time.time()}")
"""
SLEEPING = "import time\nprint('at work', flush=True)\ntime.sleep(120)"


def put_first_notebook(study: Path, code: str) -> None:
    path = study / "notebooks" / "00_data_preparation.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    nbformat.write(notebook, path)


def start(study: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(study)}
    command = [sys.executable, "-m", "gcl_core", "run", "smoke"]
    return subprocess.Popen(
        command, cwd=study, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def family_at_work(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until the notebook is at work; return all processes of the run but the first."""
    assert run.stdout is not None
    for line in run.stdout:
        if "at work" in line:
            break
    family = psutil.Process(run.pid).children(recursive=True)
    assert any("workflow.kernel" in " ".join(each.cmdline()) for each in family)
    return family


def alive(family: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return the processes that have not ended after some time."""
    end = time.monotonic() + seconds
    left = family
    while left and time.monotonic() < end:
        time.sleep(0.1)
        left = [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    return left


def test_failed_notebook_is_named_with_its_error_and_its_executed_copy(study: Path) -> None:
    put_first_notebook(study, FAILING)
    scrap = study / "figures" / "smoke" / f".fid_per_view.png.{2**22 + 1}.tmp"  # of no process that can live
    scrap.parent.mkdir(parents=True)
    scrap.touch()
    out, err = start(study).communicate()
    assert not scrap.exists()
    assert "00_data_preparation | about to fail" in out
    assert "00_data_preparation failed: ValueError: picture 7 is broken" in err
    executed = study / "runs/smoke/notebooks/00_data_preparation.ipynb"
    assert str(executed) in err
    assert "Traceback" not in err
    cells = nbformat.read(executed, as_version=4).cells
    assert any(output.output_type == "error" for cell in cells for output in cell.get("outputs", []))
    assert not (study / "runs/smoke/steps/00_data_preparation.done").exists()


def test_killed_run_leaves_nobody_behind_and_no_lock(study: Path) -> None:
    put_first_notebook(study, SLEEPING)
    run = start(study)
    family = family_at_work(run)
    lock = FileLock(study / "runs" / "smoke" / ".study.lock")
    with pytest.raises(Timeout):
        lock.acquire(timeout=0)
    run.kill()
    run.communicate()
    assert alive(family, 10) == []
    lock.acquire(timeout=0)
    lock.release()


def test_stopped_run_says_so_and_ends_everybody(study: Path) -> None:
    put_first_notebook(study, SLEEPING)
    run = start(study)
    family = family_at_work(run)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate()
    assert run.returncode == 143
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert alive(family, 10) == []


def told_to_snakemake(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    *,
    devices: int = 1,
    jobs: int | None = None,
    cluster: Path | None = None,
) -> tuple[str, str]:
    """Return the command's end that says where steps run, and the GPUs named to them; nothing is started."""
    told = []

    @contextlib.contextmanager
    def recorded(command: list[str], gpus: list[str], patience: int) -> Iterator[SimpleNamespace]:
        assert (patience > 0) is (cluster is not None)
        where, _, first = " ".join(command).partition("greedy")[2].partition("--prioritize")
        assert first.strip() == "runs/told/steps/05_fid_per_view.done"
        told.extend([where.strip(), " ".join(gpus)])
        yield SimpleNamespace(stderr=io.StringIO(), wait=lambda: 0)

    monkeypatch.setattr(workflow, "_ended_with_us", recorded)
    layout = Layout(Study.model_validate({"profile": "told", "device": device, "devices": devices}), root=study)
    workflow.run_study(layout, "mini", [], jobs=jobs, cluster=cluster)
    return told[0], told[1]


@pytest.mark.parametrize(("visible", "named"), [(None, "0 1"), ("3,5", "3 5")])
def test_no_more_steps_with_networks_than_gpus(
    study: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, named: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert told_to_snakemake(study, monkeypatch, "auto", jobs=4) == ("--cores 4 --resources gpu=2", named)
    assert told_to_snakemake(study, monkeypatch, "cpu") == ("--cores all", "")
    cluster = study / "configs" / "cluster" / "slurm"
    assert told_to_snakemake(study, monkeypatch, "auto", cluster=cluster) == (f"--workflow-profile {cluster}", "")


def test_more_devices_than_gpus_are_refused_before_anything_runs(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert told_to_snakemake(study, monkeypatch, "auto", devices=2) == ("--cores all --resources gpu=2", "3 5")
    monkeypatch.setattr(workflow, "_alone", lambda layout: pytest.fail("it began"))
    with pytest.raises(RunError, match=r"^devices=4: .* shows 2 \(3, 5\); set devices to 2 or less"):
        told_to_snakemake(study, monkeypatch, "auto", devices=4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match=r"^device: cuda was asked for but torch sees no GPU here; use device=cpu"):
        told_to_snakemake(study, monkeypatch, "cuda")
    monkeypatch.undo()
    cluster = study / "configs" / "cluster" / "slurm"
    for device, where in (("cpu", None), ("auto", cluster)):  # processes share a CPU; a cluster's nodes have their own
        told_to_snakemake(study, monkeypatch, device, devices=4, cluster=where)


def test_machine_without_gpu_runs_steps_that_would_use_one_side_by_side(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert told_to_snakemake(study, monkeypatch, "auto") == ("--cores all", "")


def test_folder_without_a_cluster_profile_is_refused(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"no Snakemake profile in \S*configs: expected config\.yaml there"):
        told_to_snakemake(study, monkeypatch, "cpu", cluster=study / "configs")  # Snakemake would run everything here


def begin_baselines(study: Path, devices: int, gpus: str, *steps: str) -> subprocess.Popen[str]:
    """Start baselines after a data step that is done; a stand-in for the notebook tells what it sees, and when."""
    mark = study / targets("00_data_preparation")[0]
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    (study / "gcl_core" / "workflow" / "notebook.py").write_text(STAND_IN)
    words = ("--resources", f"gpu={len(gpus.split()) or 1}", "--cores", "2", *targets(*steps))
    # as in the published sets' profiles, no number of threads is set: each takes its share of the cores
    settings = ["device=auto", "seeds=2", f"devices={devices}", "baseline.threads=null"]
    return planner(study, "smoke", settings, *words, GCL_GPUS=gpus)


def seen_by_baselines(told: str) -> list[tuple[float, float, list[str]]]:
    """Return when each began and ended and the GPUs it saw, in order of their beginnings."""
    lines = re.findall(r"01_\w+ \| sees (\S+) from (\S+) to ([\d.]+)", told)  # Snakemake may write into a line
    return sorted((float(begin), float(end), seen.split(",")) for seen, begin, end in lines)


@pytest.mark.parametrize(("devices", "gpus", "together"), [(1, "", False), (2, "0 3 4 7", True)])
def test_steps_never_share_a_gpu(study: Path, devices: int, gpus: str, together: bool) -> None:
    run = begin_baselines(study, devices, gpus, *BASELINES)
    told, _ = run.communicate()
    assert run.returncode == 0, told
    (_, first_end, first), (second_begin, _, second) = seen_by_baselines(told)
    assert (second_begin < first_end) is together
    assert "waits" not in told  # Snakemake starts no more than there are GPUs for
    if gpus:
        assert len(set(first)) == len(set(second)) == devices
        assert {*first, *second} <= {*gpus.split()}
    assert not together or not {*first} & {*second}


def test_two_runs_on_one_machine_wait_for_each_other(study: Path) -> None:
    """Of three GPUs each run wants two: they could hold one and a half pair each, and wait for ever."""
    runs = [begin_baselines(study, 2, "0 1 2", step) for step in BASELINES]
    told = "".join([run.communicate()[0] for run in runs])
    assert [run.returncode for run in runs] == [0, 0], told
    (_, first_end, first), (second_begin, _, second) = seen_by_baselines(told)
    assert second_begin >= first_end
    assert len(first) == len(second) == 2
    assert 1 <= told.count("| waits for 2 of the GPUs 0 1 2: other runs have them") <= 2


def test_a_step_that_cannot_have_all_its_gpus_lets_go_of_the_others(study: Path) -> None:
    (study / "runs").mkdir()
    with (study / "runs/.gpu-7").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run = begin_baselines(study, 2, "4 7", BASELINES[0])
        assert run.stdout is not None
        before = "".join(
            iter(run.stdout.readline, "01_baseline_seed0 | waits for 2 of the GPUs 4 7: other runs have them\n")
        )
        assert "started" not in before
        with (study / "runs/.gpu-4").open("w") as free:
            time.sleep(0.5)
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
    told, _ = run.communicate()
    assert run.returncode == 0, told
    assert "waits" not in told
    assert [seen for *_, seen in seen_by_baselines(told)] == [["4", "7"]]


def test_a_training_marked_as_done_is_stale_when_its_run_is_gone_or_made_of_something_else(tmp_path: Path):
    layout = Layout(load_study("smoke", "seeds=2"), root=tmp_path)
    facts = {"settings": {}, "inputs": {}, "finished": "now"}
    for step, stage in (("01_baseline", "baseline"), ("04_joint_training_gcl", "gcl")):
        for seed in (0, 1):
            write_text(layout.runs / "steps" / f"{step}_seed{seed}.done", "done\n")
            code = code_of_stage(layout.study, stage)
            write_json(layout.stage(stage, seed) / "manifest.json", {**facts, "seed": seed, "code": code})
    assert stale_steps(layout) == []
    (layout.stage("gcl", 1) / "manifest.json").unlink()
    facts |= {"seed": 0, "code": {"gcl_core/seeding.py": "0"}}
    write_json(layout.stage("baseline", 0) / "manifest.json", facts)
    assert stale_steps(layout) == ["01_baseline_seed0", "04_joint_training_gcl_seed1"]


REASONS = [  # what lies in the step's log and in Snakemake's, and what is told
    ("", "", r"^it was ended from outside$"),
    ("some\nwords\n", "", r"^it was ended from outside$"),
    ("x\nended with status 137\n", "", r"^it was ended from outside, by signal 9$"),
    ("ended with status 143\n", "", r"^it was ended from outside, by signal 15$"),
    ("Traceback\nNoSuchKernel: No such kernel named x\n\nended with status 1\n", "", r"^NoSuchKernel: No such kernel"),
    ("nbclient.exceptions.DeadKernelError: Kernel died\nended with status 1\n", "", r"DeadKernelError: Kernel died$"),
    ("ended with status 127\n", "", r"^it ended with status 127 and says nothing of why$"),
    (
        "fine\nended with status 0\n",
        "host: x\nMissingOutputException in rule a:\nMissing files after 5 seconds:\nfigures/a.png\n",
        r"^it ended well, then Snakemake failed: MissingOutputException in rule a: Missing .*: figures/a\.png",
    ),
]


@pytest.mark.parametrize(("log", "engine", "told"), REASONS)
def test_a_step_was_ended_from_outside_only_where_nothing_else_says_why(
    log: str, engine: str, told: str, tmp_path: Path
) -> None:
    for name, text in (("step.log", log), ("snakemake.log", engine)):
        (tmp_path / name).write_text(text)
    assert re.search(told, failures._reason(None, tmp_path / "step.log", tmp_path / "snakemake.log"))


FATES = {  # what becomes of a notebook, and what is told
    "import os; os.kill(os.getpid(), 9)": "00_data_preparation failed: it was ended from outside, by signal 9\n",
    "pass": "00_data_preparation failed: it ended well, then Snakemake failed: MissingOutputException",
}


@pytest.mark.parametrize("code", FATES)
def test_why_a_step_failed_is_told_where_its_notebook_does_not(code: str, study: Path) -> None:
    (study / "gcl_core" / "workflow" / "notebook.py").write_text(code)
    (study / "runs" / "smoke" / "notebooks").mkdir(parents=True)
    earlier = study / "runs" / "smoke" / "notebooks" / "00_data_preparation.ipynb"
    shutil.copy(study / "notebooks" / "00_data_preparation.ipynb", earlier)  # of another run: says nothing of this one
    _, err = start(study).communicate()
    assert FATES[code] in err
    assert "executed copy" not in err
    assert f"messages:      {study}/runs/smoke/notebooks/00_data_preparation.log" in err
