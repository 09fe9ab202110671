"""The first half hour on a GPU: tests, measurements and a short study, each part within its own time (docs/GPU.md).

Every part is a process of its own, ended when its time is over, so that none takes another's; what it found until then
is kept, and the same command goes on with what is missing.
"""

import ctypes
import multiprocessing
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_data import opened, unpacked
from gpu_parts import check_branches, check_compiled, check_equality, measure_clustering, measure_fid, measure_steps
from gpu_sheet import Sheet
from PIL import Image

from gcl_core.data.person_set import load_person_set
from gcl_core.device import resolve_device
from gcl_core.files import RunError, hash_file, read_json, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.measure.drawn_people import draw_people
from gcl_core.run_folder import read_metrics
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.warm_up import warm_up_generator

TINY = ("baseline.tda.epochs=1", "baseline.tda.instance_epochs=1", "warm_up.epochs=1", "joint.epochs=1", "device=cpu")
BUDGETS = {  # seconds of each part, in the order in which they run: 20 minutes in all
    "branches": 110,
    "equality": 60,
    "steps": 70,
    "clustering": 180,
    "fid": 30,
    "baseline": 110,
    "warm_up": 180,
    "gcl": 120,
    "tda": 60,
    "surface": 60,
    "galleries": 40,
    "compiled": 180,  # last, as a compiler takes as long as it likes
}
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
PATIENCE = 600  # seconds of each part of a rehearsal, on a CPU that may have other work
ROW = "| {} | {} | {} | {} |"


def check(file: Path, out: Path, *, rehearse: bool) -> bool:
    """Do every part that is not done yet and write `out`/summary.md; return whether all are done without a problem.

    Beside the summary lie a JSON file and a log for each part, the galleries, and the runs of the study.
    Raises RunError for a file that is none of ours, or when `out` holds results of another machine, mode or file.
    """
    if not file.is_file():
        raise RunError(f"{file} is not there: make it by `python -m gcl_core gpu-data FILE`")
    data = opened(file, TINY if rehearse else ())
    out.mkdir(parents=True, exist_ok=True)
    log, digest = out / "machine.log", hash_file(file)
    if _within(120, log, lambda: _same_machine(out / "machine.json", _machine(digest, rehearse=rehearse))) != 0:
        told = log.read_text().strip().splitlines() or ["no answer within 120 seconds"]
        reason = told[-1].removeprefix(f"{RunError.__module__}.{RunError.__name__}: ")
        raise RunError(f"{reason} ({log}; --rehearse needs no GPU)")
    layout = unpacked(data, out.resolve())
    told = read_json(out / "parts.json") if (out / "parts.json").is_file() else {}
    for part, budget in BUDGETS.items():
        if told.get(part, {}).get("state") == "done":
            continue
        if rehearse:
            budget = PATIENCE
        print(f"{part}: at most {budget} s ... ", end="", flush=True)
        start = time.perf_counter()
        ended = _within(budget, out / f"{part}.log", partial(_do, part, layout, out, rehearse))
        problems = Sheet(out / f"{part}.json").problems
        state = "out of time" if ended is None else "done" if ended == 0 and not problems else "failed"
        told[part] = {"state": state, "seconds": round(time.perf_counter() - start, 1), "problems": problems}
        write_json(out / "parts.json", told)
        write_text(out / "summary.md", _summary(out, told, rehearse=rehearse))  # also of what a stop leaves unfinished
        print(f"{state} in {told[part]['seconds']} s", flush=True)
    print(f"see {out / 'summary.md'}")
    return all(each["state"] == "done" for each in told.values())


def _within(budget: float, log: Path, work: Callable[[], None]) -> int | None:
    """Return the exit status of a process that does `work`, None if it was ended when its time was over.

    It is a copy of this one, which has imported everything and has not touched the GPU.
    """
    process = multiprocessing.get_context("fork").Process(target=_logged, args=(log, work))
    process.start()
    ended = None
    try:
        process.join(budget)
        ended = process.exitcode
    finally:  # also where this process is asked to end
        process.kill()
        process.join()
    return ended


def _logged(log: Path, work: Callable[[], None]) -> None:
    if hasattr(ctypes.CDLL(None), "prctl"):  # who kills the check does not leave a part at work on the GPU
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    with log.open("a") as stream:
        for target in (sys.stdout, sys.stderr):
            os.dup2(stream.fileno(), target.fileno())
    work()


