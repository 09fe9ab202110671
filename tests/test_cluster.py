"""Steps side by side: what they ask for, and the way through Slurm, played by a stand-in."""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
import yaml

NETWORKS = {"01", "02", "03", "03b", "04", "05", "07", "08", "10", "11", "12", "13"}  # notebooks that use a GPU
SLURM = """#!/bin/bash
# sbatch, srun, sacct, scancel, sacctmgr, sinfo: a job runs here and at once, numbered by the process that submitted it
jobs=$(dirname "$0")/jobs
case $(basename "$0") in
sbatch)
    echo "$*" > "$jobs/$$.call"
    while [ $# -gt 0 ]; do
        case $1 in --wrap=*) job=${1#--wrap=};; --output) log=${2//%j/$$};; esac
        shift
    done
    echo RUNNING > "$jobs/$$.state"
    (
        SLURM_JOB_ID=$$ setsid sh -c "$job" & echo $! > "$jobs/$$.group"
        if wait $!; then echo COMPLETED; else echo FAILED; fi > "$jobs/$$.state"
    ) > "$log" 2>&1 < /dev/null &
    echo $$
    ;;
srun) while [[ $1 == -* ]]; do shift; done; exec "$@";;
sacct) [ "$1" = -j ] || for state in "$jobs"/*.state; do echo "$(basename "$state" .state)|$(cat "$state")"; done;;
scancel) for job; do echo "$job" >> "$jobs/cancelled"; kill -- "-$(cat "$jobs/$job.group")"; done;;
sacctmgr) echo project;;
esac
"""
KILLED_ONCE = """import os, signal
from pathlib import Path
if not Path("../slurm/killed").exists():
    Path("../slurm/killed").touch()
    os.killpg(os.getpgid(os.getppid()), signal.SIGTERM)"""
MEETING = """import time
from pathlib import Path
if "variant" in globals():  # a joint training: it ends when that of the other seed has started
    Path(f"../met{seed}").touch()
    waits = time.monotonic() + 120
    while not Path(f"../met{1 - seed}").exists():
        assert time.monotonic() < waits, "the other training has not started"
        time.sleep(0.1)"""
