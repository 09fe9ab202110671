"""The evidence that a study's finished runs hold: each variant on its seed's own people, measured once and kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.data.truth import Truth, load_truth
from gcl_core.device import resolve_device
from gcl_core.evaluation.picture_quality import person_psnr
from gcl_core.evaluation.queries import Retrieval, retrieve
from gcl_core.evaluation.ranking import squared_distances
from gcl_core.files import hash_file, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import (
    finished_run,
    numbers,
    training_identities,
)
from gcl_core.measure.drawn_people import artist
from gcl_core.measure.evidence import Evidence, Measured, clusters_off
from gcl_core.measure.found_runs import headline
from gcl_core.measure.merged_views import kept_merger
from gcl_core.measure.retrievals import precision_by_range, view_differences
from gcl_core.measure.view_fid import chosen_rows, todays_fid, whole_chunks
from gcl_core.measure.view_quality import view_quality
from gcl_core.mesh.projection import NOVEL, WHITE
from gcl_core.models.weights import load_encoder
from gcl_core.provenance import code_of, fingerprint
from gcl_core.surface.stored import carried_views

FAR = 60  # degrees; right pictures whose view differs by more are far
KEPT = "claims.json"


def collected_evidence(layout: Layout) -> list[Evidence]:
    """Return what finished runs hold of every variant, one entry a seed of the study.

    What is slow is kept in `claims.json` of each run folder, under a hash of its weights and data: a second call costs
    nothing. FID is there where notebook 05 measured it, of the same. Raises RunError as `finished_run` does.
    """
    evidence = []
    for seed in range(layout.study.seeds):
        own = layout.of_seed(seed)
        people, truth = load_person_set(own), load_truth(own)
        names = tqdm(own.study.variants, desc=f"evidence seed {seed}", mininterval=2)
        variants = {name: measured(own, people, truth, name, seed) for name in names}
        same_people = not layout.study.people.each_seed
        evidence.append(Evidence(training_identities(people), variants, same_people))
    return evidence


def measured(layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int) -> Measured:
    """Return what a variant's finished runs hold, on the people of its seed; raises RunError as `finished_run` does.

    Numbers of queries, clusters and ARI are means over its repeats; FID, distances and PSNR are of the first. PSNR and
    distances are of the training pictures of `chosen_rows`, means over seven views; of true views as they are
    PSNR is infinite. Far and near views are told apart, and PSNR is known, where true views are.
    """
    study, given = layout.study, layout.study.variants[variant]
    runs = [finished_run(layout, variant, seed, repeat) for repeat in study.repeats_of(variant)]
    kept, *others = [_remembered(layout, people, truth, variant, seed, run) for run in runs]
    queries = [pd.DataFrame(each["queries"]).astype(np.float64) for each in (kept, *others)]
    heads, identities = [headline(run) for run in runs], training_identities(people)
    fid = todays_fid(layout, people, runs[0])
    views = fid["views"].get(study.evaluation.encoding) if fid else None
    return Measured(
        queries=(sum(queries[1:], queries[0]) / len(queries)).astype({"pid": np.int64}),
        clusters_off=float(np.mean([clusters_off(head["clusters"], identities) for head in heads])),
        ari=float(np.mean([head["ari"] for head in heads])),
        fid={yaw: views[str(yaw)]["fid"] for yaw in NOVEL} if views else None,
        distance=kept["distance"],
        psnr=float("inf") if given.view == "known" and kept["psnr"] is None else kept["psnr"],
        purpose=given.purpose,
        changes=tuple(given.changes),
    )


def _remembered(
    layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int, run: Path
) -> dict[str, Any]:
    """Return what is kept of a run in KEPT, measured where that is missing or of other weights, data or code."""
    study, given = layout.study, layout.study.variants[variant]
    weights = [hash_file(path) for path in sorted(run.glob("*.safetensors"))]
    settings = [given.shown, given.blur, study.evaluation.average_precision, chosen_rows(people, study).tolist()]
    identity = fingerprint([code_of(__name__), weights, people.fingerprint, truth and truth.fingerprint, settings])
    kept = read_json(run / KEPT) if (run / KEPT).is_file() else {}
    if kept.get("identity") != identity:
        kept = {"identity": identity, **_measure(layout, people, truth, variant, seed, run)}
        write_json(run / KEPT, kept)
    return kept


def _measure(
    layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int, run: Path
) -> dict[str, Any]:
    """Return what takes time, as JSON can hold it: None for what is not known, and of views after the first repeat."""
    study, given = layout.study, layout.study.variants[variant]
    found = retrieve(load_encoder(study, run, resolve_device(study.device)), people, study.evaluation)
    first = run == layout.stage(variant, seed)
    psnr = distance = None
    if first and given.view == "drawn":
        quality = view_quality(layout, people, truth, variant, seed, "train")
        distance = float((numbers(quality, "distance") / numbers(quality, "distance_others")).mean())
    if first and truth is not None and not (given.view == "copied" and given.augment):
        psnr = given_psnr(layout, people, truth, variant, seed)
    queries = query_precision(found, truth).to_dict("list")
    known = {name: [None if np.isnan(value) else value for value in values] for name, values in queries.items()}
    views = {"distance": distance, "psnr": psnr}  # not finite: one person alone, or views that are the truth
    finite = {name: each if each is not None and np.isfinite(each) else None for name, each in views.items()}
    return {"queries": known, **finite}


def query_precision(found: Retrieval, truth: Truth | None) -> pd.DataFrame:
    """Return one line per query: pid, ap in [0, 1], rank1 (0 or 1), NaN without a right picture; where views are known
    also ap_far and ap_near, with only the right pictures whose view differs by more than 60 degrees, or by no more.
    """
    first = found.result.first_match
    table = pd.DataFrame({"pid": found.queries["pid"].to_numpy(), "ap": found.result.average_precision})
    table["rank1"] = np.where(first > 0, first == 1, np.nan)
    if truth is not None:
        far = (view_differences(found, truth) > FAR).astype(np.int64)
        distances = np.concatenate(list(squared_distances(found.query_features, found.gallery_features)))
        table["ap_near"], table["ap_far"] = precision_by_range(found, distances, far, 2).T
    return table


def given_psnr(layout: Layout, people: PersonSet, truth: Truth, variant: str, seed: int) -> float:
    """Return the PSNR (dB) on the person, against true views, of the views that a variant gives to E_id.

    Mean over the pictures of `chosen_rows` and seven angles, those that differ at all; infinite where none does.
    """
    study, given = layout.study, layout.study.variants[variant]
    drawn_by = {"drawn": variant, "drawn_once": "warm_up"}.get(given.view)
    draw = artist(layout, people, drawn_by, seed) if drawn_by else None
    merge = kept_merger(layout, people, variant, seed) if given.view == "surface_cluster" else None
    found: dict[int, list[float]] = {yaw: [] for yaw in NOVEL}
    for part in whole_chunks(chosen_rows(people, study), study):
        files, views, there = people.index["file"].iloc[part].tolist(), None, np.ones(len(part), dtype=bool)
        if draw is not None:
            views = draw(part)
        elif merge is not None:
            views, there = merge(part)
        elif given.view == "surface":
            views, there = carried_views(layout, people, part, given.bodies, turned=given.turned)
        for place, yaw in enumerate(NOVEL):
            true = truth.true_views(files, [yaw] * len(part))
            if views is not None:
                shown = views[:, place]
            elif given.view == "copied":
                shown = people.pictures[part]
            else:
                shown = truth.true_views(files, [yaw] * len(part), blur=given.blur)
            psnr = person_psnr(shown, true, people.projections[part, place + 1] < WHITE)[there]
            found[yaw] += psnr[np.isfinite(psnr)].tolist()
    values = [value for each in found.values() for value in each]
    return float(np.mean(values)) if values else float("inf")
