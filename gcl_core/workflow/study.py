"""Runs the whole study: Snakemake under a lock, told in calm lines; a failure is told by notebook."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import yaml

from gcl_core.config import REPOSITORY, Study, load_study
from gcl_core.data.index import DataError
from gcl_core.data.person_set import load_person_set
from gcl_core.data.source_set import load_source_set
from gcl_core.files import RunError, concerns, held, remove_scraps, why
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import repeats_of, run_problem
from gcl_core.workflow.failures import tail, told_failures
from gcl_core.workflow.guard import VARIABLE, end_processes

PROGRESS = re.compile(r"^(\d+) of (\d+) steps")
TOLERATED = 10**9  # nanoseconds by which files may be dated ahead
LAST_OF_LONGEST = "steps/05_fid_per_view.done"  # of the chains of steps: what leads there starts first
CANCELLING = 90  # seconds; Snakemake's plugin gives scancel 60


def run_study(
    layout: Layout, profile: str, overrides: Sequence[str], *, jobs: int | None = None, cluster: Path | None = None
) -> bool:
    """Run every step that is missing or out of date, here or on a cluster; return whether any was.

    `jobs` is the most CPU cores used at once; `cluster` the folder of a Snakemake profile that says where steps run.
    Raises RunError: another run is at work on the profile, its folders cannot be written, `cluster` is no profile, a
    training needs more GPUs than there are here, or a step failed (the text says which, why and where to read on).
    KeyboardInterrupt ends all steps.
    """
    if cluster and not (cluster / "config.yaml").is_file():
        raise RunError(f"no Snakemake profile in {cluster}: expected config.yaml there, as in configs/cluster/slurm")
    gpus = [] if cluster else usable_gpus(layout.study)
    with _alone(layout):
        if not cluster:  # whose processes this machine takes for dead
            remove_scraps(layout.figures)
        log, ran = layout.runs / "snakemake.log", False
        where = ["--workflow-profile", str(cluster)] if cluster else []
        where += ["--cores", str(jobs or "all")] if jobs or not cluster else []
        where += ["--resources", f"gpu={len(gpus)}"] if gpus else []
        if layout.study.seeds == 1:  # of several, the people of one would wait for the trainings of another
            where += ["--prioritize", f"runs/{layout.study.profile}/{LAST_OF_LONGEST}"]
        command = [*_snakemake(profile, overrides), *_again(layout), *where]
        patience = CANCELLING if cluster else 0
        with _written(log) as stream, _ended_with_us(command, gpus, patience) as process:
            started = log.stat().st_mtime  # by the clock of the disk, which may be another machine's
            assert process.stderr is not None
            for line in process.stderr:
                stream.write(line)
                stream.flush()
                if (progress := PROGRESS.match(line)) and progress[1] != progress[2]:
                    ran = True
                    print(f"{progress[1]} of {int(progress[2]) - 1} steps done", flush=True)
            status = process.wait()
        if status:
            raise RunError("\n".join(told_failures(layout, started) or [f"Snakemake failed:\n{tail(log)}"]))
    return ran


@contextlib.contextmanager
def _written(log: Path) -> Iterator[TextIO]:
    """Open a log to be written. Raises RunError where the disk is full, or the log cannot be written."""
    try:
        with log.open("w", encoding="utf-8") as stream:
            yield stream
    except BrokenPipeError:  # of what is printed
        raise
    except OSError as error:
        if not concerns(error, log):
            raise
        raise RunError(
            f"cannot write {log}: {error.strerror}; free space or check permissions, then start the study again"
        ) from error


def stale_steps(layout: Layout) -> list[str]:
    """Return the steps that are marked as done while what they made is gone, unfinished or made of something else.

    That is prepared data whose source was changed since, and trainings whose run is no run of this study.
    """
    marks, study = layout.runs / "steps", layout.study
    own = range(1, study.seeds if study.people.each_seed else 1)
    data = {"00_data_preparation": 0, **{f"00_data_preparation_seed{seed}": seed for seed in own}}
    trained = {"baseline": "01_baseline", "warm_up": "03_generator_warm_up"}
    trained |= {name: f"04_joint_training_{name}" for name in study.variants}
    runs = [(name, seed) for name in trained for seed in range(study.seeds)]
    done = {path.stem for path in marks.glob("*.done")}
    stale = [step for step, seed in data.items() if step in done and _data_problem(layout, seed)]
    for name, seed in runs:
        step, repeats = f"{trained[name]}_seed{seed}", repeats_of(study, name)
        if step in done and any(run_problem(layout, name, seed, repeat) for repeat in repeats):
            stale.append(step)
    return stale


def _data_problem(layout: Layout, seed: int) -> str:
    """Return what is wrong with a seed's prepared data, nothing when they are up to date."""
    try:
        load_person_set(layout.of_seed(seed))
        if layout.study.source is not None:
            load_source_set(layout)
    except (DataError, RunError) as error:
        return str(error)
    return ""


