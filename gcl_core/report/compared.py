"""A run's own numbers beside the committed reference, in words that need no statistics."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from gcl_core.figure_manifest import Entries, gone_or_changed, read_manifest
from gcl_core.files import RunError
from gcl_core.report.citation import short
from gcl_core.tables.beside import (
    MEASURED,
    METRICS,
    OTHER_SEEDS,
    OUTSIDE,
    SAME,
    UNKNOWN,
    WITHIN,
    Spread,
    recorded_spread,
    side_by_side,
    trainings,
)
from gcl_core.tables.claims import CLAIMS, claim_verdict, read_claims
from gcl_core.tables.formats import markdown_table

DIGITS = {"ARI": 3}  # decimals shown; one elsewhere
ORIGIN = ("processor", "kernels", "device", "python", "packages")  # of a run, in the manifest
MEANINGS = {
    SAME: "to the last digit",
    WITHIN: "as near as 19 of 20 repeats of one training come to each other",
    OUTSIDE: "further off; from the same baseline 1 in 20 is, by chance alone",
    OTHER_SEEDS: "means over other numbers of seeds, which cannot be compared",
    UNKNOWN: "how far repeats end apart is not known",
}


def comparison(ours: Path, theirs: Path) -> str:
    """Return in words how a folder of figures compares with the reference, another folder of the same profile.

    It tells the trainings' numbers, the verdicts on the claims, how many files are equal, and what differs in commit,
    settings, processor and libraries. Raises RunError for a folder without figures.
    """
    if read_manifest(ours) and not read_manifest(theirs):
        raise RunError(f"no numbers of this profile were committed ({theirs} is not there): nothing to compare with")
    spread = recorded_spread(theirs) or recorded_spread(ours) or MEASURED
    lines = side_by_side(ours, theirs, spread)
    parts = [
        f"Your numbers, and in brackets how they differ from the reference:\n\n{_table(lines)}",
        *_agreements(lines, spread),
        *_missing(trainings(ours), trainings(theirs)),
        _verdicts(ours, theirs),
        *_made(ours, theirs),
    ]
    return "\n".join(parts)


def _table(lines: pd.DataFrame) -> str:
    rows: dict[str, dict[str, str]] = {}
    for line in lines.to_dict("records"):
        digits = DIGITS.get(line["metric"], 1)
        change = "" if line["agrees"] == SAME else f"{line['yours'] - line['reference']:+.{digits}f}"
        told = ", ".join(filter(None, [change, line["agrees"]]))
        rows.setdefault(line["training"], {})[line["metric"]] = f"{line['yours']:.{digits}f} ({told})"
    cells = [{"training": name, **row} for name, row in rows.items()]
    return markdown_table(pd.DataFrame(cells, columns=["training", *METRICS]).fillna(""))


def _agreements(lines: pd.DataFrame, spread: Spread) -> Iterator[str]:
    """Yield which trainings agree in mAP, and by what measure."""
    own = lines[lines["metric"] == "mAP"]
    yield f"mAP of {len(own)} trainings:"
    for word, meaning in MEANINGS.items():
        names = list(own["training"][own["agrees"] == word])
        if names:
            yield f"- {len(names)} {word or 'not judged'} ({meaning}): {', '.join(names)}"
    yield (
        f"The measure: one training repeated with other {spread.repeated} has a standard deviation of "
        f"{spread.deviations['mAP']:.1f} points of mAP, so two of them differ by at most {spread.limit('mAP'):.1f} "
        f"in 19 of 20 cases ({spread.source}). Means of several trainings must be nearer. "
        "Where the baseline itself is another, more may lie outside."
    )


def _missing(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
    for title, names in (("not run here", set(theirs) - set(ours)), ("not in the reference", set(ours) - set(theirs))):
        if names:
            yield f"- {title}: {', '.join(sorted(names))}"


def _verdicts(ours: Path, theirs: Path) -> str:
    mine, other = (read_claims(folder) for folder in (ours, theirs))
    pairs = {key: (claim_verdict(mine, key), claim_verdict(other, key)) for key in CLAIMS}
    changed = [
        f"{key} is {yours!r} here and {theirs!r} there" for key, (yours, theirs) in pairs.items() if yours != theirs
    ]
    return f"Verdicts on the paper's claims: {'; '.join(changed) or f'all {len(pairs)} as in the reference'}"


def _made(here: Path, there: Path) -> Iterator[str]:
    """Yield how many files are equal, which were changed by hand, and what differs in what they were made by."""
    ours, theirs = read_manifest(here), read_manifest(there)
    both = [name for name in ours if name in theirs]
    changed = {at: gone_or_changed(at, entries, both)[1] for at, entries in ((here, ours), (there, theirs))}
    same = [name for name in both if ours[name]["sha256"] == theirs[name]["sha256"]]
    equal = set(same).difference(*changed.values())
    yield f"Files: {len(equal)} of {len(both)} are equal to the byte"
    yield from (f"Changed after they were made: {', '.join(names)} in {at}" for at, names in changed.items() if names)
    alike = []
    for title in ("commit", "settings", *ORIGIN):
        mine, other = _origin(ours, title), _origin(theirs, title)
        if mine == other:
            alike.append(title if mine else f"{title} (not recorded)")
        else:
            told = [", ".join(sorted(each)) or "not recorded" for each in (mine - other, other - mine)]
            yield f"Not the same {title}: {told[0]} here, {told[1]} there"
    if alike:
        yield f"The same {', '.join(alike)}"


def _origin(entries: Entries, title: str) -> set[str]:
    if title == "commit":
        return {short(entry["git_revision"]) for entry in entries.values()}
    if title == "settings":
        return {entry["settings"] for entry in entries.values()}
    told = {run[title] for entry in entries.values() for run in entry["runs"] if run[title]}
    return {each for text in told for each in text.split(", ")} if title in ("kernels", "packages") else told
