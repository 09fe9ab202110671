"""bfloat16 and compiled networks: close to float32, the same weights, and float32 again where nothing is learned."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gcl_core.config import ComputeSettings, load_study
from gcl_core.device import full_float32
from gcl_core.evaluation.features import extract_features
from gcl_core.models.network import prepared
from gcl_core.models.weights import build_discriminator, build_encoder, build_generator

CODE = 512


def study(*words: str):
    return load_study("smoke", list(words))


def pictures() -> torch.Tensor:
    return torch.randn(16, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def test_bfloat16_passes_are_close_give_float32_and_reach_every_weight() -> None:
    for build, inputs in (
        (lambda study: build_encoder(study, 0), (pictures(),)),
        (lambda study: build_discriminator(study, 0), (pictures(),)),
        (lambda study: build_generator(study, CODE, 0).get_submodule("structure_encoder"), (pictures()[:, :1],)),
        (lambda study: build_generator(study, CODE, 0), (torch.randn(4, 32, 16, 8), torch.rand(4, CODE))),
    ):
        exact, rough = build(study()), build(study("compute.precision=bf16"))
        outputs = []
        for network in (exact, rough):
            found = network(*inputs)
            outputs.append([found] if isinstance(found, torch.Tensor) else list(found))
            torch.stack([each.square().mean() for each in outputs[-1]]).sum().backward()
        for one, other in zip(*outputs, strict=True):
            assert other.dtype == torch.float32
            assert 0 < (one - other).norm() < 0.1 * one.norm()
        for (name, one), (_, other) in zip(exact.named_parameters(), rough.named_parameters(), strict=True):
            assert torch.equal(one, other)
            if one.grad is not None:
                assert other.grad is not None, name
                assert other.grad.dtype == torch.float32


def test_passes_without_gradients_are_exact() -> None:
    exact, rough = build_encoder(study(), 0).eval(), build_encoder(study("compute.precision=bf16"), 0).eval()
    with torch.no_grad():
        assert torch.equal(exact(pictures()).feature, rough(pictures()).feature)
        assert torch.equal(exact.features(pictures()), rough.features(pictures()))
    assert exact.state_dict().keys() == rough.state_dict().keys()


def test_the_penalty_of_a_bfloat16_discriminator_can_be_learned_from() -> None:
    critic, x = build_discriminator(study("compute.precision=bf16"), 0), pictures().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.stack([scores.sum() for scores in critic(x)]).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    grads = [parameter.grad for parameter in critic.parameters() if parameter.grad is not None]
    assert grads
    assert all(grad.isfinite().all() for grad in grads)


def test_tf32_is_on_only_when_asked_for() -> None:
    for settings, on in ((ComputeSettings(precision="tf32"), True), (ComputeSettings(), False)):
        prepared(nn.Identity(), settings)
        assert torch.backends.cuda.matmul.allow_tf32 is on
        assert torch.backends.cudnn.allow_tf32 is on


def test_passes_without_gradients_and_clusters_are_without_tf32() -> None:
    def switches() -> tuple:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    seen = []
    encoder = build_encoder(study("compute.precision=tf32"), 0).eval()
    encoder.trunk.register_forward_hook(lambda *_: seen.append(switches()))
    try:
        encoder(pictures())
        with torch.no_grad():
            encoder(pictures())
        extract_features(encoder, np.zeros((1, 64, 32, 3), dtype=np.uint8), np.zeros(1, dtype=np.int64))
        assert seen == [(True, True), (False, False), (False, False)]
        with full_float32():
            assert switches() == (False, False)
        assert switches() == (True, True)
    finally:
        prepared(nn.Identity(), ComputeSettings())


def test_embeddings_are_computed_like_the_rest() -> None:
    exact, rough, parts = (
        build_encoder(study(*words), 0)
        for words in ((), ("compute.precision=bf16",), ("compute.precision=bf16", "compute.micro_batch=4"))
    )
    one, other, again = (network.embed(pictures()) for network in (exact, rough, parts))
    assert other.dtype == torch.float32
    assert 0 < (one - other).norm() < 0.1 * one.norm()
    assert torch.equal(again, other)
    assert again.grad_fn is not None
    rough.load_state_dict(exact.state_dict())  # the running statistics, too
    with torch.no_grad():
        assert torch.equal(exact.eval().embed(pictures()), rough.eval().embed(pictures()))


@pytest.mark.parametrize("words", [("compute.precision=bf16",), ("compute.micro_batch=3",), ("compute.compile=true",)])
def test_a_copy_computes_alike_by_its_own_weights(words: tuple[str, ...]) -> None:
    network = build_discriminator(study(*words), 0)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for value in twin.parameters():
            value.zero_()
    ours, theirs = network(pictures()), twin(pictures())
    assert all(scores.abs().max() > 0 for scores in ours)
    assert all(torch.equal(scores, torch.zeros_like(scores)) for scores in theirs)
    torch.stack([scores.sum() for scores in theirs]).sum().backward()
    assert all(value.grad is not None for value in twin.parameters())
    assert all(value.grad is None for value in network.parameters())
    assert twin.compute == network.compute == study(*words).compute


def test_compiled_networks_compute_and_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, graphs = torch.compile, []

    def without_a_compiler(*network: Any, **options: Any) -> Any:  # whose C++ takes a minute on a new machine
        graphs.append(compiled(*network, backend="aot_eager", **options))
        return graphs[-1]

    monkeypatch.setattr(torch, "compile", without_a_compiler)
    exact, fast = (build_encoder(study(*words), 0) for words in ((), ("compute.compile=true",)))
    one, other = exact(pictures()), fast(pictures())
    assert len(graphs) == 1
    torch.testing.assert_close(other.feature, one.feature, rtol=1e-4, atol=1e-4)
    for found in (one, other):
        found.code.mean().backward()
    assert exact.state_dict().keys() == fast.state_dict().keys()
    expected, learned = (network.get_parameter("trunk.conv1.weight").grad for network in (exact, fast))
    torch.testing.assert_close(learned, expected, rtol=1e-3, atol=1e-4)
