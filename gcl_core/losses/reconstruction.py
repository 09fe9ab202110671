"""Reconstruction loss of pictures and appearance codes (METHOD.md §3.1)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def reconstruction(drawn: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean absolute difference over all elements; no gradient reaches `target`.

    For pictures (b, 3, h, w), both in ImageNet-normalised space, and appearance codes (b, c): L_img, L_cyc, L_feat and
    L_feat' of METHOD.md §3.1, unweighted.
    """
    return F.l1_loss(drawn, target.detach())
