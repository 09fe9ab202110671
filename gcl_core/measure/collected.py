"""The evidence that a study's finished runs hold: each variant on its seed's own people, measured once and kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from gcl_core.config import Study
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
    headline_epochs,
    numbers,
    spread,
    start_of_training,
    training_identities,
    where,
)
from gcl_core.measure.drawn_people import draw_people
from gcl_core.measure.evidence import Evidence, Measured
from gcl_core.measure.found_runs import headline
from gcl_core.measure.merged_views import kept_merged_views
from gcl_core.measure.retrievals import precision_by_range, view_differences
from gcl_core.measure.view_fid import NOVEL, chosen_rows, kept_fid
from gcl_core.measure.view_quality import view_quality
from gcl_core.models.weights import load_encoder
from gcl_core.provenance import code_of, fingerprint
from gcl_core.surface.stored import carried_views

FAR = 60  # degrees; right pictures whose view differs by more are far
WHITE = 255  # behind the mesh in a projection (§1.3)
KEPT = "claims.json"
BASELINE = "baseline (and E_id frozen in stage 3, by construction)"


def collected_evidence(layout: Layout) -> list[Evidence]:
    """Return what finished runs hold of every variant, one entry a seed of the study.

    What is slow is kept in `claims.json` of each run folder, under a hash of its weights and data: a second call costs
    nothing. FID is there where notebook 05 measured it. Raises RunError as `finished_run` does.
    """
    evidence = []
    for seed in range(layout.study.seeds):
        own = layout.of_seed(seed)
        people, truth = load_person_set(own), load_truth(own)
        names = tqdm(own.study.variants, desc=f"evidence seed {seed}", mininterval=2)
        variants = {name: measured(own, people, truth, name, seed) for name in names}
        evidence.append(Evidence(training_identities(people), variants))
    return evidence


def measured(layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int) -> Measured:
    """Return what a variant's finished run holds, on the people of its seed; raises RunError as `finished_run` does.

    PSNR and distances are of the training pictures of `chosen_rows`, means over seven views; of true views as they are
    PSNR is infinite. Far and near views are told apart, and PSNR is known, where true views are.
    """
    study, run = layout.study, finished_run(layout, variant, seed)
    given = study.variants[variant]
    weights = [hash_file(path) for path in sorted(run.glob("*.safetensors"))]
    measuring = code_of(__name__)
    settings = [given.shown, given.blur, study.evaluation.average_precision, chosen_rows(people, study).tolist()]
    identity = fingerprint([measuring, weights, people.fingerprint, truth is not None, settings])
    kept = read_json(run / KEPT) if (run / KEPT).is_file() else {}
    if kept.get("identity") != identity:
        kept = {"identity": identity, **_measure(layout, people, truth, variant, seed, run)}
        write_json(run / KEPT, kept)
    kept_epoch, fid = headline(run), kept_fid(run)
    views = fid["views"].get(study.evaluation.encoding) if fid else None
    return Measured(
        queries=pd.DataFrame(kept["queries"]).astype(np.float64).astype({"pid": np.int64}),
        clusters=kept_epoch["clusters"],
        ari=kept_epoch["ari"],
        fid={yaw: views[str(yaw)]["fid"] for yaw in NOVEL} if views else None,
        distance=kept["distance"],
        psnr=float("inf") if given.view == "known" and kept["psnr"] is None else kept["psnr"],
        purpose=given.purpose,
        changes=tuple(given.changes),
    )


def _measure(
    layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int, run: Path
) -> dict[str, Any]:
    """Return what takes time, as JSON can hold it: None for what is not known."""
    study, given = layout.study, layout.study.variants[variant]
    found = retrieve(load_encoder(study, run, resolve_device(study.device)), people, study.evaluation)
    psnr = distance = None
    if given.view == "drawn":
        quality = view_quality(layout, people, truth, variant, seed, "train")
        distance = float((numbers(quality, "distance") / numbers(quality, "distance_others")).mean())
    if truth is not None and not (given.view == "copied" and given.augment):
        psnr = given_psnr(layout, people, truth, variant, seed)
    queries = query_precision(found, truth).to_dict("list")
    known = {name: [None if np.isnan(value) else value for value in values] for name, values in queries.items()}
    return {"queries": known, "distance": distance, "psnr": psnr if psnr is not None and np.isfinite(psnr) else None}


def query_precision(found: Retrieval, truth: Truth | None) -> pd.DataFrame:
    """Return one line a query: pid, ap in [0, 1], rank1 (0 or 1), NaN without a right picture; where views are known
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
    rows = chosen_rows(people, study)
    files = people.index["file"].iloc[rows].tolist()
    artist = {"drawn": variant, "drawn_once": "warm_up"}.get(given.view)
    drawn = draw_people(layout, people, artist, seed, rows) if artist else None
    there = np.ones(len(rows), dtype=bool)
    if given.view == "surface":
        drawn, there = carried_views(layout, people, rows, given.bodies)
    if given.view == "surface_cluster":
        drawn, there = kept_merged_views(layout, people, variant, seed, rows)
    values = []
    for place, yaw in enumerate(NOVEL):
        yaws = [yaw] * len(rows)
        if drawn is not None:
            views = drawn[:, place]
        else:
            views = people.pictures[rows] if given.view == "copied" else truth.true_views(files, yaws, blur=given.blur)
        person = people.projections[rows, place + 1] < WHITE
        psnr = person_psnr(views, truth.true_views(files, yaws), person)[there]
        values += psnr[np.isfinite(psnr)].tolist()
    return float(np.mean(values)) if values else float("inf")


def controls_table(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy (%) and clusters of random weights, the baseline and every variant: means over seeds.

    `records` are those of the baseline and all variants. `±` is half the range over seeds, blank for one. With E_id
    frozen in stage 3 accuracy is that of the baseline; its clusters are those of the finished baseline, with which
    every variant starts. A baseline taken over from a checkpoint has no random weights.
    """
    heads, baseline = headline_epochs(study, records), where(records, stage="baseline")
    parts = {BASELINE: where(heads, stage="baseline"), **{name: where(heads, stage=name) for name in study.variants}}
    if numbers(baseline, "epoch").max() > 0:
        start = where(baseline, epoch=0)
        parts = {str(start["note"].iloc[0]): start, **parts}
    accuracy, clusters = (
        {"map": ("mAP", 100), "rank1": ("rank-1", 100)},
        {"clusters": ("clusters", 1), "ari": ("ARI", 1)},
    )
    rows = []
    for name, lines in parts.items():
        row: dict[str, Any] = {"variant": name, "seeds": len(lines)}
        clustered = start_of_training(records) if name == BASELINE else lines
        for measured_on, columns in ((lines, accuracy), (clustered, clusters)):
            for column, (title, scale) in columns.items():
                values = scale * numbers(measured_on, column)
                row |= {title: values.mean(), f"± {title}": spread(values)}
        rows.append(row)
    return pd.DataFrame(rows).astype({"seeds": "Int64"})
