"""What a report says of a study beside its figures: claims and verdicts, runs, steps and settings as recorded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from gcl_core.config import Study
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.provenance import fingerprint
from gcl_core.settings.training import VariantSettings
from gcl_core.tables.claim_readings import told_comparisons
from gcl_core.tables.claims import CLAIMS, Claim, claim_verdict
from gcl_core.tables.formats import NOT_RUN, read_table

VERDICTS = ("reproduced", "contradicted", "no difference of note", "open", "no verdict", NOT_RUN)


@dataclass(frozen=True)
class Finding:
    """A claim, the verdict on it, and in words each comparison that decides it."""

    claim: Claim
    verdict: str
    told: Sequence[str]
    seeds: int = 0  # the largest number of seeds that any of them has


def findings(figures: Path) -> list[Finding]:
    """Return every claim of the paper with what claims.csv says of it: `not run` where there is none."""
    path = figures / "claims.csv"
    if not path.is_file():
        return [Finding(claim, NOT_RUN, []) for claim in CLAIMS.values()]
    frame = read_table(path)
    return [
        Finding(claim, claim_verdict(frame, key), told_comparisons(frame, key), _seeds(frame, key))
        for key, claim in CLAIMS.items()
    ]


def _seeds(frame: pd.DataFrame, key: str) -> int:
    lines = where(frame, claim=key, effect=NOT_RUN).index
    return max((int(seeds) for seeds in where(frame, claim=key).drop(index=lines)["seeds"]), default=0)


def verdict_words(found: Sequence[Finding]) -> str:
    """Return how many claims have which verdict: `0 of 7 claims reproduced, 2 contradicted, 5 not run`."""
    counts = Counter(each.verdict for each in found)
    others = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS[1:] if counts[verdict]]
    return ", ".join([f"{counts[VERDICTS[0]]} of {len(found)} claims {VERDICTS[0]}", *others])


def not_run_words(study: Study, found: Sequence[Finding], devices: Sequence[str]) -> list[str]:
    """Return in sentences what a reader may expect of this study and was not run: data, GPU, seeds, claims."""
    told = []
    if study.dataset == "synthetic":
        told.append("The published sets (Market-1501, DukeMTMC-reID, MSMT17) were not run: all people are synthetic.")
    if devices and all(text.startswith("cpu") for text in devices):
        told.append("No GPU was used.")
    seeds = max((each.seeds for each in found), default=0)
    if 0 < seeds < study.seeds:
        told.append(f"Of {study.seeds} planned seeds {seeds} were run.")
    if keys := [each.claim.key for each in found if each.verdict == NOT_RUN]:
        told.append(f"Nothing was measured for {', '.join(keys)}.")
    return told


def runs_of(layout: Layout, entries: Mapping[str, Mapping[str, Any]], runs: Path) -> list[dict[str, Any]]:
    """Return each run that a figure comes from, once, as `read_manifest` tells it.

    `here` tells whether the run is in `runs` and still the one that the figures show.
    """
    recorded = {(run["folder"], str(run["fingerprint"])): run for entry in entries.values() for run in entry["runs"]}
    own = PurePosixPath("runs", layout.study.profile)
    lines = []
    for (folder, _), run in sorted(recorded.items()):
        path = PurePosixPath(folder)
        place = runs / path.relative_to(own) if path.is_relative_to(own) else layout.root / path
        manifests = (place / "manifest.json", place / "store.json")
        facts = next((read_json(file) for file in manifests if file.is_file()), {})
        lines.append({**run, "here": bool(facts) and facts.get("fingerprint") == run["fingerprint"]})
    return lines


def versions_of(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in words the versions of Python and packages with which runs were made, the most frequent first."""
    told = Counter(f"Python {run['python']}, {run['packages']}" for run in runs if run["packages"])
    return [text for text, _ in told.most_common()]


def devices_of(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in words on which devices and processors, and by which kernels of the libraries, runs were made."""
    facts = {tuple(run[name] for name in ("device", "processor", "kernels") if run[name]) for run in runs}
    return sorted("; ".join(each) for each in facts if each)


def step_times(runs: Path, *, without: str) -> list[tuple[str, str, str]]:
    """Return each finished step but the report's own: its name, when it was done and how long it took."""
    marks = [path for path in sorted((runs / "steps").glob("*.done")) if path.stem != without]
    times = []
    for path in marks:
        done, seconds, *_ = [*path.read_text(encoding="utf-8").split(), "", ""]
        times.append((path.stem, done, f"{int(seconds) // 60} min {int(seconds) % 60:02d} s" if seconds else ""))
    return times


def fingerprints(layout: Layout) -> set[str]:
    """Return the fingerprints under which the figures of this study's settings are entered, each seed's among them."""
    layouts = [layout, *(layout.of_seed(seed) for seed in range(layout.study.seeds))]
    return {fingerprint(each.study.model_dump(mode="json")) for each in layouts}


def differing(study: Study) -> list[tuple[str, str]]:
    """Return the settings that are not the published constants: dotted name and value, a folder by its name alone."""
    default = Study().model_dump()
    default["variants"] = {name: VariantSettings().model_dump() for name in study.variants}
    return [(name, value) for name, value in _differences(study.model_dump(), default) if name != "profile"]


def _differences(ours: Mapping[str, Any], default: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in ours.items():
        name, usual = f"{above}{key}", default.get(key)
        if isinstance(value, dict) and isinstance(usual, dict) and key != "changes":
            yield from _differences(value, usual, f"{name}.")
        elif value != usual:
            yield name, f"…/{value.name}" if isinstance(value, Path) else str(value)
