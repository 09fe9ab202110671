"""A stage's run folder: locked while open, with a manifest and one line of metrics per epoch."""

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gcl_core.files import RunError, held, read_json, remove_scraps, write_json, write_text
from gcl_core.provenance import fingerprint, provenance
from gcl_core.settings.data import PictureSettings

if TYPE_CHECKING:
    import torch

SUPERSEDED = ".superseded-"
SECTIONS = ("settings", "inputs", "code")  # of a manifest, each an object
TEXTS = ("labels", "note")  # of a line of metrics; all else are numbers
AGAIN = "copy it again, or delete its folder and run that stage again"


class RunFolder:
    """One stage's folder, locked while open: manifest, metrics line by line, times apart.

    A folder begun with other settings, inputs or code is set aside as `<name>.superseded-<fingerprint>`, never mixed or
    deleted; a run that was set aside comes back when it is asked for again.
    `metrics.jsonl` holds no clock time, so that a resumed run and an uninterrupted one write the same bytes.
    """

    def __init__(
        self,
        path: Path,
        *,
        settings: dict[str, Any],
        inputs: dict[str, str],
        code: Mapping[str, str],
        seed: int,
        device: "torch.device",
        measured_by: str | None = None,  # of accuracies in the records (`measuring_of`); decides nothing here
    ):
        self.path, self.seed = path, seed
        self._held = contextlib.ExitStack()
        self._identity = fingerprint({"settings": settings, "inputs": inputs, "code": dict(code), "seed": seed})
        self._manifest = {
            "fingerprint": self._identity,
            "seed": seed,
            "settings": settings,
            "inputs": inputs,
            "code": dict(code),
            "measured_by": measured_by,
            **provenance(device),
            "interpreter": sys.executable,
            "started": _now(),
        }

    def __enter__(self) -> "RunFolder":
        with contextlib.ExitStack() as opened:
            lock = self.path.parent / f".{self.path.name}.lock"
            opened.enter_context(held(lock, f"another run is at work in {self.path}"))
            self._open()
            self._held = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _open(self) -> None:
        manifest = self.path / "manifest.json"
        remove_scraps(self.path)
        if self.path.is_dir() and any(self.path.iterdir()):
            earlier = read_json(manifest) if manifest.is_file() else {}
            if earlier.get("fingerprint") == self._identity:
                return
            aside = set_aside(self.path, earlier.get("fingerprint"))
            print(f"{self.path}: made with other settings, inputs or code; set aside as {aside.name}", flush=True)
        kept = self.path.with_name(f"{self.path.name}{SUPERSEDED}{self._identity}")
        if kept.is_dir():
            remove_scraps(kept)
            kept.rename(self.path)
            print(
                f"{self.path}: the run of these settings, inputs and code was set aside before; it is back", flush=True
            )
            return
        self.path.mkdir(exist_ok=True)  # it is there, and empty, when a run was killed before its first manifest
        write_json(manifest, self._manifest)

    @property
    def finished(self) -> bool:
        """Whether the stage ran to its end, and all networks that it wrote are there."""
        facts = read_json(self.path / "manifest.json")
        return "finished" in facts and not lacking(self.path, facts)

    def finish(self, **facts: Any) -> None:
        """Mark the stage as done, with the files of the networks that it leaves, and add facts to its manifest."""
        manifest = read_json(self.path / "manifest.json")
        left = sorted(path.name for path in self.path.glob("*.safetensors") if not path.name.startswith("checkpoint"))
        write_json(self.path / "manifest.json", {**manifest, **facts, "networks": left, "finished": _now()})

    def record(self, line: dict[str, Any]) -> None:
        """Append one epoch to metrics.jsonl, replacing any line of the same or a later epoch, and stamp times.jsonl."""
        kept = [earlier for earlier in read_metrics(self.path) if earlier["epoch"] < line["epoch"]]
        lines = [json.dumps(entry, allow_nan=False) for entry in [*kept, line]]
        write_text(self.path / "metrics.jsonl", "\n".join(lines) + "\n")
        with (self.path / "times.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"epoch": line["epoch"], "time": time.time()}) + "\n")


def run_facts(run: Path) -> dict[str, Any]:
    """Return a run's manifest. Raises RunError where it cannot be read or one of its SECTIONS is no object."""
    manifest = run / "manifest.json"
    facts = read_json(manifest)
    if wrong := [name for name in SECTIONS if not isinstance(facts.get(name, {}), dict)]:
        raise RunError(f"{manifest} is damaged: {wrong[0]} is no object; {AGAIN}")
    return facts


def lacking(run: Path, facts: Mapping[str, Any]) -> list[str]:
    """Return which files of networks a finished run's folder lacks by its manifest; earlier versions listed none."""
    return [name for name in facts.get("networks", []) if not (run / name).is_file()]


def run_picture(run: Path, settings: Mapping[str, Any]) -> PictureSettings:
    """Return which size pictures have by the settings in a run's manifest. Raises RunError where they say none."""
    try:
        return PictureSettings.model_validate(settings["picture"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("settings", "picture", *first["loc"])))
        raise RunError(f"{run / 'manifest.json'} is damaged: {field}: {first['msg']}; {AGAIN}") from error


def kept_line(run: Path, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return, of a run's lines, that of the epoch whose weights it keeps: the last, or the best on test (D15).

    Raises RunError where there is no line.
    """
    if not lines:
        raise RunError(f"{run / 'metrics.jsonl'} has no epoch; {AGAIN}")
    kept = read_json(run / "manifest.json").get("kept_epoch")
    return next((line for line in lines if line["epoch"] == kept), lines[-1])


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl, oldest first; an empty list before the first epoch.

    Raises RunError for a file that is broken or cannot be read, and for a line with another value where a number or
    null belongs.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; {AGAIN}") from error
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict) or type(line.get("epoch")) is not int:
            raise RunError(f"{path} is damaged: line {number} is no epoch; {AGAIN}")
        for name, value in line.items():
            if name not in TEXTS and not isinstance(value, int | float | None):
                raise RunError(f"{path} is damaged: {name!r} in line {number} is no number; {AGAIN}")
    return lines


def set_aside(folder: Path, fingerprint: str | None) -> Path:
    """Rename a folder to `<name>.superseded-<fingerprint>` and return that; no folder there is replaced."""
    name = f"{folder.name}{SUPERSEDED}{fingerprint or 'unknown'}"
    places = (folder.with_name(name + (f"-{number}" if number else "")) for number in itertools.count())
    return folder.rename(next(place for place in places if not place.exists()))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
