"""View-invariant contrastive losses between pictures, drawn views and the memory bank (METHOD.md §3.3)."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Partners(NamedTuple):
    """Rows of the memory bank drawn for a batch of b anchors."""

    positive_new: Int[Tensor, " b"]  # a: f_pos of the drawn view, in L''_vi
    positive_original: Int[Tensor, " b"]  # b: f_pos of the picture, in L_vi
    negatives: Int[Tensor, "b k"]
    valid: Bool[Tensor, "b k"]  # false where an anchor has fewer negatives than others (D7)


class ViewInvariantLosses(NamedTuple):
    """L_vi of the pair (f, f_pos), L'_vi of (f, f'_new), L''_vi of (f'_new, f_pos), each a mean over the batch."""

    l_vi: Float[Tensor, ""]
    l_vi_prime: Float[Tensor, ""]
    l_vi_second: Float[Tensor, ""]


def draw_partners(
    labels: Int[Tensor, " n"],
    indices: Int[Tensor, " b"],
    *,
    negatives: int,
    generator: torch.Generator,
    exclude_self: bool = True,
    shared_positive: bool = True,
) -> Partners:
    """Draw two positives and up to `negatives` negatives for each anchor, uniformly; on the CPU, as what is checked is.

    `labels` are the pseudo labels of all pictures, -1 for outliers; `indices` the anchors' places in them. Positives
    come from the anchor's cluster: with `exclude_self` another row than the anchor's own, where there is one, and with
    `shared_positive` the same row for both losses; as released independently, the anchor itself included (D5).
    Negatives, without replacement and anew for each anchor, come from everything outside its cluster, outliers
    included. The positives do not depend on `negatives`. Raises ValueError for an outlier as anchor or `negatives`
    below 1 (METHOD.md §3.3, D7).
    """
    if negatives < 1:
        raise ValueError(f"negatives is {negatives}, expected at least 1")
    labels, indices = labels.cpu(), indices.cpu()
    own = labels[indices]
    if (own < 0).any():
        raise ValueError(
            f"pictures {indices[own < 0].tolist()[:5]} are outliers (label -1), which have no positives: train on "
            "clustered pictures only"
        )
    same = labels == own[:, None]
    positive = same
    if exclude_self:
        positive = same.clone()
        positive[torch.arange(len(indices)), indices] = same.sum(dim=1) == 1
    size = positive.sum(dim=1)
    # in double precision a uniform number below 1 times the size always rounds to below the size
    uniform = torch.rand(2, len(indices), dtype=torch.float64, generator=generator)
    ranks = (uniform * size).floor()
    counted = positive.cumsum(dim=1)
    positive_new, positive_original = ((counted <= rank[:, None]).sum(dim=1) for rank in ranks)
    if shared_positive:
        positive_original = positive_new

    # the largest of independent uniform keys are a uniform subset; keys of the own cluster lie below all others
    keys = torch.rand(len(indices), len(labels), generator=generator).masked_fill(same, -1)
    width = min(negatives, len(labels) - int(same.sum(dim=1).min()))
    top = keys.topk(width, dim=1, sorted=False)
    return Partners(positive_new, positive_original, top.indices, top.values >= 0)


def contrast(positive: Float[Tensor, " b"], negatives: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Return the batch mean of log(1 + Σ exp(negative - positive)), the positive being in its own denominator."""
    logits = torch.cat([positive[:, None], negatives], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def view_invariant_losses(
    original: Float[Tensor, "b d"],
    new: Float[Tensor, "b d"],
    bank: Float[Tensor, "n d"],
    indices: Int[Tensor, " b"],
    partners: Partners,
    *,
    temperature: float | int = 0.04,
    l_vi_prime_positive: Literal["live", "memory"] = "live",
    l_vi_negatives: Literal["new", "original"] = "new",
) -> ViewInvariantLosses:
    """Return the three losses of METHOD.md §3.3 for pictures (features f) and their drawn views (features g).

    f = `original`, g = `new` and the rows of `bank` are L2-normalised; `bank` is a constant, read before its update.
    The positive logits are f·M_b in L_vi, g·f in L'_vi with f as a constant, g·M_a in L''_vi; the negatives are g's in
    all three. As released, `l_vi_prime_positive` "memory" puts g·M_own in the place of g·f (D4). `l_vi_negatives`
    "original" gives L_vi the negatives of f (D6). An anchor without negatives contributes 0.
    """
    bank = bank.detach()
    indices = indices.to(bank.device)
    # one product with the whole bank: gathering k rows an anchor first would need b·k·d numbers
    similarity = new @ bank.T / temperature
    negatives = similarity.gather(1, partners.negatives).masked_fill(~partners.valid, -torch.inf)
    if l_vi_prime_positive == "live":
        own = (new * original.detach()).sum(dim=1) / temperature
    else:
        own = similarity.gather(1, indices[:, None]).squeeze(1)
    positive_new = similarity.gather(1, partners.positive_new[:, None]).squeeze(1)
    positive_original = (original * bank[partners.positive_original]).sum(dim=1) / temperature
    negatives_of_l_vi = negatives
    if l_vi_negatives == "original":
        theirs = original @ bank.T / temperature
        negatives_of_l_vi = theirs.gather(1, partners.negatives).masked_fill(~partners.valid, -torch.inf)
    l_vi_prime = contrast(own, negatives)
    l_vi_second = contrast(positive_new, negatives)
    l_vi = contrast(positive_original, negatives_of_l_vi)
    return ViewInvariantLosses(l_vi, l_vi_prime, l_vi_second)
