"""FID and KID of drawn views against the real training pictures, one angle at a time, kept on disk (§7.1)."""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float32, Int64, UInt8
from torch import nn
from tqdm import tqdm

from gcl_core.config import Study
from gcl_core.data.batches import channels_first
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.device import resolve_device
from gcl_core.evaluation.encoding import ROUND_TRIPS, Encoding
from gcl_core.evaluation.frechet import frechet_distance, kernel_distance
from gcl_core.evaluation.inception import inception_features, inception_source, load_inception
from gcl_core.evaluation.moments import Statistics, gaussian_statistics
from gcl_core.files import atomic, hash_file, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.mesh.projection import NOVEL, YAWS
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_encoder, load_generator
from gcl_core.provenance import code_of, fingerprint
from gcl_core.seeding import numpy_rng

PIECE = 64  # real pictures that one process measures at a time where several share them
CHUNK = 512  # pictures drawn and held at once, and kept when a measurement breaks off
SUBSETS, SUBSET_SIZE = 50, 1000  # KID: the usual 1000 pictures a subset, at most half a set
KEPT_AS: dict[Encoding, str] = {"png": "views", "jpeg75": "views_jpeg75"}  # names in fid.json


def chosen_rows(people: PersonSet, study: Study) -> Int64[np.ndarray, " n"]:
    """Return the training rows whose views are drawn: of those with a mesh `evaluation.fid_pictures`, or all.

    The choice is random and ever the same.
    """
    rows = people.with_mesh(people.rows("train"))
    count = study.evaluation.fid_pictures
    if count is None or count >= len(rows):
        return rows
    return np.sort(numpy_rng(0, "FID pictures").choice(rows, count, replace=False))


def study_fid(layout: Layout) -> dict[str, list[dict[str, Any]]]:
    """Return `view_fid` of every variant in `evaluation.fid_variants` and every seed: variant → one result per seed."""
    study = layout.study
    seen = [layout.of_seed(seed) for seed in range(study.seeds)]
    return {
        variant: [view_fid(own, load_person_set(own), variant, seed) for seed, own in enumerate(seen)]
        for variant in study.evaluation.fid_variants
    }


def fid_encodings(study: Study, variant: str) -> list[Encoding]:
    """Return the encodings of drawn pictures to measure, the headline's first (D19).

    Of the first of `evaluation.fid_variants` both, so that PNG and "as released" stand side by side; of the others the
    headline's alone, since the network pass is what takes the time.
    """
    headline = study.evaluation.encoding
    others: list[Encoding] = [name for name in KEPT_AS if name != headline]
    return [headline, *others] if variant == study.evaluation.fid_variants[0] else [headline]


def view_fid(layout: Layout, people: PersonSet, variant: str, seed: int) -> dict[str, Any]:
    """Return FID and KID of a variant's drawn views, per yaw (0 is the reconstruction), against all training pictures.

    The result holds `pictures` (drawn a view), `reference` (real), `network` and `views`: encoding → yaw as text → fid,
    fid_matched (against as many random real pictures as drawn ones), kid, kid_std (mean, standard deviation over
    subsets). Both sides are 8-bit pictures of the study's size; the encoding is that of the drawn ones, real ones are
    as decoded from the files they were distributed in. Each angle is kept in `fid.json` of the run folder, and features
    of an unfinished angle beside it, under a hash of weights, data and choice: a second call costs nothing and a broken
    one goes on. Source: METHOD.md §7.1.
    """
    study, run = layout.study, finished_run(layout, variant, seed)
    rows, encodings = chosen_rows(people, study), fid_encodings(study, variant)
    facts = {"pictures": len(rows), "reference": len(people.rows("train")), "network": inception_source()}
    identity = _identity(people, rows, run, facts)
    kept = _kept(run / "fid.json", identity, dict(facts))
    for encoding in encodings:
        kept.setdefault(KEPT_AS[encoding], {})
    result = {**facts, "views": {name: kept[KEPT_AS[name]] for name in encodings}}
    missing: dict[int, list[Encoding]]
    missing = {yaw: [name for name in encodings if str(yaw) not in result["views"][name]] for yaw in YAWS}
    passes = sum(map(len, missing.values()))
    if not passes:
        return result
    device = resolve_device(study.device)
    network = load_inception(device=device)
    reference = _reference(real_features(layout, people, network, "train"), len(rows))
    encoder, generator = load_encoder(study, run, device), load_generator(study, run, device)
    with tqdm(total=passes * len(rows), desc=f"FID {variant} seed {seed}", mininterval=2) as bar:
        for yaw in filter(missing.get, YAWS):
            features: dict[Encoding, list[np.ndarray]] = {name: [] for name in missing[yaw]}
            for number, part in enumerate(_chunks(rows)):
                stem = f"inception_{identity}_{yaw}_{number * CHUNK}-{number * CHUNK + len(part)}"
                paths: dict[Encoding, Path] = {name: run / f"{stem}_{name}.npy" for name in features}
                absent: list[Encoding] = [name for name, path in paths.items() if not path.is_file()]
                bar.update(len(part) * (len(paths) - len(absent)))
                if absent:
                    projections = people.projections[part, YAWS.index(yaw)][:, None]
                    drawn = draw_views(
                        encoder, generator, people.pictures[part], projections, batch_size=study.evaluation.batch_size
                    )
                    for name in absent:
                        _save(paths[name], _features(network, ROUND_TRIPS[name](drawn[:, 0]), bar))
                for name, path in paths.items():
                    features[name].append(np.load(path))
            for name, parts in features.items():
                result["views"][name][str(yaw)] = _distances(np.concatenate(parts), reference)
            write_json(run / "fid.json", kept)
            for path in run.glob("inception_*.npy"):  # also those of weights that have changed since
                path.unlink(missing_ok=True)
    return result


