"""Measurements as records that outlive the runs, and the same measurements back from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from gcl_core.config import STAGES, Study
from gcl_core.files import RunError
from gcl_core.measure.artifacts import numbers, where
from gcl_core.measure.evidence import Evidence, Measured
from gcl_core.mesh.projection import NOVEL
from gcl_core.records import read_record, record_path
from gcl_core.settings.training import Purpose

DISTANCES = ("fid", "fid_matched", "kid", "kid_std")
ALWAYS = ("ap", "rank1")  # columns of a query that are measured, unlike those of near and far views, in every run
SEED_FACTS = ("pictures", "reference", "network")


def evidence_lines(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return the record `evidence`: one line per seed and variant, all that `Measured` holds but its queries."""
    return pd.DataFrame(
        [
            {
                **{"seed": seed, "variant": variant, "people": each.people},
                **{"purpose": found.purpose, "changes": " ".join(found.changes)},
                **{name: getattr(found, name) for name in ("clusters_off", "ari", "distance", "psnr")},
                **{f"fid_{yaw}": value for yaw, value in (found.fid or {}).items()},
            }
            for seed, each in enumerate(evidence)
            for variant, found in each.variants.items()
        ]
    )


def precision_lines(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return the record `precision`: one line per seed, variant and query."""
    parts = [
        found.queries.assign(seed=seed, variant=variant)
        for seed, each in enumerate(evidence)
        for variant, found in each.variants.items()
        if found.queries is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def recorded_evidence(study: Study, lines: pd.DataFrame, precision: pd.DataFrame) -> list[Evidence]:
    """Return the evidence that these records of a study were made of, one entry per seed.

    A FID of which an angle is missing counts as not measured. Raises RunError for records that name a variant of a seed
    twice, give a seed more than one number of people, or have no precision where there should be one.
    """
    _require_sound(lines, precision)
    queries = {key: group for key, group in precision.groupby(["seed", "variant"], sort=False)}
    evidence = []
    for seed in dict.fromkeys(lines["seed"]):
        own = where(lines, seed=seed).to_dict("records")
        variants = {str(line["variant"]): _measured(line, queries.get((seed, line["variant"]))) for line in own}
        evidence.append(Evidence(int(own[0]["people"]), variants, not study.people.each_seed))
    return evidence


def _require_sound(lines: pd.DataFrame, precision: pd.DataFrame) -> None:
    """Raise RunError for records of which it would be unclear what was measured, or that a mean would pass over."""
    advice = "; take the records from where they were made, or run notebook 11 again"
    for line in lines.loc[lines.duplicated(["seed", "variant"])].to_dict("records"):
        raise RunError(
            f"the record evidence has more than one line of seed {line['seed']}, variant {line['variant']}; expected "
            f"one{advice}"
        )
    for seed in dict.fromkeys(lines["seed"]):
        people = list(dict.fromkeys(where(lines, seed=seed)["people"]))
        if len(people) > 1:
            raise RunError(
                f"the record evidence says that seed {seed} has {' and '.join(map(str, people))} people to train on; "
                f"expected one number, since all variants of a seed train on the same people{advice}"
            )
    for _, found in precision.groupby(["seed", "variant"], sort=False):
        seed, variant = found["seed"].iloc[0], found["variant"].iloc[0]
        for column in (each for each in ALWAYS if each in found and not np.isfinite(numbers(found, each)).any()):
            raise RunError(
                f"the record precision has no number in {column} for any query of seed {seed}, variant {variant}; "
                f"expected one for each query that has a right picture{advice}"
            )


def _measured(line: Mapping[Any, Any], queries: pd.DataFrame | None) -> Measured:
    known = {name: value for name, value in line.items() if not (isinstance(value, float) and np.isnan(value))}
    fid = {yaw: known[f"fid_{yaw}"] for yaw in NOVEL if f"fid_{yaw}" in known}
    own = None if queries is None else queries.drop(columns=["seed", "variant"]).reset_index(drop=True)
    facts: dict[str, float | None] = {name: known.get(name) for name in ("clusters_off", "ari", "distance", "psnr")}
    purpose, changes = cast(Purpose, str(line["purpose"])), tuple(str(line["changes"]).split())
    found = Measured(queries=own, fid=fid if len(fid) == len(NOVEL) else None, purpose=purpose, changes=changes)
    return replace(found, **facts)  # pyright: ignore[reportArgumentType]  # numbers alone


def as_run(study: Study, folder: Path) -> Study:
    """Return a study with the variants alone that the record `epochs` in a folder of figures tells of, if it is there.

    A profile may have got variants since its runs: what is made of records shows what was run. Raises RunError for
    records of variants that the study does not have: another profile made them.
    """
    if not record_path(folder, "epochs").is_file():
        return study
    run = set(read_record(folder, "epochs")["stage"])
    if unknown := sorted(run - {*study.variants, *STAGES}):
        raise RunError(
            f"{folder} has records of {', '.join(unknown)}, which profile {study.profile} does not train; name the "
            "profile that made them, as in `redraw BASE profile=NAME`"
        )
    return study.model_copy(update={"variants": {name: each for name, each in study.variants.items() if name in run}})


def fid_lines(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Return the record `fid` of `study_fid`: one line per variant, seed, encoding and yaw."""
    return pd.DataFrame(_fid_lines(results))


def _fid_lines(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    for variant, seeds in results.items():
        for seed, result in enumerate(seeds):
            for encoding, views in result["views"].items():
                for yaw, found in views.items():
                    facts = {"variant": variant, "seed": seed, "encoding": encoding, "yaw": int(yaw)}
                    yield {**facts, **found, **{name: result.get(name) for name in SEED_FACTS}}


def recorded_fid(lines: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the results of `study_fid` that the record `fid` was made of."""
    results: dict[str, list[dict[str, Any]]] = {}
    for line in lines.to_dict("records"):
        seeds = results.setdefault(str(line["variant"]), [])
        if line["seed"] == len(seeds):
            seeds.append({**{name: line[name] for name in SEED_FACTS}, "views": {}})
        views = seeds[line["seed"]]["views"].setdefault(line["encoding"], {})
        views[str(line["yaw"])] = {name: line[name] for name in DISTANCES}
    return results


def floor_lines(floor: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the record `fid_floor` of `real_floor`: one line per kind."""
    return pd.DataFrame([{"kind": kind, **found} for kind, found in floor.items()])


def recorded_floor(lines: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the floor that the record `fid_floor` was made of."""
    return {str(line.pop("kind")): line for line in lines.to_dict("records")}  # pyright: ignore[reportReturnType]
