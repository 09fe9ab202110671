"""Where the new views x_nv of stage 3 come from when no generator learns to draw them: true, carried, merged, drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from gcl_core.config import Study
from gcl_core.data.augment import augment
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import Truth, load_truth
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_encoder, load_generator
from gcl_core.parallel import ranks
from gcl_core.surface.merging import MergedViews, Plan, merged_views
from gcl_core.surface.stored import stored_views

# places in the training rows and a yaw for each, in degrees → one new view of each
ViewsAt = Callable[[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]], UInt8[np.ndarray, "b h w 3"]]


@dataclass(frozen=True)
class NewViews:
    """What makes x_nv for a variant, and which of the n training pictures can have one.

    `at` is None where x_nv is the picture itself, or drawn in the step. Where views are `merged`, an epoch's plan makes
    them (`in_epoch`). Those of `networks` are to be made on the main thread: `full_float32` is a switch of the process.
    """

    there: Bool[np.ndarray, " n"]
    at: ViewsAt | None = None
    merged: MergedViews | None = None
    networks: bool = False

    def plan(self, labels: Int64[Tensor, " n"], features: Float[Tensor, "n d"]) -> tuple[Tensor, ...]:
        """Return the fields of the `Plan` by which views are merged in an epoch; none where they are not."""
        return () if self.merged is None else tuple(self.merged.plan(labels, features))

    def in_epoch(self, plan: tuple[Tensor, ...]) -> ViewsAt | None:
        """Return `at` for the epoch of which `plan` is."""
        merged = self.merged
        return self.at if merged is None else lambda picked, yaws: merged.at(picked, yaws, Plan(*plan))


def new_views(layout: Layout, people: PersonSet, name: str, seed: int, device: torch.device) -> NewViews:
    """Return where the variant `name` has its new views from, made first where they are kept and not there.

    Raises RunError: true views are not there, or as `stored_views`, `load_encoder` and `load_generator`.
    """
    variant, rows = layout.study.variants[name], people.rows("train")
    if variant.view == "surface":
        stored = stored_views(layout, people, variant.bodies, turned=variant.turned)
        return NewViews(stored.there, stored.at)
    if variant.view == "surface_cluster":
        merged = merged_views(layout, people, variant.bodies)
        return NewViews(merged.stored.there, merged=merged)
    there = np.isin(rows, people.with_mesh(rows))
    if variant.view == "known":
        truth, files = _truth_of(layout, name), people.index["file"].to_numpy()[rows]
        return NewViews(there, lambda picked, yaws: truth.true_views(files[picked].tolist(), yaws, blur=variant.blur))
    if variant.view == "drawn_once":
        encoder = load_encoder(layout.study, layout.stage("baseline", seed), device)
        artist = load_generator(layout.study, layout.stage("warm_up", seed), device)

        def drawn(picked: Int64[np.ndarray, " b"], yaws: Int64[np.ndarray, " b"]) -> UInt8[np.ndarray, "b h w 3"]:
            meshes = people.projections[rows[picked], yaws // 45][:, None]
            return draw_views(encoder, artist, people.pictures[rows[picked]], meshes)[:, 0]

        return NewViews(there, drawn, networks=True)
    return NewViews(there)


def _truth_of(layout: Layout, name: str) -> Truth:
    truth = load_truth(layout)
    if truth is None:
        raise RunError(
            f"{layout.data_root / 'true_views'} is missing, from which variant {name} learns: run notebook "
            "00_data_preparation again, or `python -m gcl_core make-people` for people in a folder of your own, "
            "with people.true_views=true, or leave the variant out"
        )
    return truth


def augment_part(study: Study, numbers: torch.Generator, whole: int, view: Float[Tensor, "b 3 h w"]) -> Tensor:
    """Return TDA of this rank's part of pictures in [0, 1]; `numbers` are drawn for all `whole` of the batch."""
    own = ranks.part(whole)
    pictures = view.new_zeros(whole, *view.shape[1:])
    pictures[own] = view
    return augment(pictures, study.augmentation, numbers)[own]
