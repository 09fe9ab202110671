"""Runs the whole study: Snakemake under a lock, told in calm lines; a failure is told by notebook."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from gcl_core.config import REPOSITORY, load_study
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import run_problem
from gcl_core.workflow.guard import VARIABLE, end_processes

PROGRESS = re.compile(r"^(\d+) of (\d+) steps")
CANCELLING = 90  # seconds; Snakemake's plugin gives scancel 60


def run_study(
    layout: Layout, profile: str, overrides: Sequence[str], *, jobs: int | None = None, cluster: Path | None = None
) -> bool:
    """Run every step that is missing or out of date, here or on a cluster; return whether any was.

    `jobs` is the most CPU cores used at once; `cluster` the folder of a Snakemake profile that says where steps run.
    Raises RunError: another run is at work on the profile, its folders cannot be written, `cluster` is no profile, a
    training needs more GPUs than there are here, or a step failed (the text says which, why and where to read on).
    KeyboardInterrupt (also on SIGTERM) ends all steps.
    """
    if cluster and not (cluster / "config.yaml").is_file():
        raise RunError(f"no Snakemake profile in {cluster}: expected config.yaml there, as in configs/cluster/slurm")
    gpus, devices = [] if cluster or layout.study.device == "cpu" else local_gpus(), layout.study.devices
    if gpus and devices > len(gpus):
        raise RunError(
            f"devices={devices}: a training takes a GPU each, and this machine shows {len(gpus)} ({', '.join(gpus)}); "
            f"set devices to {len(gpus)} or less, or go to a cluster by --cluster (docs/CLUSTER.md)"
        )
    with _alone(layout):
        log, started, ran = layout.runs / "snakemake.log", time.time(), False
        where = ["--workflow-profile", str(cluster)] if cluster else []
        where += ["--cores", str(jobs or "all")] if jobs or not cluster else []
        where += ["--resources", f"gpu={len(gpus)}"] if gpus else []
        stale = [f"runs/{layout.study.profile}/steps/{name}.done" for name in stale_steps(layout)]
        again = ["--forcerun", *stale] if stale else []
        command, patience = [*_snakemake(profile, overrides), *again, *where], CANCELLING if cluster else 0
        with log.open("w", encoding="utf-8") as stream, _ended_with_us(command, gpus, patience) as process:
            assert process.stderr is not None
            for line in process.stderr:
                stream.write(line)
                stream.flush()
                if (progress := PROGRESS.match(line)) and progress[1] != progress[2]:
                    ran = True
                    print(f"{progress[1]} of {int(progress[2]) - 1} steps done", flush=True)
            status = process.wait()
        if status:
            raise RunError("\n".join(_failures(layout, started) or [f"Snakemake failed:\n{_tail(log)}"]))
    return ran


def stale_steps(layout: Layout) -> list[str]:
    """Return the trainings that are marked as done while their run is gone, unfinished or made of something else."""
    marks, study = layout.runs / "steps", layout.study
    trained = {"baseline": "01_baseline", "warm_up": "03_generator_warm_up"}
    trained |= {name: f"04_joint_training_{name}" for name in study.variants}
    steps = {f"{step}_seed{seed}": (name, seed) for name, step in trained.items() for seed in range(study.seeds)}
    return [step for step, run in steps.items() if (marks / f"{step}.done").is_file() and run_problem(layout, *run)]


def step_states(profile: str, overrides: Sequence[str]) -> dict[str, bool]:
    """Return every step's name in running order and whether it is done. Changes nothing."""
    stale = set(stale_steps(Layout(load_study(profile, overrides))))
    command = [*_snakemake(profile, overrides), "--cores", "all", "--summary"]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if answer.returncode:
        raise RunError(f"Snakemake cannot plan the study:\n{answer.stderr.strip()}")
    states = {}
    for line in answer.stdout.splitlines()[1:]:
        output, *_, plan = line.split("\t")
        if output.endswith(".done"):
            name = Path(output).stem
            states[name] = plan == "no update" and name not in stale
    return dict(sorted(states.items()))


def local_gpus() -> list[str]:
    """Return this machine's GPUs as CUDA_VISIBLE_DEVICES names them; an empty list when torch sees none."""
    count, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _snakemake(profile: str, overrides: Sequence[str]) -> list[str]:
    """Snakemake's own lock is left out: ours covers it, and does not outlive a killed run."""
    settings = ["--config", f"profile={profile}", f"overrides={json.dumps(list(overrides))}"]
    rules = ["--rerun-triggers", "mtime", "input", "params", "--rerun-incomplete", "--nolock", "--scheduler", "greedy"]
    return [sys.executable, "-m", "snakemake", *settings, *rules]


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Hold the profile's lock; it goes with the process, however that ends."""
    lock = FileLock(layout.runs / ".study.lock")
    try:
        for folder in (layout.runs, layout.figures):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(f"another run is at work on {layout.runs}; wait for it or stop it, then try again") from error
    except OSError as error:
        raise RunError(
            f"cannot write in {error.filename or layout.runs}: {error.strerror}; check its permissions"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _ended_with_us(command: Sequence[str], gpus: Sequence[str], patience: int) -> Iterator[subprocess.Popen[str]]:
    """Start Snakemake; it and all that it starts end with this block, or with this process if that is killed.

    What runs on other machines only Snakemake can end: it has `patience` seconds for that.
    """
    mark = uuid.uuid4().hex
    environment = {
        **os.environ,
        VARIABLE: mark,
        **({"GCL_GPUS": " ".join(gpus)} if len(gpus) > 1 else {}),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
    }
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    guard = subprocess.Popen(
        [sys.executable, "-m", "gcl_core.workflow.guard", mark],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if patience and process.poll() is None:
            print("cancelling what runs on the cluster", file=sys.stderr, flush=True)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=patience)
        end_processes(mark)
        process.wait()
        guard.kill()
        guard.wait()
        signal.signal(signal.SIGTERM, earlier)


def _failures(layout: Layout, since: float) -> list[str]:
    """Tell of each notebook that ran since and has no mark of being done: its error and where to read on."""
    told = []
    for notebook in sorted((layout.runs / "notebooks").glob("*.ipynb")):
        mark = layout.runs / "steps" / f"{notebook.stem}.done"
        if notebook.stat().st_mtime < since or mark.is_file():
            continue
        told.append(f"{notebook.stem} failed: {_error(notebook)}\n  executed copy: {notebook}")
        messages = notebook.with_suffix(".log")
        if messages.is_file():
            told.append(f"  messages:      {messages}")
    return told


def _error(notebook: Path) -> str:
    """Return the error an executed notebook ended with."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (json.JSONDecodeError, KeyError):
        return "it was ended while its copy was being written"
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output["output_type"] == "error"]
    return f"{errors[-1]['ename']}: {errors[-1]['evalue']}" if errors else "it was ended from outside"


def _tail(path: Path, lines: int = 25) -> str:
    return "\n".join(path.read_text(encoding="utf-8").splitlines()[-lines:])
