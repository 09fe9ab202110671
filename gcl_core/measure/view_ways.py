"""How good the views of each way are, angle by angle: against true views, and as a crowd against real pictures (ours).

The ways are copies, the generator's drawings, colours carried over the surface of bodies, and true ones for comparison.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, UInt8
from torch import nn
from tqdm import tqdm

from gcl_core.config import Study
from gcl_core.data.batches import channels_first
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.device import resolve_device
from gcl_core.evaluation.encoding import ROUND_TRIPS
from gcl_core.evaluation.frechet import frechet_distance
from gcl_core.evaluation.inception import inception_features, inception_source, load_inception
from gcl_core.evaluation.moments import gaussian_statistics
from gcl_core.evaluation.picture_quality import person_psnr, psnr_ssim
from gcl_core.files import hash_file, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, numbers, where
from gcl_core.measure.view_fid import CHUNK, chosen_rows, real_features, view_fid, whole_chunks
from gcl_core.measure.view_sources import DRAWN, MERGED, TRUE, Rows, Source, Views, view_sources
from gcl_core.mesh.projection import NOVEL, WHITE
from gcl_core.outputs import MERGING
from gcl_core.provenance import code_of, fingerprint
from gcl_core.surface.bodies import fits_hash

COPIED = "copied"
POOL = 256  # pictures at most among whose true views a view's own is looked for
MEASURES = {
    "psnr_person": "PSNR on the person (dB)",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "turned": "turned as asked (%)",
    "recognised": "own person nearest (%)",
    "fid": "FID",
}
FORMS = {  # told in words
    **{MEASURES["psnr_person"]: ".1f", MEASURES["ssim"]: ".2f"},
    **{MEASURES["turned"]: ".0f", MEASURES["recognised"]: ".0f", MEASURES["fid"]: ".0f"},
}

Encode = Callable[[np.ndarray], np.ndarray]


def way_quality(
    layout: Layout, people: PersonSet, truth: Truth | None, seed: int, *, trained: bool = True
) -> pd.DataFrame:
    """Return one line per way of view and novel yaw for the training pictures of `chosen_rows`: means over pictures.

    psnr_person (dB, on the pixels of the turned body), psnr and ssim compare with the true view, over the pictures that
    have a view and differ from it; NaN where none is known, and of true views themselves. turned and recognised are
    those of `_told_apart`, on POOL of these pictures. fid is against all training
    pictures, in the encoding of `evaluation.encoding`: `pictures` of the way are compared. Drawn views are GCL's;
    `trained=False` leaves them and merged ones out, so that nothing has to be trained. Views are made chunk by chunk,
    and only where something is measured of them: memory does not grow with pictures.
    """
    rows = chosen_rows(people, layout.study)
    sources = {COPIED: lambda rows: _copies(people, rows), **view_sources(layout, people, truth, seed, "train")}
    if not trained:
        sources = {way: source for way, source in sources.items() if way not in (DRAWN, MERGED)}
    fids = _fids(layout, people, truth, seed, rows, sources)
    pool = rows[:: -(-len(rows) // POOL)]
    true = None if truth is None else _all_true_views(people, truth, pool)
    lines = []
    for way, source in sources.items():
        judged = [{}] * len(NOVEL)
        if truth is not None and true is not None and way != TRUE:
            judged = _judged(layout.study, people, truth, source, rows, pool, true)
        for yaw, line in zip(NOVEL, judged, strict=True):
            facts = {"way": way, "yaw": yaw, "pictures": fids[way]["pictures"], "fid": fids[way][str(yaw)]}
            lines.append(facts | line)
    return pd.DataFrame(lines)


def _copies(people: PersonSet, rows: Rows) -> Views:
    return people.pictures[rows][:, None], np.ones(len(rows), dtype=bool)


def _all_true_views(people: PersonSet, truth: Truth, rows: Rows) -> UInt8[np.ndarray, "n angles h w 3"]:
    """Return the picture itself and its true views at all novel yaws."""
    files = people.index["file"].iloc[rows].tolist()
    views = [truth.true_views(files, [yaw] * len(rows)) for yaw in NOVEL]
    return np.stack([people.pictures[rows], *views], axis=1)


def _judged(
    study: Study,
    people: PersonSet,
    truth: Truth,
    source: Source,
    rows: Rows,
    pool: Rows,
    true: UInt8[np.ndarray, "m angles h w 3"],
) -> list[dict[str, float]]:
    """Return what true views tell of a way's views, for each novel yaw; `true` are those of the rows `pool`."""
    found: list[list[np.ndarray]] = [[] for _ in NOVEL]
    pooled, asked = [], []
    for part in whole_chunks(rows, study):
        views, there = source(part)
        if not there.any():
            continue
        views, part = np.broadcast_to(views, (len(part), len(NOVEL), *views.shape[2:])), part[there]
        for place, yaw in enumerate(NOVEL):
            found[place].append(_fidelity(people, truth, part, yaw, views[there, place]))
        some = np.isin(part, pool)
        pooled.append(views[np.flatnonzero(there)[some]])
        asked.append(part[some])
    if not found[0]:
        return [dict.fromkeys(("psnr_person", "psnr", "ssim", "turned", "recognised"), float("nan"))] * len(NOVEL)
    shown, own = np.concatenate(pooled), np.concatenate(asked)
    lines = []
    for place, parts in enumerate(found):
        fidelity = zip(("psnr_person", "psnr", "ssim"), np.concatenate(parts, axis=1), strict=True)
        told = _told_apart(people, own, place + 1, shown[:, place], true[np.isin(pool, own)])
        lines.append({name: _finite_mean(values) for name, values in fidelity} | told)
    return lines


