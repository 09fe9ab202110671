"""The batches of stage 3 on the way to its steps: pictures, partners in the memory, x_nv or the meshes to draw it from.

All random numbers are drawn for the whole batch, however many ranks there are, by generators of (seed, epoch, step).
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gcl_core.config import Study, VariantSettings
from gcl_core.data.augment import augment
from gcl_core.data.batches import draw_angles, imagenet_normalize, unit_pictures
from gcl_core.data.feed import Drawn, Feed, ahead
from gcl_core.data.person_set import PersonSet
from gcl_core.parallel import ranks
from gcl_core.seeding import rng
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.step import Batch
from gcl_core.training.views import NewViews

Places = Int64[np.ndarray, " _"]  # in the training rows
Numbered = Sequence[tuple[int, Places]]  # an epoch's steps, from 0, with their batches


class JointFeed:
    """Makes the batches of stage 3, this rank's part of each, while the steps before it are at work.

    All is made in threads (`ahead`), but views of networks, which are drawn when their step comes. Each rank makes the
    views of its part alone, except where TDA changes them, whose numbers are drawn for the whole batch, and where
    networks draw them, whose rounding depends on what is drawn together.
    """

    def __init__(
        self,
        study: Study,
        variant: VariantSettings,
        people: PersonSet,
        views: NewViews,
        seed: int,
        device: torch.device,
    ) -> None:
        self._study, self._variant, self._views, self._seed, self._device = study, variant, views, seed, device
        self._count, drawn = len(people.rows("train")), variant.view == "drawn"
        self._of_whole = not drawn and (variant.augment or views.networks)
        self._feed = Feed(people, people.rows("train"), device, projections=drawn)

    def batches(
        self, left: Numbered, *, epoch: int, labels: Int64[Tensor, " n"], plan: tuple[Tensor, ...]
    ) -> Generator[Batch]:
        """Yield the batches of the steps that are left of an epoch, of its pseudo labels and its plan of merged views.

        Raises ValueError for an outlier in a batch, and what the making of a view raises. Its threads end with it.
        """
        turns = (0,) if self._variant.view == "copied" else self._study.angles
        angles = draw_angles(turns, self._count, seed=self._seed, purpose="joint angle", epoch=epoch)
        views_at = self._views.in_epoch(plan)

        def make(given: tuple[tuple[int, Places], Places, Drawn | Float[Tensor, "_ 3 h w"]]) -> Batch:
            (step, whole), picked, fed = given
            own, indices = ranks.part(len(whole)), torch.from_numpy(whole)
            numbers = rng(self._seed, "joint partners", epoch, step)
            partners = draw_own_partners(labels, indices, self._study.contrast, numbers)
            if isinstance(fed, Drawn):
                return Batch(indices[own], partners, imagenet_normalize(fed.pictures), fed.mesh, fed.turned)
            view = fed if views_at is None else unit_pictures(views_at(picked, angles[picked]), self._device)
            if self._variant.augment:
                view = augment(view, self._study.augmentation, rng(self._seed, "joint augment", epoch, step))
            x, view = (each[own] if self._of_whole else each for each in (fed, view))
            return Batch(indices[own], partners, imagenet_normalize(x), view=imagenet_normalize(view))

        picked = [whole if self._of_whole else whole[ranks.part(len(whole))] for _, whole in left]
        feed = partial(self._feed.drawn, angles=angles) if self._variant.view == "drawn" else self._feed.pictures
        with closing(feed(picked)) as pictures:
            made = zip(left, picked, pictures, strict=True)
            yield from map(make, made) if self._views.networks else ahead(make, made, self._device)
