"""The labelled half of JVTC in domain adaptation: classification of the source set's people (METHOD.md §6.2)."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gcl_core.config import AugmentationSettings
from gcl_core.data.augment import augment
from gcl_core.data.batches import epoch_batches, imagenet_normalize, unit_pictures
from gcl_core.data.source_set import load_source_set
from gcl_core.layout import Layout
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.seeding import rng
from gcl_core.training.baselines.jvtc.camera_styles import ERASED


class SourceTask:
    """L_src: cross-entropy of ReLU and a linear classifier on the BN feature, on batches of the source set.

    A batch has as many pictures as one of the target, instances x copies; `augmentation` is applied to each.
    Raises DataError when the source set is not prepared.
    """

    def __init__(
        self, layout: Layout, feature_dim: int, augmentation: AugmentationSettings, seed: int, device: torch.device
    ) -> None:
        settings = layout.study.baseline.jvtc
        self._people, self._augmentation, self._seed = load_source_set(layout), augmentation, seed
        self._rows, self._batch_size = self._people.rows("train"), settings.instances * settings.copies
        names, classes = np.unique(self._people.index["pid"].to_numpy()[self._rows], return_inverse=True)
        self._classes = torch.from_numpy(classes)
        self.classifier = nn.Linear(feature_dim, len(names))
        nn.init.normal_(self.classifier.weight, std=0.001, generator=rng(seed, "jvtc classifier"))
        nn.init.zeros_(self.classifier.bias)
        self.classifier.to(device)
        self._device = device

    def batches(self, epoch: int) -> list[Int64[np.ndarray, " b"]]:
        """Return the batches of one pass over the source set, for `loss`."""
        places = np.arange(len(self._rows))
        return epoch_batches(places, self._batch_size, seed=self._seed, purpose="jvtc source order", epoch=epoch)

    def loss(
        self, encoder: IdentityEncoder, batch: Int64[np.ndarray, " b"], epoch: int, step: int
    ) -> Float[Tensor, ""]:
        """Return L_src of one batch; its augmentation is drawn for (epoch, step)."""
        picture = unit_pictures(self._people.pictures[self._rows[batch]], self._device)
        drawn = rng(self._seed, "jvtc source augment", epoch, step)
        picture = augment(picture, self._augmentation, drawn, fill=ERASED)
        feature = encoder(imagenet_normalize(picture)).feature
        return F.cross_entropy(self.classifier(feature.relu()), self._classes[batch].to(self._device))