def step_states(profile: str, overrides: Sequence[str]) -> dict[str, bool]:
    """Return every step's name in running order and whether it is done, as `run_study` would find it. Changes nothing.

    Raises RunError: Snakemake, which keeps its records in the checkout, cannot plan the study.
    """
    layout = Layout(load_study(profile, overrides))
    command = [*_snakemake(profile, overrides), *_again(layout), "--cores", "all", "--summary"]
    answer = subprocess.run(
        command, cwd=REPOSITORY, env=_environment(), capture_output=True, encoding=_printed(), errors="replace"
    )
    if answer.returncode:
        _require_writable(*(REPOSITORY / name for name in (".snakemake", "runs", "figures")))
        for place in (REPOSITORY / top / layout.study.profile for top in ("runs", "figures")):
            if place.is_file():
                raise RunError(f"cannot write in {place}: it is a file where a folder is needed")
        raise RunError(f"Snakemake cannot plan the study:\n{answer.stderr.strip()}")
    states = {}
    for line in answer.stdout.splitlines()[1:]:
        output, *_, plan = line.split("\t")
        if output.endswith(".done"):
            states[Path(output).stem] = plan == "no update"
    return dict(sorted(states.items()))


def _again(layout: Layout) -> list[str]:
    """Return the option that has stale steps made again."""
    stale = [f"runs/{layout.study.profile}/steps/{name}.done" for name in stale_steps(layout)]
    return ["--forcerun", *stale] if stale else []


def usable_gpus(study: Study) -> list[str]:
    """Return the GPUs of this machine that a study uses, as `local_gpus`; none where it computes on a CPU.

    Raises RunError: it asks for a GPU and there is none, or for more of them than there are.
    """
    if study.device == "cpu":
        return []
    if study.device == "cuda":
        from gcl_core.device import resolve_device

        resolve_device(study.device)
    gpus = local_gpus()
    if gpus and study.devices > len(gpus):
        raise RunError(
            f"devices={study.devices}: each training takes one GPU, and this machine shows {len(gpus)} "
            f"({', '.join(gpus)}); set devices to {len(gpus)} or less, or go to a cluster by --cluster "
            "(docs/CLUSTER.md)"
        )
    return gpus


def local_gpus() -> list[str]:
    """Return this machine's GPUs as CUDA_VISIBLE_DEVICES names them; an empty list when torch sees none."""
    import torch  # two seconds that a study on a CPU does without

    count, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _snakemake(profile: str, overrides: Sequence[str]) -> list[str]:
    """Snakemake's own lock is left out: ours covers it, and does not outlive a killed run."""
    settings = ["--config", f"profile={_quoted(profile)}", f"overrides={_quoted(list(overrides))}"]
    rules = ["--rerun-triggers", "mtime", "input", "params", "--rerun-incomplete", "--nolock", "--scheduler", "greedy"]
    return [sys.executable, "-m", "snakemake", *settings, *rules]


def _quoted(value: str | list[str]) -> str:
    """Return words as Snakemake reads them back, whatever their characters; plain 2024 would be a number there.

    The blanks around keep it from taking off the quotes before it reads YAML.
    """
    return " " + yaml.safe_dump(value, default_style='"', default_flow_style=True, width=sys.maxsize).strip() + " "


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Hold the profile's lock; it goes with the process, however that ends."""
    _require_writable(REPOSITORY / ".snakemake", layout.runs, layout.figures)
    with held(layout.runs / ".study.lock", f"another run is at work on {layout.runs}"):
        try:
            _set_back_dates(layout)
        except OSError as error:
            where = error.filename or layout.runs
            raise RunError(f"cannot write in {where}: {error.strerror}; check its permissions") from error
        yield


def _require_writable(*folders: Path) -> None:
    """Make folders where they are missing. Raises RunError for one that cannot be written."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            advice = "; check its permissions" if isinstance(error, PermissionError) else ""
            raise RunError(f"cannot write in {folder}: {why(error, folder)}{advice}") from error


def _set_back_dates(layout: Layout) -> None:
    """Set what steps made back to now where it is dated ahead, all by the same time so that its order stays.

    Such files come from a machine whose clock is ahead, or were made before this one's was set back. Snakemake takes
    what a step makes from them for older than they are, and deletes it.
    """
    made = [*(layout.runs / "steps").glob("*.done"), *(path for path in layout.figures.rglob("*") if path.is_file())]
    with tempfile.TemporaryFile(dir=layout.runs) as new:
        now = os.fstat(new.fileno()).st_mtime_ns  # by the clock of the disk
    ahead = max((path.stat().st_mtime_ns for path in made), default=now) - now
    if ahead <= TOLERATED:
        return
    for path in made:
        facts = path.stat()
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns - ahead))
    print(f"what earlier steps made was dated up to {ahead / 3.6e12:.1f} h ahead of this machine's clock: set back")


@contextlib.contextmanager
def _ended_with_us(command: Sequence[str], gpus: Sequence[str], patience: int) -> Iterator[subprocess.Popen[str]]:
    """Start Snakemake; it and all that it starts end with this block, or with this process if that is killed.

    What runs on other machines only Snakemake can end: it has `patience` seconds for that.
    """
    mark = uuid.uuid4().hex
    environment = {**_environment(), VARIABLE: mark, **({"GCL_GPUS": " ".join(gpus)} if len(gpus) > 1 else {})}
    guard = subprocess.Popen(
        [sys.executable, "-m", "gcl_core.workflow.guard", mark],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stderr=subprocess.PIPE,
        encoding=_printed(),
        errors="replace",
        start_new_session=True,
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


def _environment() -> dict[str, str]:
    """Return the environment of all that belongs to a study: this interpreter and this checkout come first."""
    ours = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}
    return ours | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), ours.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), ours.get("PYTHONPATH")])),
        "PYTHONIOENCODING": f"{_printed()}:replace",
    }


def _printed() -> str:
    """Return the character set in which this process and its children print."""
    return sys.stdout.encoding or "utf-8"