def _identity(people: PersonSet, rows: Int64[np.ndarray, " n"], run: Path, facts: dict[str, Any]) -> str:
    weights = [hash_file(run / f"{name}.safetensors") for name in ("encoder", "generator")]
    return fingerprint([code_of(__name__), weights, people.fingerprint, rows.tolist(), facts])


def todays_fid(layout: Layout, people: PersonSet, run: Path) -> dict[str, Any] | None:
    """Return `kept_fid` of a run where it is of today's weights, data, choice of pictures and code, else None.

    The network may be the one it was measured by: none has to be here.
    """
    found, rows = kept_fid(run), chosen_rows(people, layout.study)
    if found is None:
        return None
    facts = {"pictures": len(rows), "reference": len(people.rows("train")), "network": found["network"]}
    return found if read_json(run / "fid.json").get("identity") == _identity(people, rows, run, facts) else None


def kept_fid(run: Path) -> dict[str, Any] | None:
    """Return what `view_fid` left in a run folder, every encoding that has all angles; None where there is none."""
    if not (run / "fid.json").is_file():
        return None
    kept = read_json(run / "fid.json")
    views = {name: kept[key] for name, key in KEPT_AS.items() if len(kept.get(key, {})) == len(YAWS)}
    return {**{key: kept[key] for key in ("pictures", "reference", "network")}, "views": views} if views else None