def _do(part: str, layout: Layout, out: Path, rehearse: bool) -> None:
    device, sheet = resolve_device("cpu" if rehearse else "cuda"), Sheet(out / f"{part}.json")
    if part == "branches":
        check_branches(sheet, load_person_set(layout), device, rehearse=rehearse)
    elif part == "equality":
        check_equality(sheet, device)
    elif part == "compiled":
        check_compiled(sheet, device, rehearse=rehearse)
    elif part == "steps":
        measure_steps(sheet, device, rehearse=rehearse)
    elif part == "clustering":
        measure_clustering(sheet, device, rehearse=rehearse)
    elif part == "fid":
        measure_fid(sheet, load_person_set(layout), device, rehearse=rehearse)
    elif part == "galleries":
        sheet.measure("views", lambda: _gallery(layout, out))
    else:
        sheet.measure("training", lambda: _train(layout, part))


def _train(layout: Layout, stage: str) -> dict[str, Any]:
    """Train a stage of the study, or go on with it; return its last epoch's numbers."""
    if stage == "baseline":
        run = train_baseline(layout, 0)
    else:
        run = warm_up_generator(layout, 0) if stage == "warm_up" else train_jointly(layout, stage, 0)
    return {key: value for key, value in read_metrics(run)[-1].items() if isinstance(value, int | float)}


def _gallery(layout: Layout, out: Path) -> dict[str, Any]:
    """Write views.png: two rows per person, as stage 2 draws the seven views and as GCL does, after the picture itself.

    By pillow alone: a machine with a GPU need not have what draws the study's figures.
    """
    people, study = load_person_set(layout), layout.study
    rows = people.with_mesh(people.rows("train"))[:: study.people.pictures_per_identity][
        : study.evaluation.gallery_people
    ]
    drawn = [draw_people(layout, people, stage, 0, rows) for stage in ("warm_up", "gcl")]
    lines = [[people.pictures[row], *views[place]] for place, row in enumerate(rows) for views in drawn]
    sheet = np.concatenate([np.concatenate(line, axis=1) for line in lines])
    Image.fromarray(sheet).save(out / "views.png")
    return {"people": len(rows)}


def _machine(data: str, *, rehearse: bool) -> dict[str, Any]:
    """Return what the results are of. Raises RunError where torch sees no GPU, if it is no rehearsal."""
    facts = {"torch": torch.__version__, "python": platform.python_version(), "rehearsal": rehearse, "data": data[:12]}
    if not rehearse:
        device = resolve_device("cuda")
        properties = torch.cuda.get_device_properties(device)
        facts |= {"GPU": properties.name, "GB": round(properties.total_memory / 1e9, 1), "CUDA": torch.version.cuda}
    return facts


def _same_machine(path: Path, here: dict[str, Any]) -> None:
    """Keep which machine the results are of. Raises RunError if there are results of another one."""
    before = read_json(path) if path.is_file() else here
    if other := [key for key in here | before if before.get(key) != here.get(key)]:
        differs = ", ".join(
            f"{key} is {before.get(key, 'none')} there and {here.get(key, 'none')} here" for key in other
        )
        raise RunError(
            f"{path.parent} holds results of another machine, mode or file of data: {differs}: give another folder by "
            "--out"
        )
    write_json(path, here)


def _summary(out: Path, told: dict[str, Any], *, rehearse: bool) -> str:
    """Return what was found, as Markdown."""
    title = "# A rehearsal on a CPU, which says nothing of any GPU" if rehearse else "# What was found on a GPU"
    lines = [
        title,
        "",
        _shown(read_json(out / "machine.json")),
        "",
        ROW.format("part", "state", "seconds", "problems"),
        "|---|---|---|---|",
    ]
    lines += [
        ROW.format(part, each["state"], each["seconds"], "; ".join(each["problems"])) for part, each in told.items()
    ]
    for part in told:
        lines += ["", f"## {part}", ""]
        lines += [f"- {name}: {_shown(found)}" for name, found in Sheet(out / f"{part}.json").found.items()]
    return "\n".join(lines) + "\n"


def _shown(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()
    )
