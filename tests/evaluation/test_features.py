"""Features come in the asked order, in eval mode, and leave the encoder as it was."""

import numpy as np
import torch

from gcl_core.config import load_study
from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.evaluation.features import extract_features
from gcl_core.models.weights import build_encoder
from gcl_core.seeding import numpy_rng


@torch.no_grad()
def test_features_follow_the_rows_and_do_not_touch_the_encoder():
    encoder = build_encoder(load_study("smoke"), 0).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    pictures = numpy_rng(0, "pixels").integers(0, 256, (7, 64, 32, 3)).astype("uint8")
    rows = np.array([5, 0, 3])
    features = extract_features(encoder, pictures, rows, batch_size=2)
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    alone = encoder.eval().features(imagenet_normalize(unit_pictures(pictures[3:4], torch.device("cpu"))))
    torch.testing.assert_close(features[2:], alone, rtol=1e-4, atol=1e-5)