def _fidelity(
    people: PersonSet, truth: Truth, rows: Rows, yaw: int, views: UInt8[np.ndarray, "n h w 3"]
) -> Float64[np.ndarray, "3 n"]:
    """Return psnr_person, psnr and ssim of each view."""
    true = truth.true_views(people.index["file"].iloc[rows].tolist(), [yaw] * len(rows))
    person = people.projections[rows, NOVEL.index(yaw) + 1] < WHITE
    return np.stack([person_psnr(views, true, person), *psnr_ssim(channels_first(views), channels_first(true))])


def _told_apart(
    people: PersonSet,
    rows: Rows,
    angle: int,
    views: UInt8[np.ndarray, "n h w 3"],
    true: UInt8[np.ndarray, "n angles h w 3"],
) -> dict[str, float]:
    """Return how many views of these pictures, in percent, show the angle asked for, and how many the person.

    A view shows the angle (turned) if none of its picture's eight true views is nearer than that of the angle, by
    squared differences where the body is in any of them (chance: 12.5); the person (recognised) if the nearest of these
    pictures' true views at that angle, where the view's own body is, is one of the same person. The more pictures, the
    harder it is to be that.
    """
    if not len(rows):
        return {"turned": float("nan"), "recognised": float("nan")}
    bodies, pids = people.projections[rows] < WHITE, people.index["pid"].to_numpy()[rows]
    flat = _flat(views)
    anywhere, there = (
        np.repeat(each.reshape(len(rows), -1), 3, axis=1) for each in (bodies.any(axis=1), bodies[:, angle])
    )
    by_angle = np.stack([((flat - _flat(each)) ** 2 * anywhere).sum(axis=1) for each in true.swapaxes(0, 1)])
    others = _flat(true[:, angle])
    by_person = there @ (others**2).T - 2 * (flat * there) @ others.T
    turned = by_angle[angle] == by_angle.min(axis=0)
    recognised = pids[by_person.argmin(axis=1)] == pids
    return {"turned": 100 * float(turned.mean()), "recognised": 100 * float(recognised.mean())}


def _flat(pictures: UInt8[np.ndarray, "n h w 3"]) -> Float64[np.ndarray, "n d"]:
    """Return a row of numbers per picture; sums of their squares are exact, in any order."""
    return pictures.reshape(len(pictures), -1).astype(np.float64)