def real_floor(layout: Layout, people: PersonSet) -> dict[str, Any]:
    """Return what the same measure gives for real pictures: `halves` of the training set, and the `gallery` against it.

    As many real pictures as are drawn a view (at most half the set) are compared with the rest of the training set; at
    halves when all are drawn. Each has fid, fid_matched (equal numbers on both sides), kid, kid_std, pictures,
    reference. Kept in the data store. Source: METHOD.md §7.1.6.
    """
    study, rows = layout.study, chosen_rows(people, layout.study)
    identity = fingerprint([code_of(__name__), people.fingerprint, len(rows), inception_source()])
    kept = _kept(layout.store / "fid.json", identity, {"views": {}})
    if kept["views"]:
        return kept["views"]
    network = load_inception(device=resolve_device(study.device))
    real = real_features(layout, people, network, "train")
    order = numpy_rng(0, "FID halves").permutation(len(real))
    count = min(len(rows), len(real) // 2)
    one, rest = real[order[:count]], real[order[count:]]
    gallery = real_features(layout, people, network, "gallery")
    for name, left, right in (("halves", one, rest), ("gallery", gallery, real)):
        distances = _distances(left, _reference(right, len(left)))
        kept["views"][name] = {**distances, "pictures": len(left), "reference": len(right)}
    write_json(layout.store / "fid.json", kept)
    return kept["views"]


def real_features(layout: Layout, people: PersonSet, network: nn.Module, split: str) -> Float32[np.ndarray, "n d"]:
    """Return Inception features of the real pictures of a split, computed once and kept in the data store.

    Of the gallery, as many pictures as are drawn a view. Two notebooks that need them at once share the work, and a
    killed one goes on. Statistics are taken from them anew: a matter of seconds.
    """
    rows = people.rows(split)
    if split != "train":
        count = min(len(rows), len(chosen_rows(people, layout.study)))
        rows = np.sort(numpy_rng(0, f"FID {split}").choice(rows, count, replace=False))
    facts = [code_of("gcl_core.evaluation.inception"), inception_source(), people.fingerprint, rows.tolist()]
    identity = fingerprint(facts)
    path = layout.store / f"inception_{split}_{identity}.npy"  # the name tells what it holds: no stale file is read
    if not path.is_file():
        pieces = {start: path.with_name(f"{path.stem}_{start}.npy") for start in range(0, len(rows), PIECE)}
        left = dict(pieces)
        with tqdm(total=len(rows), desc=f"FID real {split}", mininterval=2) as bar:
            for patience in (0, -1):  # first what nobody is at, then what others were at
                for start, piece in list(left.items()):
                    part = rows[start : start + PIECE]
                    with suppress(Timeout), FileLock(piece.with_suffix(".lock"), timeout=patience):
                        if path.is_file() or piece.is_file():
                            bar.update(len(part))
                        else:
                            _save(piece, _features(network, people.pictures[part], bar))
                        del left[start]
        with FileLock(layout.store / ".inception.lock"):
            if not path.is_file():
                _save(path, np.concatenate([np.load(piece) for piece in pieces.values()]))
            for piece in pieces.values():
                piece.unlink(missing_ok=True)
                piece.with_suffix(".lock").unlink(missing_ok=True)
    return np.load(path)


def _kept(path: Path, identity: str, empty: dict[str, Any]) -> dict[str, Any]:
    if path.is_file():
        kept = read_json(path)
        if kept.get("identity") == identity:
            return kept
    return {"identity": identity, **empty}


def whole_chunks(
    rows: Int64[np.ndarray, " n"], study: Study, *, features: int = 1
) -> Iterator[Int64[np.ndarray, " m"]]:
    """Yield rows in chunks of CHUNK or a little more or less, of which the last may be shorter.

    A chunk is of whole batches, of `evaluation.batch_size` pictures and of `features` pictures alike: what networks
    draw of the chunks, and extract from them, has the bits that they give of all rows at once.
    """
    batch = math.lcm(study.evaluation.batch_size, features)
    size = batch * max(1, round(CHUNK / batch))
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _chunks(rows: Int64[np.ndarray, " n"]) -> Iterator[Int64[np.ndarray, " m"]]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def _save(path: Path, features: Float32[np.ndarray, "n d"]) -> None:
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, features)


def _features(network: nn.Module, pictures: UInt8[np.ndarray, "n h w 3"], bar: Any) -> Float32[np.ndarray, "n d"]:
    return inception_features(network, channels_first(pictures), progress=bar.update)


@dataclass(frozen=True)
class _Reference:
    """Features of real pictures, their Gaussian, and that of as many of them as there are pictures to compare."""

    features: Float32[np.ndarray, "n d"]
    whole: Statistics
    matched: Statistics


def _reference(features: Float32[np.ndarray, "n d"], count: int) -> _Reference:
    whole = gaussian_statistics(features)
    if count == len(features):
        return _Reference(features, whole, whole)
    some = np.sort(numpy_rng(0, "FID equal N").choice(len(features), count, replace=False))
    return _Reference(features, whole, gaussian_statistics(features[some]))


def _distances(features: Float32[np.ndarray, "m d"], real: _Reference) -> dict[str, float]:
    size = max(2, min(SUBSET_SIZE, len(features) // 2, len(real.features) // 2))
    mean, deviation = kernel_distance(features, real.features, subsets=SUBSETS, subset_size=size, seed=0)
    drawn = gaussian_statistics(features)
    fid = frechet_distance(drawn, real.whole)
    matched = fid if real.matched is real.whole else frechet_distance(drawn, real.matched)
    return {"fid": fid, "fid_matched": matched, "kid": mean, "kid_std": deviation}


def mean_over_views(values: Mapping[int, float], *, leave_out: int | None = None) -> float:
    """Return the mean over the seven novel views, or over those left without one."""
    return float(np.mean([values[yaw] for yaw in NOVEL if yaw != leave_out]))
