"""Our networks and losses give what the released modules gave on the same weights, and take their checkpoints."""

import csv

import numpy as np
import pytest
import torch

from gcl_core.losses.adversarial import discriminator_loss, generator_adversarial
from gcl_core.losses.view_invariant import draw_partners, view_invariant_losses
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.released_names import ENCODER_LAYOUTS, discriminator_names, encoder_names, generator_names


def jvtc_names(encoder):
    return encoder_names(encoder, ENCODER_LAYOUTS["jvtc"])


@pytest.fixture(scope="module")
def golden(shared):
    file = shared / "reference" / "golden_released.npz"
    if not file.is_file():
        pytest.skip("no golden outputs of the released modules at hand")
    return np.load(file)


def load(module, golden, prefix, names):
    """Load golden weights; a name that the map lacks is an error, one that it marks as never read is left out."""
    ours = names(module)
    released = [key.removeprefix(prefix) for key in golden.files if key.startswith(prefix)]
    module.load_state_dict({ours[key]: torch.tensor(golden[prefix + key]) for key in released if ours[key] is not None})
    return module


def close(value, golden_value, rtol=1e-4, atol=1e-5):
    np.testing.assert_allclose(value.detach().numpy(), golden_value, rtol=rtol, atol=atol)


def test_generator(golden):
    generator = load(Generator(code_dim=8192, dim=4, mlp_dim=16), golden, "gen.weight/", generator_names)
    code = torch.tensor(golden["gen.in.code"], requires_grad=True)
    structure = generator.structure(torch.tensor(golden["gen.in.mesh"]))
    close(structure, golden["gen.out.structure"])
    picture = generator(structure, code)
    close(picture, golden["gen.out.image"])
    picture.square().mean().backward()
    scale = np.abs(golden["gen.grad.code_of_mean_square"]).max()
    close(code.grad / scale, golden["gen.grad.code_of_mean_square"] / scale)


@pytest.fixture
def discriminator(golden):
    return load(Discriminator(dim=4, residual_blocks=2), golden, "dis.weight/", discriminator_names)


def test_discriminator_scores(golden, discriminator):
    for scale, scores in enumerate(discriminator(torch.tensor(golden["dis.in.real"]))):
        close(scores, golden[f"dis.out.real_scale{scale}"])


def test_adversarial_losses(golden, discriminator):
    real, fake = torch.tensor(golden["dis.in.real"]), torch.tensor(golden["dis.in.fake"])
    loss = discriminator_loss(discriminator, real, [fake])
    assert loss.total.item() == pytest.approx(float(golden["dis.loss.d"]), rel=1e-5)
    assert loss.penalty.item() == pytest.approx(float(golden["dis.loss.d_penalty_part"]), rel=1e-5)
    loss.total.backward()
    norm = torch.stack([p.grad.norm() for p in discriminator.parameters()]).norm()
    assert norm.item() == pytest.approx(float(golden["dis.grad_norm.d"]), rel=1e-4)
    assert generator_adversarial(discriminator(fake)).item() == pytest.approx(float(golden["dis.loss.g"]), rel=1e-5)


def test_memory_losses_and_update(golden):
    f, f_nv = (torch.tensor(golden[f"memory.in.{name}"], requires_grad=True) for name in ("f", "f_nv"))
    labels, indices = torch.tensor(golden["memory.in.labels"]), torch.tensor(golden["memory.in.index"])
    bank = MemoryBank(torch.tensor(golden["memory.in.bank"]))
    partners = draw_partners(labels, indices, negatives=8192, generator=torch.Generator().manual_seed(0))
    loss = torch.stack(view_invariant_losses(f, f_nv, bank.rows, indices, partners)).sum()
    assert loss.item() == pytest.approx(float(golden["memory.loss"]), rel=1e-5)
    loss.backward()
    close(f.grad, golden["memory.grad.f"])
    close(f_nv.grad, golden["memory.grad.f_nv"])
    bank.update(indices, f)
    close(bank.rows, golden["memory.out.bank"], atol=1e-6)


@pytest.mark.parametrize(
    ("file", "build", "names"),
    [
        ("gen_", lambda: Generator(code_dim=8192), generator_names),
        ("dis_", Discriminator, discriminator_names),
        ("id_", lambda: IdentityEncoder(code_layout="released"), jvtc_names),
    ],
)
def test_released_checkpoints_fit_by_name_and_shape(shared, file, build, names):
    with (shared / "reference" / "released_checkpoint_keys.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["file"].startswith(file)]
    with torch.device("meta"):
        network = build()
    state, ours = network.state_dict(), names(network)
    assert list(ours) == [row["key"] for row in rows]
    assert sorted(name for name in ours.values() if name is not None) == sorted(state)
    for row in rows:
        shape = () if row["shape"] == "scalar" else tuple(map(int, row["shape"].split("x")))
        if (name := ours[row["key"]]) is not None:
            assert (tuple(state[name].shape), str(state[name].dtype)) == (shape, f"torch.{row['dtype']}"), row
