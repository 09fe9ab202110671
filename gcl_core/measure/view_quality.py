"""How good drawn views are in numbers: against true pictures (PSNR, SSIM) and in E_id's own feature space."""

from collections import defaultdict

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gcl_core.config import Study
from gcl_core.data.batches import channels_first
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.device import resolve_device
from gcl_core.evaluation.features import extract_features
from gcl_core.evaluation.picture_quality import psnr_ssim
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, numbers, where
from gcl_core.measure.drawn_people import artist, gallery_splits
from gcl_core.measure.view_fid import chosen_rows, whole_chunks
from gcl_core.mesh.projection import NOVEL
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import load_encoder
from gcl_core.seeding import numpy_rng

PASS = 64  # pictures that pass the encoder at once
SOME = 1000  # pictures that stand for all when the distance between people is measured
MEASURES = {
    "psnr": "PSNR (dB), drawn against true",
    "ssim": "SSIM, drawn against true",
    "distance": "E_id distance, x to drawn x_nv",
    "distance_true": "E_id distance, x to true view",
    "distance_others": "E_id distance, x to other people",
}


def quality_rows(people: PersonSet, study: Study, split: str) -> np.ndarray:
    """Return the rows on which views are judged: the FID's training pictures, as many test pictures with a mesh."""
    train = chosen_rows(people, study)
    if split == "train":
        return train
    test = np.concatenate([people.rows("query"), people.rows("gallery")])
    test = people.with_mesh(test[people.index["pid"].to_numpy()[test] > 0])
    count = min(len(train), len(test))
    return np.sort(numpy_rng(0, "view quality test").choice(test, count, replace=False))


def view_quality(
    layout: Layout, people: PersonSet, truth: Truth | None, variant: str, seed: int, split: str
) -> pd.DataFrame:
    """Return one line per novel yaw for a variant's drawn views of `split` (train or test): means over pictures.

    psnr and ssim compare with the true picture, NaN where none is known. Distances are Euclidean between unit features
    (0 ... 2) of the variant's own encoder: x to its drawn view, to its true view, and to another person's picture.
    Views are drawn chunk by chunk, and what is measured of each picture is kept: memory does not grow with pictures.
    """
    study, rows = layout.study, quality_rows(people, layout.study, split)
    encoder = load_encoder(study, finished_run(layout, variant, seed), resolve_device(study.device))
    real = extract_features(encoder, people.pictures, rows, batch_size=PASS)
    pids = people.index["pid"].to_numpy()[rows]
    some = numpy_rng(0, "view quality others").permutation(len(rows))[:SOME]
    others = torch.cdist(real[some], real[some])[torch.from_numpy(pids[some][:, None] != pids[some])]
    facts = {"variant": variant, "split": split, "pictures": len(rows), "distance_others": float(others.mean())}
    draw, done = artist(layout, people, variant, seed), 0
    distances, fidelity = defaultdict[tuple[str, int], list[Tensor]](list), defaultdict[int, list[np.ndarray]](list)
    for part in whole_chunks(rows, study, features=PASS):
        drawn, own = draw(part), real[done : done + len(part)]
        done += len(part)
        for place, yaw in enumerate(NOVEL):
            distances["distance", yaw].append(_distance(encoder, own, drawn[:, place]))
            if truth is not None:
                true = truth.true_views(people.index["file"].iloc[part].tolist(), [yaw] * len(part))
                fidelity[yaw].append(np.stack(psnr_ssim(channels_first(drawn[:, place]), channels_first(true))))
                distances["distance_true", yaw].append(_distance(encoder, own, true))
        del drawn  # before the next ones are there
    lines = []
    for yaw in NOVEL:
        line = {**facts, "yaw": yaw, "distance": _mean(distances["distance", yaw])}
        if truth is not None:
            psnr, ssim = np.concatenate(fidelity[yaw], axis=1)
            finite = psnr[np.isfinite(psnr)]
            line |= {"psnr": finite.mean() if len(finite) else np.nan, "ssim": ssim.mean()}
            line["distance_true"] = _mean(distances["distance_true", yaw])
        lines.append(line)
    return pd.DataFrame(lines)


def study_quality(layout: Layout, people: PersonSet, truth: Truth | None, seed: int) -> pd.DataFrame:
    """Return `view_quality` of all `evaluation.fid_variants` on training and, where they have meshes, test pictures."""
    variants = layout.study.evaluation.fid_variants
    parts = [(variant, split) for variant in variants for split in gallery_splits(people)]
    qualities = [view_quality(layout, people, truth, variant, seed, split) for variant, split in parts]
    return pd.concat(qualities, ignore_index=True)


def _distance(
    encoder: IdentityEncoder, real: Float[Tensor, "n d"], pictures: UInt8[np.ndarray, "n h w 3"]
) -> Float[Tensor, " n"]:
    features = extract_features(encoder, pictures, np.arange(len(pictures)), batch_size=PASS)
    return torch.linalg.vector_norm(real - features, dim=1)


def _mean(parts: list[Tensor]) -> float:
    return float(torch.cat(parts).mean())


def view_quality_table(study: Study, quality: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of `view_quality` as a table: a row per measure, variant and split, columns the yaw and mean."""
    rows = []
    for measure, title in MEASURES.items():
        for variant, split, lines in _parts(quality):
            if measure in lines and np.isfinite(numbers(lines, measure)).all():
                values = dict(zip((f"{yaw}°" for yaw in lines["yaw"]), numbers(lines, measure), strict=True))
                facts = {"measure": title, "variant": study.variants[variant].title, "pictures of": split}
                mean = numbers(lines, measure).mean()
                rows.append({**facts, "n": int(lines["pictures"].iloc[0]), **values, "mean": mean})
    return pd.DataFrame(rows)


def view_quality_reading(study: Study, quality: pd.DataFrame) -> str:
    """Return a paragraph that reads the table: fidelity and how near a drawn view stays to its person."""
    sentences = []
    for variant, split, lines in _parts(quality):
        means = {measure: numbers(lines, measure).mean() for measure in MEASURES if measure in lines}
        others = means["distance_others"]
        known = "psnr" in means and np.isfinite(means["psnr"])
        against = (
            f"PSNR {means['psnr']:.1f} dB and SSIM {means['ssim']:.2f} against the true pictures; " if known else ""
        )
        true = f" (true views: {means['distance_true'] / others:.2f})" if known else ""
        sentences.append(
            f"**{study.variants[variant].title}**, {split}: {against}a drawn view lies {means['distance']:.2f} from "
            f"its original in E_id's features, {means['distance'] / others:.2f} of the distance to other people{true}."
        )
    sentences.append(
        "Two variants have two feature spaces: only the ratio to other people may be compared. A small ratio is what "
        "the view-invariant losses ask for; one below that of true views says that the encoder takes drawn views for "
        "more alike than the person really looks."
    )
    return " ".join(sentences)


def _parts(quality: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    pairs = dict.fromkeys(zip(quality["variant"], quality["split"], strict=True))
    return [(variant, split, where(quality, variant=variant, split=split)) for variant, split in pairs]
