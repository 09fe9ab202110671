"""What a report says of a study beside its figures: claims and verdicts, runs, steps and settings as recorded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from gcl_core.config import Study
from gcl_core.evaluation.verdicts import FEWEST
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.provenance import fingerprint
from gcl_core.report.front_page import effect_and_interval
from gcl_core.settings.training import VariantSettings
from gcl_core.tables.claim_readings import caveat, told_comparisons
from gcl_core.tables.claims import (
    CLAIMS,
    SMALLEST_OWN,
    Claim,
    claim_verdict,
    decides,
    read_claims,
    shown_interval,
)
from gcl_core.tables.formats import NOT_RUN

VERDICTS = ("reproduced", "contradicted", "no difference of note", "open", "no verdict", NOT_RUN)
ANSWERS = {
    **{"reproduced": "Yes.", "contradicted": "No: it makes worse ones."},
    "no difference of note": "No: they differ by less than is worth having.",
}


@dataclass(frozen=True)
class Finding:
    """A claim, the verdict on it, and each comparison that decides it, in words and in short (`effects`)."""

    claim: Claim
    verdict: str
    told: Sequence[str]
    effects: Sequence[str] = ()
    seeds: int = 0  # the largest number of seeds that any of them has
    interval: tuple[float, float] | None = None  # of the first, over seeds


def findings(figures: Path, study: Study) -> list[Finding]:
    """Return every claim of the paper with what claims.csv says of it: `not run` where there is none.

    `study` gives the titles of the variants that are compared.
    """
    if not (figures / "claims.csv").is_file():
        return [Finding(claim, NOT_RUN, []) for claim in CLAIMS.values()]
    frame = read_claims(figures)
    return [_finding(frame, claim, study) for claim in CLAIMS.values()]


def _finding(frame: pd.DataFrame, claim: Claim, study: Study) -> Finding:
    lines = where(frame, claim=claim.key).to_dict("records")
    needed = [line for line in lines if decides(line)]
    pairs = {frozenset(line["compared"].split(" - ")) for line in needed}
    return Finding(
        claim,
        claim_verdict(frame, claim.key),
        told_comparisons(frame, claim.key),
        [
            f"{_compared(line, study) if len(pairs) > 1 else ''}{effect_and_interval(line)} {line['metric']}"
            for line in needed
        ],
        max((int(line["seeds"]) for line in lines), default=0),
        shown_interval(needed[0], "seeds") if needed else None,
    )


def _compared(line: Mapping[Any, Any], study: Study) -> str:
    names = line["compared"].split(" - ")
    titles = [study.variants[name].title if name in study.variants else name for name in names]
    return " \N{MINUS SIGN} ".join(titles) + ": "


def answer(main: Finding, study: Study) -> str:
    """Return the answer to the study's question, given what was found of its main claim (C2).

    Where the verdicts of a study decide nothing (`caveat`), the effect alone.
    """
    if not main.effects:
        return "Not run."
    effect = main.effects[0].removesuffix(" mAP")
    what = "seed" if study.dataset == "synthetic" else "training"
    same = "" if study.dataset == "synthetic" else " on the same people"
    seeds = f"95 % interval over {main.seeds} {what}s{same} in brackets"
    if main.seeds < FEWEST:
        seeds = f"one {what}, which decides nothing" if main.seeds == 1 else f"{main.seeds} {what}s{same}, no interval"
    said = "" if caveat(study) else f"{ANSWERS.get(main.verdict) or _open(main)} "
    return f"{said}GCL changes mAP by {effect} points against TDA ({seeds})."


def _open(main: Finding) -> str:
    if main.interval is not None and main.seeds >= FEWEST and main.interval[1] < SMALLEST_OWN:
        return "No gain is seen, and one of a point of mAP is ruled out."
    return "These runs cannot tell."


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
