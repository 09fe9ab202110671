"""Why steps of a study failed, in words: by the notebook, the step's own log, or what Snakemake says."""

import json
import re
from pathlib import Path

from gcl_core.layout import Layout

ENDED = re.compile(r"ended with status (\d+)")  # as scripts/step.sh writes it
ENGINE_ERROR = re.compile(r"\w*(Error|Exception)\b")


def told_failures(layout: Layout, since: float) -> list[str]:
    """Tell of each notebook that was begun since and has no mark of being done: its error and where to read on."""
    told = []
    for log in sorted((layout.runs / "notebooks").glob("*.log")):
        if log.stat().st_mtime < since or (layout.runs / "steps" / f"{log.stem}.done").is_file():
            continue
        notebook = log.with_suffix(".ipynb")
        executed = notebook.is_file() and notebook.stat().st_size > 0
        told.append(f"{log.stem} failed: {_reason(notebook if executed else None, log, layout.runs / 'snakemake.log')}")
        told += [f"  executed copy: {notebook}"] if executed else []
        told.append(f"  messages:      {log}")
    return told


def _reason(notebook: Path | None, log: Path, engine: Path) -> str:
    """Return why a step failed: by its notebook, else by its own log, else by what Snakemake says of it."""
    if error := notebook and _error(notebook):
        return error
    lines = _lines(log)
    status = ENDED.fullmatch(lines.pop()) if lines else None
    if status is None:
        return "it was ended from outside"
    if int(status[1]) > 128:
        return f"it was ended from outside, by signal {int(status[1]) - 128}"
    if int(status[1]):
        return lines[-1] if lines else f"it ended with status {status[1]} and says nothing of why"
    said = _lines(engine)
    first = next((place for place, line in enumerate(said) if ENGINE_ERROR.match(line)), 0)
    return "it ended well, then Snakemake failed: " + " ".join(said[first : first + 3])


def _error(notebook: Path) -> str | None:
    """Return the error an executed notebook ended with; None where it holds none."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        return None  # it was being written
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output["output_type"] == "error"]
    return f"{errors[-1]['ename']}: {errors[-1]['evalue']}" if errors else None


def _lines(path: Path) -> list[str]:
    """Return the lines of a log that say something."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def tail(path: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(path.read_text(encoding="utf-8").splitlines()[-25:])
