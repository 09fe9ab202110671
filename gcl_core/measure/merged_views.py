"""Merged views of a finished run: of whose pictures they are made, and how near they come to the true views."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int64, UInt8

from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.evaluation.picture_quality import person_psnr
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run, where
from gcl_core.measure.view_fid import CHUNK, chosen_rows
from gcl_core.mesh.projection import NOVEL, WHITE
from gcl_core.surface.merging import MergedViews, Plan, merged_views
from gcl_core.training.kept import labels_file, merged_file

NUMBERS = {"none": (0, 0), "1-3": (1, 3), "4-7": (4, 7), "8-11": (8, 11), "12-15": (12, 15), "16 or more": (16, np.inf)}
PURITIES = {"below 1/2": (0, 0.5), "1/2 to 3/4": (0.5, 0.75), "3/4 to 1": (0.75, 1), "1": (1, 1.1)}  # low <= x < high


def read_plan(run: Path, epoch: int) -> Plan:
    """Return from whom each training picture of a run took colours in an epoch."""
    return Plan(*(torch.from_numpy(np.load(merged_file(run, part, epoch))) for part in Plan._fields))


def kept_merger(
    layout: Layout, people: PersonSet, variant: str, seed: int
) -> Callable[[Int64[np.ndarray, " n"]], tuple[UInt8[np.ndarray, "n 7 h w 3"], Bool[np.ndarray, " n"]]]:
    """Return what makes the views of training pictures, rows of the set, in the epoch that a finished run keeps.

    Plan and textures are read here. The views are as those of `carried_views`. Raises RunError as `finished_run` and
    `stored_views`.
    """
    run = finished_run(layout, variant, seed)
    merged, train = merged_views(layout, people, layout.study.variants[variant].bodies), people.rows("train")
    plan = read_plan(run, read_json(run / "manifest.json")["kept_epoch"])

    def merge(rows: Int64[np.ndarray, " n"]) -> tuple[UInt8[np.ndarray, "n 7 h w 3"], Bool[np.ndarray, " n"]]:
        places = np.searchsorted(train, rows)
        return _seven(merged, plan, places), merged.stored.there[places]

    return merge


def merged_pictures(
    layout: Layout, people: PersonSet, truth: Truth, variant: str, seed: int, epochs: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return one line per picture of `chosen_rows` that has views, and epoch (those given, or the one kept).

    epoch; pid; label, the pseudo label; purity, the share of its cluster that shows its person; merged, from how many
    pictures it took colours; precision, the share of their say that is of its person, NaN of none; psnr_alone and
    psnr (dB), on the person against true views, of its own colours alone and merged: means over seven angles.
    Raises RunError as `finished_run` does.
    """
    run, bodies = finished_run(layout, variant, seed), layout.study.variants[variant].bodies
    merged, train = merged_views(layout, people, bodies), people.rows("train")
    places = np.searchsorted(train, chosen_rows(people, layout.study))
    places = places[merged.stored.there[places]]
    pid = people.index["pid"].to_numpy()[train]
    files = people.index["file"].to_numpy()[train[places]].tolist()
    plans = {epoch: read_plan(run, epoch) for epoch in epochs or [read_json(run / "manifest.json")["kept_epoch"]]}
    found: list[list[np.ndarray]] = []
    for part in (slice(start, start + CHUNK) for start in range(0, len(places), CHUNK)):
        true = np.stack([truth.true_views(files[part], [yaw] * len(files[part])) for yaw in NOVEL], axis=1)
        person = people.projections[train[places[part]], 1:] < WHITE
        views = (_seven(merged, plan, places[part]) for plan in plans.values())
        shown = itertools.chain([merged.stored.views[places[part]]], views)
        found.append([_mean_psnr(each, true, person) for each in shown])
    alone, *psnr = (np.concatenate(each) for each in zip(*found, strict=True))
    parts = []
    for (epoch, plan), reached in zip(plans.items(), psnr, strict=True):
        labels = np.load(labels_file(run, epoch))
        donors, weights = plan.donors.numpy()[places], plan.weights.numpy()[places]
        own, taken = pid[places], (donors >= 0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            precision = (weights * (pid[donors] == own[:, None])).sum(axis=1) / weights.sum(axis=1)
        mates = (labels[places][:, None] == labels) & (labels >= 0)
        purity = (mates & (own[:, None] == pid)).sum(axis=1) / np.maximum(mates.sum(axis=1), 1)
        facts = {"pid": own, "label": labels[places], "purity": np.where(labels[places] < 0, np.nan, purity)}
        facts |= {"merged": taken, "precision": precision, "psnr_alone": alone}
        parts.append(pd.DataFrame({"epoch": epoch, **facts, "psnr": reached}))
    return pd.concat(parts, ignore_index=True)


def merged_table(pictures: pd.DataFrame) -> pd.DataFrame:
    """Return means of `merged_pictures` per epoch: of all, by the number of pictures merged, and by cluster purity."""
    lines = []
    for epoch, each in pictures.groupby("epoch"):
        parts: dict[tuple[str, str], pd.DataFrame] = {("all", ""): each}
        for name, (low, high) in NUMBERS.items():
            parts["pictures merged", name] = each.loc[each["merged"].between(low, high)]
        for name, (low, high) in PURITIES.items():
            parts["purity of the cluster", name] = each.loc[each["purity"].between(low, high, inclusive="left")]
        for (by, name), part in parts.items():
            if len(part):
                line = {"epoch": epoch, "by": by, "value": name, "pictures": len(part)}
                line |= {"merged from": part["merged"].mean(), "precision": part["precision"].mean()}
                line |= {"PSNR alone (dB)": part["psnr_alone"].mean(), "PSNR merged (dB)": part["psnr"].mean()}
                lines.append(line | {"gain (dB)": (part["psnr"] - part["psnr_alone"]).mean()})
    return pd.DataFrame(lines)


def merged_reading(table: pd.DataFrame) -> str:
    """Return a paragraph that reads the table: from how many pictures colours come, how rightly, and what they gain."""
    every = table.iloc[0]
    sentences = [
        f"A picture takes colours from {every['merged from']:.1f} others in the mean, and "
        f"{100 * every['precision']:.0f} % of their say is that of pictures of the same person. Merging moves PSNR on "
        f"the person by {_decibel(every['gain (dB)'])}, from {every['PSNR alone (dB)']:.1f} dB."
    ]
    for by, words in (("pictures merged", "By the number of pictures merged"), ("purity of the cluster", "By purity")):
        lines = where(table, by=by).to_dict("records")
        told = [f"{line['value']}: {_decibel(line['gain (dB)'])} ({_pictures(line['pictures'])})" for line in lines]
        sentences += [f"{words}: {'; '.join(told)}."] if told else []
    return " ".join(sentences)


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def _decibel(gain: float) -> str:
    return f"{gain:+.2f} dB".replace("-", "\u2212")


def _seven(merged: MergedViews, plan: Plan, places: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 7 h w 3"]:
    return np.stack([merged.at(places, np.full(len(places), yaw), plan) for yaw in NOVEL], axis=1)


def _mean_psnr(
    views: UInt8[np.ndarray, "n 7 h w 3"],
    true: UInt8[np.ndarray, "n 7 h w 3"],
    person: Bool[np.ndarray, "n 7 h w"],
) -> np.ndarray:
    each = [person_psnr(*parts) for parts in zip(views, true, person, strict=True)]
    return np.array([np.mean(values[np.isfinite(values)]) for values in each])
