"""Where the new views of stage 3 come from when nothing is drawn as it learns: true, carried, merged, drawn once."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gcl_core.config import Study
from gcl_core.data.augment import augment
from gcl_core.data.batches import unit_pictures
from gcl_core.data.person_set import PersonSet
from gcl_core.data.truth import load_truth
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_encoder, load_generator
from gcl_core.parallel import ranks
from gcl_core.surface.merging import MergedViews, Plan
from gcl_core.surface.stored import stored_views

# places in the training rows and a yaw for each → their new views in [0, 1]
ViewSource = Callable[[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]], Float[Tensor, "b 3 h w"]]


def merged_source(merged: MergedViews, plan: Plan, device: torch.device) -> ViewSource:
    """Return what gives the views of one epoch, merged by its plan."""
    return lambda picked, yaws: unit_pictures(torch.from_numpy(merged.at(picked, yaws, plan)), device)


def view_source(
    layout: Layout, people: PersonSet, rows: Int64[np.ndarray, " n"], name: str, seed: int, device: torch.device
) -> ViewSource | None:
    """Return what gives a variant's new views without learning to draw; None where they are made of the pictures.

    Raises RunError: true views are not there, or as `stored_views`, `load_encoder` and `load_generator`.
    """
    variant = layout.study.variants[name]
    if variant.view == "known":
        truth, files = load_truth(layout), people.index["file"].to_numpy()[rows]
        if truth is None:
            raise RunError(
                f"{layout.data_root / 'true_views'} is missing, from which variant {name} learns: run notebook "
                "00_data_preparation again, or `python -m gcl_core make-people` for people in a folder of your own, "
                "with people.true_views=true, or leave the variant out"
            )

        def known(picked: Int64[np.ndarray, " b"], yaws: Int64[np.ndarray, " b"]) -> Float[Tensor, "b 3 h w"]:
            views = truth.true_views(files[picked].tolist(), yaws, blur=variant.blur)
            return unit_pictures(torch.from_numpy(views), device)

        return known
    if variant.view == "surface":
        stored = stored_views(layout, people, variant.bodies, turned=variant.turned)
        return lambda picked, yaws: unit_pictures(torch.from_numpy(stored.at(picked, yaws)), device)
    if variant.view == "drawn_once":
        encoder = load_encoder(layout.study, layout.stage("baseline", seed), device)
        artist = load_generator(layout.study, layout.stage("warm_up", seed), device)

        def drawn(picked: Int64[np.ndarray, " b"], yaws: Int64[np.ndarray, " b"]) -> Float[Tensor, "b 3 h w"]:
            meshes = people.projections[rows[picked], yaws // 45][:, None]
            views = draw_views(encoder, artist, people.pictures[rows[picked]], meshes)[:, 0]
            return unit_pictures(torch.from_numpy(views), device)

        return drawn
    return None


def augment_part(study: Study, draw: torch.Generator, whole: int, view: Float[Tensor, "b 3 h w"]) -> Tensor:
    """Return TDA of this process' part of pictures in [0, 1]; `draw` is drawn from for all `whole` of the batch."""
    own = ranks.part(whole)
    pictures = view.new_zeros(whole, *view.shape[1:])
    pictures[own] = view
    return augment(pictures, study.augmentation, draw)[own]