def _finite_mean(values: Float64[np.ndarray, " n"]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _fids(
    layout: Layout, people: PersonSet, truth: Truth | None, seed: int, rows: Rows, sources: Mapping[str, Source]
) -> dict[str, dict[str, float | int]]:
    """Return way → yaw as text → FID, and `pictures` → how many have views.

    Of drawn views it is what `view_fid` keeps, of others kept in the data store.
    """
    study = layout.study
    path, encoding = layout.store / "fid_of_ways.json", study.evaluation.encoding
    bodies = fits_hash(layout, "fitted")
    facts = [people.fingerprint, bodies, truth and truth.fingerprint, rows.tolist(), encoding, inception_source()]
    kept = _kept(path, fingerprint([code_of(__name__), facts]))
    keys = {way: way for way in sources if way != DRAWN}
    if MERGED in sources:  # other colours in every training
        keys[MERGED] += f" {hash_file(finished_run(layout, MERGING, seed) / 'encoder.safetensors')}"
    missing = [way for way, key in keys.items() if key not in kept["fids"]]
    if missing:
        network = load_inception(device=resolve_device(study.device))
        real = gaussian_statistics(real_features(layout, people, network, "train"))
        for way in missing:
            features = _features(network, sources[way], rows, ROUND_TRIPS[encoding], way)
            distances = [frechet_distance(gaussian_statistics(each), real) for each in features]
            angles = zip(NOVEL, distances * (len(NOVEL) // len(distances)), strict=True)
            kept["fids"][keys[way]] = {"pictures": len(features[0]), **{str(yaw): fid for yaw, fid in angles}}
            write_json(path, kept)
    fids = {way: kept["fids"][key] for way, key in keys.items()}
    if DRAWN in sources:
        drawn = view_fid(layout, people, "gcl", seed)
        of_yaw = {str(yaw): drawn["views"][encoding][str(yaw)]["fid"] for yaw in NOVEL}
        fids[DRAWN] = {"pictures": drawn["pictures"], **of_yaw}
    return fids


def _features(
    network: nn.Module, source: Source, rows: Rows, encode: Encode, way: str
) -> list[Float32[np.ndarray, "m d"]]:
    """Return the Inception features of the views at each angle, of the pictures that have views."""
    angles: list[list[np.ndarray]] = []
    for start in tqdm(range(0, len(rows), CHUNK), desc=f"FID of views: {way}", mininterval=2):
        views, there = source(rows[start : start + CHUNK])
        angles = angles or [[] for _ in range(views.shape[1])]
        for place, parts in enumerate(angles):
            parts.append(inception_features(network, channels_first(encode(views[there, place]))))
    return [np.concatenate(parts) for parts in angles]


def _kept(path: Path, identity: str) -> dict[str, Any]:
    kept = read_json(path) if path.is_file() else {}
    return kept if kept.get("identity") == identity else {"identity": identity, "fids": {}}


def way_table(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of `way_quality` as a table: a row per measure and way, columns the yaw and the mean."""
    rows = []
    for measure, title in MEASURES.items():
        for way in dict.fromkeys(lines["way"]):
            own = where(lines, way=way)
            values = numbers(own, measure) if measure in own else np.full(len(own), np.nan)
            if np.isfinite(values).all():
                angles = dict(zip((f"{yaw}°" for yaw in own["yaw"]), values, strict=True))
                facts = {"measure": title, "way": way, "pictures": int(own["pictures"].iloc[0])}
                rows.append({**facts, **angles, "mean": values.mean()})
    return pd.DataFrame(rows)


def way_reading(table: pd.DataFrame) -> str:
    """Return a paragraph that reads the table: each way's means over the angles, and where it is best and worst."""
    sentences = []
    for way in dict.fromkeys(table["way"]):
        own = where(table, way=way).set_index("measure")
        told = [f"{title} {own['mean'][title]:{form}}" for title, form in FORMS.items() if title in own.index]
        sentences.append(f"**{way}**: {', '.join(told)}.")
    person = where(table, measure=MEASURES["psnr_person"])
    for line in person.to_dict("records"):
        angles = {yaw: line[f"{yaw}°"] for yaw in NOVEL}
        best, worst = max(angles, key=lambda yaw: angles[yaw]), min(angles, key=lambda yaw: angles[yaw])
        sentences.append(f"On the person *{line['way']}* is best at {best}° and worst at {worst}°.")
    sentences.append(
        "PSNR over all pixels rewards the right background, which copies have; the person alone tells more. A copy is "
        "one of the real pictures that FID compares with, so its FID is no more than the noise of so few: FID does not "
        "ask whether a view shows the right side of the right person."
    )
    return " ".join(sentences)
