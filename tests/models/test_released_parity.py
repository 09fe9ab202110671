"""Our networks and losses give what the released modules gave on the same weights, and take their checkpoints."""

import csv
import re

import numpy as np
import pytest
import torch

from gcl_core.losses.adversarial import discriminator_loss, generator_adversarial
from gcl_core.losses.view_invariant import draw_partners, view_invariant_losses
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank

# released name -> ours, as regular expressions tried in order
GENERATOR_NAMES = [
    (r"enc_content\.model\.([0-3])\.conv\.", r"structure_encoder.layers.\1.0."),
    (r"enc_content\.model\.4\.model\.0\.model\.(\d)\.conv\.", r"structure_encoder.layers.4.body.\1.0."),
    (r"enc_content\.model\.4\.model\.1\.model\.(\d)\.conv\.", r"structure_encoder.layers.5.body.\1.0."),
    (r"enc_content\.model\.4\.model\.2\.model\.(\d)\.conv\.", r"structure_encoder.layers.6.body.\1.0."),
    (r"enc_content\.model\.4\.model\.3\.model\.(\d)\.conv\.", r"structure_encoder.layers.7.body.\1.0."),
    (r"enc_content\.model\.5\.conv1\.conv\.", r"structure_encoder.layers.8.branches.0.0."),
    (r"enc_content\.model\.5\.conv6\.(\d)\.conv\.", r"structure_encoder.layers.8.branches.1.\1.0."),
    (r"enc_content\.model\.5\.conv12\.(\d)\.conv\.", r"structure_encoder.layers.8.branches.2.\1.0."),
    (r"enc_content\.model\.5\.conv18\.(\d)\.conv\.", r"structure_encoder.layers.8.branches.3.\1.0."),
    (r"enc_content\.model\.5\.fuse\.conv\.", r"structure_encoder.layers.8.fuse.0."),
    (r"dec\.model\.1\.model\.(\d)\.model\.0\.conv\.", r"blocks.\1.first."),
    (r"dec\.model\.1\.model\.(\d)\.model\.1\.conv\.", r"blocks.\1.second."),
    (r"dec\.model\.3\.conv\.", r"head.1.0."),
    (r"dec\.model\.3\.norm\.gamma", r"head.1.1.gain"),
    (r"dec\.model\.3\.norm\.beta", r"head.1.1.bias"),
    (r"dec\.model\.5\.conv\.", r"head.3.0."),
    (r"dec\.model\.5\.norm\.gamma", r"head.3.1.gain"),
    (r"dec\.model\.5\.norm\.beta", r"head.3.1.bias"),
    (r"dec\.model\.6\.conv\.", r"head.4.0."),
    (r"dec\.model\.7\.conv\.", r"head.5.0."),
    (r"dec\.model\.8\.conv\.", r"head.6.0."),
]
DISCRIMINATOR_NAMES = [
    (r"cnns\.(\d)\.(\d)\.model\.(\d)\.conv\.", r"networks.\1.\2.body.\3.0."),
    (r"cnns\.(\d)\.(\d)\.conv\.", r"networks.\1.\2.0."),
    (r"cnns\.(\d)\.(\d)\.", r"networks.\1.\2."),
]
ENCODER_NAMES = [(r"feat_bn\.", r"neck."), (r"feat\.", r"embedding."), (r"", r"trunk.")]


def ours(released, names):
    if mlp := re.fullmatch(r"mlp_([wb])([1-4])\.model\.([0-2])\.fc\.(weight|bias)", released):
        kind, part, layer, rest = mlp.groups()
        return f"{'weight' if kind == 'w' else 'bias'}_mlps.{int(part) - 1}.{2 * int(layer)}.{rest}"
    for pattern, replacement in names:
        name, hits = re.subn("^" + pattern, replacement, released, count=1)
        if hits:
            return name
    raise AssertionError(f"no name for {released}")


@pytest.fixture(scope="module")
def golden(shared):
    file = shared / "reference" / "golden_released.npz"
    if not file.is_file():
        pytest.skip("no golden outputs of the released modules at hand")
    return np.load(file)


def load(module, golden, prefix, names):
    state = {
        ours(key.removeprefix(prefix), names): torch.tensor(golden[key])
        for key in golden.files
        if key.startswith(prefix) and "running_" not in key  # AdaIN's running statistics are never used
    }
    module.load_state_dict(state)
    return module


def close(value, golden_value, rtol=1e-4, atol=1e-5):
    np.testing.assert_allclose(value.detach().numpy(), golden_value, rtol=rtol, atol=atol)


def test_generator(golden):
    generator = load(Generator(code_dim=8192, dim=4, mlp_dim=16), golden, "gen.weight/", GENERATOR_NAMES)
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
    return load(Discriminator(dim=4, residual_blocks=2), golden, "dis.weight/", DISCRIMINATOR_NAMES)


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
        ("gen_", lambda: Generator(code_dim=8192), GENERATOR_NAMES),
        ("dis_", Discriminator, DISCRIMINATOR_NAMES),
        ("id_", lambda: IdentityEncoder(code_layout="released"), ENCODER_NAMES),
    ],
)
def test_released_checkpoints_fit_by_name_and_shape(shared, file, build, names):
    with (shared / "reference" / "released_checkpoint_keys.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["file"].startswith(file)]
    shapes = {
        ours(row["key"], names): () if row["shape"] == "scalar" else tuple(map(int, row["shape"].split("x")))
        for row in rows
        if not (file == "gen_" and "running_" in row["key"])
    }
    with torch.device("meta"):
        state = build().state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
