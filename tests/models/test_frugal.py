"""Frugal passes: the same outputs, gradients and statistics as plain ones, for fewer activations."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from gcl_core.config import ComputeSettings, Study, load_study
from gcl_core.losses.generative import discriminator_loss
from gcl_core.models.frugal import kept_statistics
from gcl_core.models.generator import Generator
from gcl_core.models.network import Network, prepared
from gcl_core.models.weights import build_discriminator, build_encoder, build_generator, load_weights, save_weights

CODE, COUNT = 512, 7
MICRO = "compute.micro_batch=3"
SIZES = (1, 3, 7, 16)  # single pictures, uneven parts, the whole, more than there are


def published(study: Study) -> Generator:
    generator = build_generator(study, CODE, 0)
    assert isinstance(generator, Generator)
    return generator


NETWORKS: dict[str, Callable[[Any], nn.Module]] = {
    "E_id": lambda study: build_encoder(study, 0),
    "E_str": lambda study: published(study).structure_encoder,
    "G": lambda study: published(study),
    "D": lambda study: build_discriminator(study, 0),
}


def network(name: str, size: int | None = None) -> nn.Module:
    words = [] if size is None else [f"compute.micro_batch={size}"]
    return NETWORKS[name](load_study("smoke", ["identity_encoder.width=8", *words])).double().train()


def inputs(name: str) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = {"E_id": [(3, 64, 32)], "E_str": [(1, 64, 32)], "G": [(32, 16, 8), (CODE,)], "D": [(3, 64, 32)]}
    return [torch.randn(COUNT, *shape, dtype=torch.float64, generator=draw) for shape in shapes[name]]


def flat(found: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else list(found)


def close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    torch.testing.assert_close(list(found), list(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_all_gradients_are_those_of_the_whole_batch(name: str, size: int) -> None:
    results = []
    for each in (network(name), network(name, size)):
        batch = [value.requires_grad_() for value in inputs(name)]
        outputs = flat(each(*batch))
        torch.stack([output.pow(3).mean() for output in outputs]).sum().backward()
        reached = [value.grad for value in (*batch, *each.parameters()) if value.grad is not None]
        results.append((outputs, reached, list(each.buffers())))
    (outputs, reached, buffers), found = results
    assert len(reached) > 2
    close(found[0], outputs)
    close(found[1], reached)
    close(found[2], buffers)


def test_a_batch_is_counted_once_in_the_running_statistics_however_often_it_is_computed() -> None:
    encoder = network("E_id", 1)
    loss = encoder(*inputs("E_id")).code.mean()
    after_forward = {name: value.clone() for name, value in encoder.named_buffers()}
    assert encoder.get_buffer("trunk.bn1.num_batches_tracked") == 1
    for _ in range(2):
        loss.backward(retain_graph=True)
    for name, value in encoder.named_buffers():
        assert torch.equal(value, after_forward[name]), name


def test_statistics_kept_while_a_frugal_pass_runs_are_kept_by_its_backward_pass_too() -> None:
    gradients = []
    for size in (None, 1):
        encoder = network("E_id", size)
        before = {name: (value, value.clone()) for name, value in encoder.named_buffers()}
        with kept_statistics(encoder):
            loss = encoder(*inputs("E_id")).code.pow(2).mean()
        loss.backward()
        gradients.append([value.grad for value in encoder.parameters() if value.grad is not None])
        for name, value in encoder.named_buffers():
            assert value is before[name][0]
            assert torch.equal(value, before[name][1]), name
    close(gradients[1], gradients[0])


def test_kept_statistics_normalise_by_the_batch_and_come_back_after_an_error() -> None:
    norm, x = nn.BatchNorm1d(2), torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    with kept_statistics(norm):
        torch.testing.assert_close(norm(x), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="more than 1 value"), kept_statistics(norm):
        norm(x[:1])
    assert torch.equal(norm.get_buffer("running_mean"), torch.zeros(2))
    assert norm.get_buffer("num_batches_tracked") == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_pass_one_by_one_twice_and_batch_norm_sees_the_whole(name: str) -> None:
    each, seen = network(name, 5), []
    last = [layer for layer in each.modules() if isinstance(layer, nn.Conv2d)][-1]
    last.register_forward_pre_hook(lambda _, batch: seen.append(len(batch[0])))
    loss = torch.stack([output.mean() for output in flat(each(*inputs(name)))]).sum()
    parts = [COUNT] if name == "E_id" else [5, 2]
    assert seen == parts
    loss.backward()
    assert sorted(seen) == sorted(2 * parts)
    seen.clear()
    with torch.no_grad():
        each(*inputs(name))
    assert seen == [COUNT]


def test_a_frugal_discriminator_can_be_differentiated_twice() -> None:
    draw = torch.Generator().manual_seed(1)
    real, *fakes = torch.randn(4, 5, 3, 64, 32, dtype=torch.float64, generator=draw)
    results = []
    for size in (None, 2):
        critic = network("D", size)
        for value in critic.parameters():
            value.data *= 8  # as they start, scores hardly depend on the picture
        loss = discriminator_loss(critic, real, fakes, penalty_weight=10.0)
        assert loss.penalty > 1e-3
        loss.total.backward()
        results.append([*loss, *(value.grad for value in critic.parameters() if value.grad is not None)])
    close(results[1], results[0])


def test_parts_hold_every_picture_once_and_pass_at_once() -> None:
    plain, cut = build_discriminator(load_study("smoke"), 0), build_discriminator(load_study("smoke", MICRO), 0)
    (whole,) = plain.in_parts(COUNT)
    assert list(range(COUNT))[whole] == list(range(COUNT))
    assert [list(range(COUNT))[part] for part in cut.in_parts(COUNT)] == [[0, 1, 2], [3, 4, 5], [6]]
    (x,), seen = inputs("D"), []
    cut.networks[0].register_forward_pre_hook(lambda _, batch: seen.append(len(batch[0])))
    close(cut.double().at_once(x), plain.double()(x))
    assert seen == [COUNT]


class Noisy(Network):
    """Draws by itself, from torch's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * nn.functional.dropout(x, 0.5)


@pytest.mark.parametrize("size", [2, COUNT])
def test_what_a_network_draws_is_drawn_again_in_the_backward_pass(size: int) -> None:
    x = torch.rand(COUNT, 50, generator=torch.Generator().manual_seed(1)) + 1
    plain, cut = Noisy(), prepared(Noisy(), ComputeSettings(micro_batch=size))
    torch.manual_seed(3)
    expected = plain(x)
    torch.manual_seed(3)
    found = cut(x)
    assert 0 < (found == 0).sum() < found.numel()
    if size == COUNT:
        assert torch.equal(found, expected)
    torch.manual_seed(4)
    found.sum().backward()
    torch.testing.assert_close(cut.gain.grad, found.sum().detach())


def test_weights_keep_their_names_and_pass_between_both_kinds(tmp_path) -> None:
    for name in NETWORKS:
        plain, cut = network(name), network(name, 2)
        assert list(plain.state_dict()) == list(cut.state_dict())
        save_weights(cut, tmp_path / name)
        load_weights(plain, tmp_path / name, torch.device("cpu"))


def test_compiled_and_frugal_exclude_each_other_and_parts_are_not_empty() -> None:
    with pytest.raises(ValidationError, match=r"compile and micro_batch=4 exclude each other.*compute\.compile=false"):
        ComputeSettings(compile=True, micro_batch=4)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ComputeSettings(micro_batch=0)
