"""Drawing views of people with a trained encoder and generator."""

import numpy as np
import torch
from jaxtyping import UInt8

from gcl_core.data.batches import imagenet_normalize, to_pixels, unit_pictures, unit_projections
from gcl_core.models.protocols import EncoderNetwork, GeneratorNetwork


@torch.no_grad()
def draw_views(
    encoder: EncoderNetwork,
    generator: GeneratorNetwork,
    pictures: UInt8[np.ndarray, "n h w 3"],
    projections: UInt8[np.ndarray, "n v h w"],
    *,
    batch_size: int = 64,
) -> UInt8[np.ndarray, "n v h w 3"]:
    """Draw each person in the structure of each of their v projections: x_θ = G(E_str(m_θ), a(x)) (§7.1).

    Pixels 0…255 in and out, on the device of the encoder's weights. Both networks draw in eval mode and are left in the
    mode that they came in.
    """
    modes = encoder.training, generator.training
    encoder.eval()
    generator.eval()
    device = next(encoder.parameters()).device
    drawn = np.empty((*projections.shape, 3), dtype=np.uint8)
    for start in range(0, len(pictures), batch_size):
        stop = start + batch_size
        code = encoder(imagenet_normalize(unit_pictures(pictures[start:stop], device))).code
        for view in range(projections.shape[1]):
            structure = generator.structure(unit_projections(projections[start:stop, view], device))
            drawn[start:stop, view] = to_pixels(generator(structure, code))
    encoder.train(modes[0])
    generator.train(modes[1])
    return drawn
