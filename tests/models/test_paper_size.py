"""The networks at the published size, 256x128 pixels, in real passes on the CPU (METHOD.md §2, §11.1-11.3)."""

import pytest
import torch
from torch import Tensor

from gcl_core.config import Study
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.weights import build_discriminator, build_generator


@pytest.fixture(scope="module")
def study() -> Study:
    return Study()


@pytest.fixture(scope="module")
def encoder() -> IdentityEncoder:
    torch.manual_seed(0)
    return IdentityEncoder().eval()


@pytest.fixture(scope="module")
def generator(study: Study) -> Generator:
    network = build_generator(study, 8192, seed=0).eval()
    assert isinstance(network, Generator)
    return network


@pytest.fixture(scope="module")
def discriminator(study: Study) -> Discriminator:
    return build_discriminator(study, seed=0).eval()


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.randn(1, 3, 256, 128, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_one_picture_through_all_networks(
    encoder: IdentityEncoder, generator: Generator, discriminator: Discriminator, picture: Tensor
):
    code, feature = encoder(picture)
    assert code.shape == (1, 8192)
    assert (code >= 0).all()  # of activations after a ReLU
    assert feature.shape == (1, 512)
    structure = generator.structure(picture[:, :1].clamp(-1, 1))
    assert structure.shape == (1, 128, 64, 32)
    drawn = generator(structure, code)
    assert drawn.shape == picture.shape
    assert torch.isfinite(drawn).all()
    last = generator.head[-1].state_dict()["0.weight"]  # shares memory with the layer's weight
    last *= 100
    assert (generator(structure, code).abs() > 10).any()  # unbounded: no tanh
    last /= 100
    assert [tuple(scores.shape) for scores in discriminator(drawn)] == [(1, 1, 64, 32), (1, 1, 32, 16), (1, 1, 16, 8)]


@torch.no_grad()
@pytest.mark.parametrize("stripe", [0, 3])
def test_a_stripe_of_the_picture_map_reaches_one_slice_and_one_block(
    encoder: IdentityEncoder, generator: Generator, picture: Tensor, stripe: int
):
    """§11.3: a zeroed stripe of layer4 changes its own slice of the code, and that slice its own block's AdaIN."""
    activations = encoder.trunk(picture)
    assert activations.shape == (1, 2048, 16, 8)
    changed = activations.clone()
    changed[:, :, 4 * stripe : 4 * stripe + 4] = 0
    before = encoder(picture).code
    hook = encoder.trunk.register_forward_hook(lambda *_: changed)
    after = encoder(picture).code
    hook.remove()
    slices = [(old != new).any().item() for old, new in zip(before.chunk(4, 1), after.chunk(4, 1), strict=True)]
    assert slices == [part == stripe for part in range(4)]
    for part, (weights, biases) in enumerate(zip(generator.weight_mlps, generator.bias_mlps, strict=True)):
        for mlp in (weights, biases):
            predicted = [mlp(code.chunk(4, 1)[part]) for code in (before, after)]
            assert predicted[0].shape == (1, 256)
            assert torch.equal(*predicted) == (part != stripe)


@torch.no_grad()
def test_the_variant_without_a_linear_layer(picture: Tensor):
    """MLC/MMCL, ACT, UDA_TP: batch norm on the pooled 2048 features (§2.1)."""
    code, feature = IdentityEncoder(embedding=None).eval()(picture)
    assert (code.shape, feature.shape) == ((1, 8192), (1, 2048))


def test_weights_start_as_published(study: Study, generator: Generator, discriminator: Discriminator):
    """§2.5: Kaiming normal (fan in) in G and E_str, N(0, 0.02²) in D, biases 0; LN gains U(0, 1)."""
    for network, deviation in ((generator, None), (discriminator, 0.02)):
        for name, value in network.named_parameters():
            if name.endswith("bias"):
                assert not value.any(), name
            elif name.endswith("gain"):
                assert 0 <= float(value.detach().min()) < 0.2 < 0.8 < float(value.detach().max()) <= 1
            elif value.numel() > 5000:
                expected = deviation or (2 / (value.numel() / len(value))) ** 0.5
                assert float(value.detach().std()) == pytest.approx(expected, rel=0.05), name
                assert abs(float(value.detach().mean())) < 0.05 * expected
