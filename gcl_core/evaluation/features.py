"""ReID features of a prepared set."""

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.data.feed import ahead
from gcl_core.device import full_float32
from gcl_core.models.protocols import EncoderNetwork
from gcl_core.parallel import ranks


@torch.no_grad()
@full_float32()
def extract_features(
    encoder: EncoderNetwork,
    pictures: UInt8[np.ndarray, "m h w 3"],
    rows: Int64[np.ndarray, " n"],
    *,
    batch_size: int = 64,
) -> Float[Tensor, "n d"]:
    """Return z/‖z‖ of `pictures[rows]`, in that order, on the CPU: eval mode, no augmentation, no flip (§3.5, §5.4).

    The encoder is left in the mode it came in. Processes that train together share the batches; each gets all features,
    the same bits as one process with as many threads would.
    """
    was_training = encoder.training
    encoder.eval()
    device = next(encoder.parameters()).device
    starts = range(0, len(rows), batch_size)
    own = starts[ranks.part(len(starts))]

    def load(start: int) -> Tensor:
        return unit_pictures(pictures[rows[start : start + batch_size]], device)

    features = [encoder.features(imagenet_normalize(each)).cpu() for each in ahead(load, own, device)]
    encoder.train(was_training)
    features.append(torch.empty(0, encoder.feature_dim))  # there may be more processes than batches
    return ranks.all_gather(torch.cat(features), slice(own.start, min(own.stop, len(rows))), len(rows))
