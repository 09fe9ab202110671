"""Our networks and losses give what the released modules gave on the same weights, and take their checkpoints."""

import csv

import numpy as np
import pytest
import torch

from gcl_core.config import load_study
from gcl_core.evaluation.ranking import rank_distances
from gcl_core.losses.generative import discriminator_loss, generator_adversarial
from gcl_core.losses.view_invariant import draw_partners, view_invariant_losses
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.released import read_released_discriminator, read_released_generator
from gcl_core.models.released_names import ENCODER_LAYOUTS, discriminator_names, encoder_names, generator_names


def jvtc_names(encoder):
    return encoder_names(encoder, ENCODER_LAYOUTS["jvtc"])


@pytest.fixture(scope="module")
def golden(shared):
    file = shared / "reference" / "golden_released.npz"
    if not file.is_file():
        pytest.skip("no golden outputs of the released modules at hand")
    return np.load(file)


@pytest.fixture(scope="module")
def released():
    return load_study("smoke", "fidelity=released contrast.temperature=0.04 discriminator.penalty_every=1")


def released_file(golden, prefix, key, folder):
    """Write golden weights as the authors' checkpoints hold them."""
    names = [name for name in golden.files if name.startswith(prefix)]
    tensors = {name.removeprefix(prefix): torch.tensor(golden[name]) for name in names}
    torch.save({key: tensors}, folder / f"{key}.pt")
    return folder / f"{key}.pt"


def close(value, golden_value):
    """To 1e-5 of the largest golden value: float32 sums of thousands of terms, in another order than the release's."""
    scale = np.abs(golden_value).max()
    np.testing.assert_allclose(value.detach().numpy() / scale, golden_value / scale, rtol=0, atol=1e-5)


def test_generator(golden, released, tmp_path):
    generator, layout = Generator(code_dim=8192, dim=4, mlp_dim=16), released.identity_encoder.code_layout
    read_released_generator(released_file(golden, "gen.weight/", "gen", tmp_path), generator, code_layout=layout)
    code = torch.tensor(golden["gen.in.code"], requires_grad=True)
    structure = generator.structure(torch.tensor(golden["gen.in.mesh"]))
    close(structure, golden["gen.out.structure"])
    picture = generator(structure, code)
    close(picture, golden["gen.out.image"])
    picture.square().mean().backward()
    close(code.grad, golden["gen.grad.code_of_mean_square"])


@pytest.fixture
def discriminator(golden, tmp_path):
    discriminator = Discriminator(dim=4, residual_blocks=2)
    read_released_discriminator(released_file(golden, "dis.weight/", "dis", tmp_path), discriminator)
    return discriminator


def test_discriminator_scores(golden, discriminator):
    for scale, scores in enumerate(discriminator(torch.tensor(golden["dis.in.real"]))):
        close(scores, golden[f"dis.out.real_scale{scale}"])


def test_adversarial_losses(golden, discriminator, released):
    real, fake = torch.tensor(golden["dis.in.real"]), torch.tensor(golden["dis.in.fake"])
    loss = discriminator_loss(discriminator, real, [fake], penalty_weight=released.discriminator.penalty_weight)
    assert loss.total.item() == pytest.approx(float(golden["dis.loss.d"]), rel=1e-5)
    assert loss.penalty.item() == pytest.approx(float(golden["dis.loss.d_penalty_part"]), rel=1e-5)
    loss.total.backward()
    norm = torch.stack([p.grad.norm() for p in discriminator.parameters()]).norm()
    assert norm.item() == pytest.approx(float(golden["dis.grad_norm.d"]), rel=1e-5)
    assert generator_adversarial(discriminator(fake)).item() == pytest.approx(float(golden["dis.loss.g"]), rel=1e-5)


def test_memory_losses_and_update(golden, released):
    f, f_nv = (torch.tensor(golden[f"memory.in.{name}"], requires_grad=True) for name in ("f", "f_nv"))
    labels, indices = torch.tensor(golden["memory.in.labels"]), torch.tensor(golden["memory.in.index"])
    settings = released.contrast
    bank = MemoryBank(torch.tensor(golden["memory.in.bank"]), keep_old=settings.keep_old)
    partners = draw_partners(
        labels,
        indices,
        negatives=settings.negatives,
        generator=torch.Generator().manual_seed(0),
        exclude_self=settings.exclude_self,
        shared_positive=settings.shared_positive,
    )
    losses = view_invariant_losses(
        f,
        f_nv,
        bank.rows,
        indices,
        partners,
        temperature=settings.temperature,
        l_vi_prime_positive=settings.l_vi_prime_positive,
        l_vi_negatives=settings.l_vi_negatives,
    )
    loss = torch.stack(losses).sum()
    assert loss.item() == pytest.approx(float(golden["memory.loss"]), rel=1e-5)
    loss.backward()
    close(f.grad, golden["memory.grad.f"])
    close(f_nv.grad, golden["memory.grad.f_nv"])
    bank.update(indices, f)
    close(bank.rows, golden["memory.out.bank"])


def test_accuracy(golden, released):
    """mAP and CMC to 1e-6, with the study's way of averaging precision."""
    arguments = [golden[f"eval.in.{name}"] for name in ("distance", "query_ids", "gallery_ids")]
    cameras = [golden[f"eval.in.{name}"] for name in ("query_cams", "gallery_cams")]
    ranks = range(1, 51)
    precision = released.evaluation.average_precision
    result = rank_distances(*arguments, *cameras, topk=ranks, average_precision=precision)
    assert result.map == pytest.approx(float(golden["eval.out.mAP"]), abs=1e-6)
    np.testing.assert_allclose([result.cmc[rank] for rank in ranks], golden["eval.out.cmc"], atol=1e-6)


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
