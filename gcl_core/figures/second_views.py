"""What each variant sets beside a picture: the second view x_nv of the contrast, by its sources (§3.3, §6.1)."""

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from gcl_core.data.augment import augment
from gcl_core.data.batches import imagenet_normalize, to_pixels, unit_pictures
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth
from gcl_core.layout import Layout
from gcl_core.measure.drawn_people import draw_people
from gcl_core.measure.first_step import FirstStep
from gcl_core.measure.merged_views import kept_merger
from gcl_core.mesh.projection import NOVEL
from gcl_core.seeding import rng
from gcl_core.surface.stored import carried_views


def second_views(
    layout: Layout, people: PersonSet, truth: Truth | None, rows: Int64[np.ndarray, " n"]
) -> dict[str, UInt8[np.ndarray, "n 7 h w 3"]]:
    """Return title → what each variant shows E_id beside the pictures of `rows`, as in a gallery: seven a picture.

    Views at 45 ... 315 degrees, or seven augmented copies, of which an epoch uses one. Variants that show the same are
    there once, under the first one's title; of those that draw while they learn only `evaluation.fid_variants`, the
    last drawings of each, of seed 0. Raises RunError as `finished_run` does.
    """
    study, shown, seen = layout.study, {}, set()
    for name, variant in study.variants.items():
        learns = variant.view == "drawn"
        augmentation = study.of_variant(name).augmentation if variant.augment else None
        kind = (variant.view, variant.bodies, variant.turned, augmentation, variant.blur, name if learns else "")
        if kind in seen or (learns and name not in study.evaluation.fid_variants):
            continue
        seen.add(kind)
        views = _views(layout, people, truth, name, rows)
        shown[variant.title] = _augmented(layout, name, views) if variant.augment else views
    return shown


def first_views(
    layout: Layout, people: PersonSet, truth: Truth | None, name: str, start: FirstStep
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return what a variant shows E_id beside each picture of its first step: drawn as the generator of stage 2 draws.

    Before there are clusters to merge within, merged views are those of the picture alone.
    """
    variant, rows = layout.study.variants[name], start.rows
    if variant.view in ("drawn", "drawn_once"):
        views = draw_people(layout, people, "warm_up", start.seed, rows)
    elif variant.view == "surface_cluster":
        views = carried_views(layout, people, rows, variant.bodies)[0]
    else:
        views = _views(layout, people, truth, name, rows)
    shown = _augmented(layout, name, views) if variant.augment else views
    return shown[np.arange(len(rows)), start.angles // 45 - 1]


def _views(
    layout: Layout, people: PersonSet, truth: Truth | None, name: str, rows: Int64[np.ndarray, " n"]
) -> UInt8[np.ndarray, "n 7 h w 3"]:
    variant = layout.study.variants[name]
    if variant.view in ("drawn", "drawn_once"):
        return draw_people(layout, people, name if variant.view == "drawn" else "warm_up", 0, rows)
    if variant.view == "surface":  # black where a picture has none
        return carried_views(layout, people, rows, variant.bodies, turned=variant.turned)[0]
    if variant.view == "surface_cluster":
        return kept_merger(layout, people, name, 0)(rows)[0]
    if variant.view == "known":
        assert truth is not None  # Study allows such variants where the truth is made
        files = people.index["file"].iloc[rows].tolist()
        each = [truth.true_views(files, [yaw] * len(files), blur=variant.blur) for yaw in NOVEL]
        return np.stack(each, axis=1)
    return np.repeat(people.pictures[rows][:, None], len(NOVEL), axis=1)


def _augmented(layout: Layout, name: str, views: np.ndarray) -> UInt8[np.ndarray, "n 7 h w 3"]:
    flat = unit_pictures(views.reshape(-1, *views.shape[2:]), torch.device("cpu"))
    changed = augment(flat, layout.study.of_variant(name).augmentation, rng(0, "second views"))
    return to_pixels(imagenet_normalize(changed)).reshape(views.shape)