needs_plugin = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="snakemake-executor-plugin-slurm is not installed: pip install snakemake-executor-plugin-slurm",
)


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A checkout of its own."""
    for name in ("gcl_core", "configs", "notebooks", "scripts"):
        shutil.copytree(repository / name, tmp_path / name)
    for name in ("Snakefile", "CITATION.cff"):
        shutil.copy(repository / name, tmp_path)
    return tmp_path


def started(checkout: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(checkout / "slurm"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(checkout), **more}
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(
        command, cwd=checkout, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def planner(checkout: Path, profile: str, overrides: Sequence[str], *words: str, **more: str) -> subprocess.Popen[str]:
    settings = ["--config", f"profile={profile}", f"overrides=[{', '.join(map(repr, overrides))}]"]
    rules = ["--nolock", "--scheduler", "greedy", "--rerun-triggers", "mtime", "input", "params"]
    return started(checkout, "snakemake", *settings, *rules, *words, **more)


def snakemake(checkout: Path, profile: str, overrides: Sequence[str], *words: str, **more: str) -> str:
    run = planner(checkout, profile, overrides, *words, **more)
    answer, _ = run.communicate()
    assert run.returncode == 0, answer
    return answer


def put_stand_ins(checkout: Path, overrides: Sequence[str], code: str) -> None:
    """Put `code` in every notebook's place; what the step promises is still written."""
    promised = defaultdict(list)
    for line in snakemake(checkout, "smoke", overrides, "--cores", "2", "--summary").splitlines():
        file, *more = line.split("\t")
        if more and not file.endswith(".done"):
            promised[more[1]].append(f"../{file}")
    for path in (checkout / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        lines = [code, "from pathlib import Path", f"for file in {promised[path.stem[3:]]}:"]
        lines += ["    Path(file).parent.mkdir(parents=True, exist_ok=True)", "    Path(file).touch()"]
        notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        notebook.cells.append(nbformat.v4.new_code_cell("\n".join(lines)))
        nbformat.write(notebook, path)


def targets(*steps: str, profile: str = "smoke") -> list[str]:
    return [f"runs/{profile}/steps/{step}.done" for step in steps]


def asked(plan: str) -> dict[str, dict[str, int]]:
    """Return the resources of every notebook's steps in a dry run."""
    found = re.findall(r"^    log: \S*/notebooks/(\d\db?)_.*?^    resources: (.*?)$", plan, re.MULTILINE | re.DOTALL)
    return {step: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)\b", text)} for step, text in found}


def test_two_trainings_run_at_once(checkout: Path) -> None:
    put_stand_ins(checkout, ["seeds=2"], MEETING)
    steps = ("04_joint_training_tda_seed0", "04_joint_training_tda_seed1")
    snakemake(checkout, "smoke", ["seeds=2"], "--cores", "2", *targets(*steps))


def test_steps_with_networks_ask_for_a_gpu_unless_the_study_runs_on_cpu(checkout: Path) -> None:
    words = ("--cores", "8", "--dry-run")
    plan = asked(snakemake(checkout, "market1501", ["data_root=/data", "seeds=3", "devices=4"], *words))
    assert len(plan) == 15
    assert {step: resources["gpu"] for step, resources in plan.items() if resources["gpu"]} == {
        **dict.fromkeys(NETWORKS, 1),
        **dict.fromkeys(("01", "03", "04"), 4),  # trainings one for each device, what measures one
    }
    assert all(resources["runtime"] > 0 and resources["mem_mb"] > 0 for resources in plan.values())
    assert {resources["gpu"] for resources in asked(snakemake(checkout, "smoke", [], *words)).values()} == {0}


def test_slurm_profile_speaks_of_rules_that_exist(repository: Path) -> None:
    profile = yaml.safe_load((repository / "configs/cluster/slurm/config.yaml").read_text(encoding="utf-8"))
    rules = set(re.findall(r"^rule (\w+):", (repository / "Snakefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert profile["set-resources"].keys() <= rules


def guide(repository: Path, word: str) -> list[str]:
    """Return the commands of docs/CLUSTER.md with a word in them, as words of Python, without the interpreter."""
    text = (repository / "docs/CLUSTER.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(rf"^\.venv/bin/python -m (.*\b{word}\b.*)$", text, re.MULTILINE)
    return [line.partition("  #")[0] for line in lines]


@pytest.mark.parametrize("word", ["plan", "summary"])
def test_commands_of_the_guide_run(repository: Path, checkout: Path, word: str) -> None:
    (line,) = guide(repository, word)
    run = started(checkout, *shlex.split(line))
    told, _ = run.communicate()
    assert run.returncode == 0, told
    assert "37 of 37 steps to run" in told if word == "plan" else len(re.findall(r"^gcl +[012] ", told, re.M)) == 3


@needs_plugin
def test_slurm_profile_is_understood(repository: Path, checkout: Path) -> None:
    (line,) = guide(repository, "dry-run")
    run = started(checkout, *shlex.split(line))
    plan, _ = run.communicate()
    assert run.returncode == 0, plan
    assert re.search(r"^rule ablations:[^[]*slurm_partition=cpu", plan, re.MULTILINE)
    assert set(re.findall(r"^    threads: (\d+)$", plan, re.MULTILINE)) == {"8"}
    assert re.search(r"^total +37$", plan, re.MULTILINE)


@pytest.fixture
def slurm(checkout: Path) -> Path:
    """Slurm's commands in the checkout's folder `slurm`, played by a stand-in; the profile asks after jobs often."""
    home = checkout / "slurm"
    (home / "jobs").mkdir(parents=True)
    for name in ("sbatch", "srun", "sacct", "scancel", "sacctmgr", "sinfo"):
        (home / name).write_text(SLURM)
        (home / name).chmod(0o755)
    with (checkout / "configs/cluster/slurm/config.yaml").open("a") as stream:
        stream.write("slurm-init-seconds-before-status-checks: 1\n")
    return home / "jobs"


@needs_plugin
def test_study_goes_through_slurm_and_killed_steps_are_submitted_again(checkout: Path, slurm: Path) -> None:
    put_stand_ins(checkout, ["device=auto", "devices=2"], KILLED_ONCE)
    run = started(
        checkout, "gcl_core", "run", "smoke", "device=auto", "devices=2", "--cluster", "configs/cluster/slurm"
    )
    told, _ = run.communicate()
    assert run.returncode == 0, told
    assert "21 of 21 steps done" in told
    calls = [path.read_text() for path in slurm.glob("*.call")]
    assert len(calls) == 21  # the first step twice, the report never
    for call in calls:
        notebook = re.search(r"rule_(\w+?)(_wildcards\S*)? ", call)
        assert notebook is not None
        reads = notebook[1] in ("data_preparation", "cluster_count_curves", "ablations", "three_datasets")
        trains = notebook[1] in ("baseline", "generator_warm_up", "joint_training")
        assert re.findall(r"--gpus=(\d+)", call) == ([] if reads else ["2"] if trains else ["1"])
        assert "--nodes=1 " in call  # where the GPUs of a training are
        assert f"-p {'cpu' if reads else 'gpu'} " in call
        assert "-A project " in call
        assert "--requeue" in call


@needs_plugin
def test_stopped_study_cancels_its_jobs(checkout: Path, slurm: Path) -> None:
    put_stand_ins(checkout, [], "import time\nprint('at work', flush=True)\ntime.sleep(300)")
    run = started(checkout, "gcl_core", "run", "smoke", "--cluster", "configs/cluster/slurm")
    while not any("at work" in log.read_text() for log in checkout.glob(".snakemake/slurm_logs/**/*.log")):
        assert run.poll() is None
        time.sleep(1)
    run.send_signal(signal.SIGTERM)
    told, _ = run.communicate()
    assert run.returncode == 130, told
    assert (slurm / "cancelled").read_text().split() == [path.stem for path in slurm.glob("*.call")]
