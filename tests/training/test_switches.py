"""Switches between the paper's text and the release in stage 3 (METHOD.md §8): what each changes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import MultiStepLR

from gcl_core.config import OptimizerSettings, Study, VariantSettings
from gcl_core.data.person_set import load_person_set
from gcl_core.evaluation.features import extract_features
from gcl_core.files import read_json
from gcl_core.layout import Layout
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder, load_encoder
from gcl_core.run_folder import read_metrics
from gcl_core.training import joint
from gcl_core.training.baseline import train_baseline
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.joint import train_jointly
from gcl_core.training.journal import Journal
from gcl_core.training.learners import Drawing, Learners
from gcl_core.training.optimizers import make_optimizer, with_schedule
from gcl_core.training.step import Batch, contrast_losses, draw_cycle, joint_step
from tests.lab import Killed

MakeLayout = Callable[..., Layout]
Gradients = dict[str, torch.Tensor]
CPU = torch.device("cpu")


def test_outliers_are_extracted_anew_on_request(boxes: MakeLayout, monkeypatch: pytest.MonkeyPatch):
    """D9: rows of last epoch's outliers equal fresh features; by default they keep their bits."""
    settings = ["clustering.min_samples=4", "clustering.rho=0.03", "joint.epochs=2"]
    train_baseline(boxes(*settings), 0)
    banks: list[torch.Tensor] = []
    relabel = joint.relabel
    monkeypatch.setattr(joint, "relabel", lambda rows, *rest: banks.append(rows.clone()) or relabel(rows, *rest))
    fresh: list[torch.Tensor] = []
    extract = joint.extract_features

    def seen(*arguments: object) -> torch.Tensor:
        fresh.append(extract(*arguments))  # pyright: ignore[reportArgumentType]
        return fresh[-1]

    monkeypatch.setattr(joint, "extract_features", seen)
    folder = train_jointly(boxes(*settings), "tda", 0)
    outliers = np.load(folder / "labels" / "epoch_001.npy") < 0
    assert 0 < outliers.sum() < len(outliers)
    assert torch.equal(banks[0][outliers], banks[1][outliers])
    assert not torch.equal(banks[0][~outliers], banks[1][~outliers])
    assert len(fresh) == 1  # the memory's start
    train_jointly(boxes(*settings, "joint.refresh_outliers=true"), "tda", 0)
    assert torch.equal(banks[3][outliers], fresh[-1])
    assert not torch.equal(banks[2][outliers], banks[3][outliers])
    torch.testing.assert_close(banks[3][~outliers], banks[1][~outliers])


def test_released_schedules_are_those_of_a_resume_at_iteration_30000():
    """D11, against PyTorch's own closed form and chainable form, rebuilt with last_epoch = 30000."""
    settings = OptimizerSettings(lr=1e-4, milestones=(10,))
    chainable = Adam([{"params": [nn.Parameter(torch.zeros(1))], "lr": 1e-4, "initial_lr": 1e-4}])
    schedule = MultiStepLR(chainable, [10], 0.1, last_epoch=30000)
    closed = schedule._get_closed_form_lr()  # pyright: ignore[reportAttributeAccessIssue]
    rates: dict[str, list[float]] = {"stated": [], "released_torch_1_2": [], "released_torch_1_4": []}
    released = []
    for _ in range(20):
        released.append(chainable.param_groups[0]["lr"])
        chainable.step()
        schedule.step()
    for name, seen in rates.items():
        optimizer, ours = make_optimizer([nn.Parameter(torch.zeros(1))], with_schedule(settings, name))  # pyright: ignore[reportArgumentType]
        for _ in range(20):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            ours.step()
    assert rates["stated"] == pytest.approx([1e-4] * 10 + [1e-5] * 10)
    assert rates["released_torch_1_2"] == pytest.approx(closed * 20)
    assert rates["released_torch_1_4"] == pytest.approx(released)
    assert (closed, released[-1]) == (pytest.approx([1e-5]), pytest.approx(1e-4))


def test_the_drawing_schedule_reaches_generator_and_discriminator_in_stage_3_alone(tiny_study: Callable[..., Study]):
    rates = [
        "joint.generator_optimizer={lr: 1.0e-3, milestones: [10]}",
        "joint.discriminator_optimizer={milestones: [5]}",
    ]
    study = tiny_study(*rates, "joint.drawing_schedule=released_torch_1_2")
    drawing = Drawing.start(study, study.joint, 512, 0, CPU)
    assert drawing.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    assert drawing.discriminator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-5)
    warm_up = Drawing.start(study, study.warm_up, 512, 0, CPU)
    assert warm_up.generator_optimizer.param_groups[0]["lr"] == study.warm_up.generator_optimizer.lr


def test_best_epoch_is_kept_on_request(boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """D15: the run's weights are those of the epoch with the best mAP on the test set, also after a kill."""
    settings = ("joint.epochs=4", "joint.keep=best_on_test")
    given = {1: 0.3, 2: 0.9, 3: 0.5, 4: 0.7}
    passed: list[int] = []

    def accuracy(*_: object) -> dict[str, float]:
        passed.append(len(passed))
        return {"map": given.get(passed[-1], 0.1)}

    whole, broken = boxes(*settings), boxes(*settings, root=tmp_path / "broken")
    for layout in (whole, broken):
        train_baseline(layout, 0)
    monkeypatch.setattr(joint, "accuracy_record", accuracy)
    folder = train_jointly(whole, "tda", 0)
    assert read_json(folder / "manifest.json")["kept_epoch"] == 2
    assert not (folder / "best").exists()
    record = Journal.record

    def stop(self: Journal, epoch: int, **values: object) -> None:
        if epoch == 3:
            raise Killed
        record(self, epoch, **values)

    passed.clear()
    monkeypatch.setattr(Journal, "record", stop)
    with pytest.raises(Killed):
        train_jointly(broken, "tda", 0)
    monkeypatch.setattr(Journal, "record", record)
    resumed = train_jointly(broken, "tda", 0)
    assert read_json(resumed / "manifest.json")["kept_epoch"] == 2
    # the second epoch's weights are those of a run that ends there
    passed.clear()
    second = train_jointly(boxes("joint.epochs=2", root=tmp_path / "broken"), "tda", 0)
    assert read_json(second / "manifest.json")["kept_epoch"] == 2
    expected = load_file(second / "encoder.safetensors")
    for run in (folder, *resumed.parent.glob("seed0.superseded-*")):
        found = load_file(run / "encoder.safetensors")
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    last = train_jointly(boxes("joint.epochs=4"), "tda", 0)
    assert len(read_metrics(last)) == 5
    other = load_file(last / "encoder.safetensors")
    assert any(not torch.equal(other[name], value) for name, value in expected.items())


def test_running_statistics_come_from_real_pictures_alone_on_request(tiny_study: Callable[..., Study]):
    """D16: four updates in the order x, x_rec, x_nv, x_cyc, or one by x; outputs and gradients are the same."""
    study = tiny_study()
    drawing = Drawing.start(study, study.joint, build_encoder(study, 0).code_dim, 0, CPU)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 32, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, generator=draw).mul(2).sub(1)
    cycles, means = [], []
    for real_only in (False, True):
        encoder = build_encoder(study, 0).train()
        cycles.append(draw_cycle(encoder, drawing.generator, x, mesh, turned, encode_rec=True, real_only=real_only))
        means.append(encoder.neck.running_mean.clone())  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
        assert int(encoder.neck.num_batches_tracked or 0) == (1 if real_only else 4)
        assert encoder.neck.track_running_stats
    for one, other in zip(*cycles, strict=True):
        pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
        assert all(torch.equal(left, right) for left, right in pairs)

    def batch_mean(picture: torch.Tensor) -> torch.Tensor:
        encoder = build_encoder(study, 0)
        encoder.train()
        pooled = encoder.trunk(picture).mean(dim=(2, 3))
        return pooled.mean(dim=0).detach()

    every = torch.zeros(encoder.feature_dim)
    for picture in (x, cycles[0].x_rec, cycles[0].x_nv, cycles[0].x_cyc):
        every = 0.9 * every + 0.1 * batch_mean(picture)
    torch.testing.assert_close(means[0], every)
    torch.testing.assert_close(means[1], 0.1 * batch_mean(x))


@pytest.mark.parametrize("real_only", [False, True])
@pytest.mark.parametrize(("view", "passes", "drawn"), [("drawn", 4, 3), ("drawn_once", 2, 1), ("known", 2, 0)])
def test_what_is_drawn_leaves_the_running_statistics_alone_in_every_kind_of_step(
    tiny_study: Callable[..., Study], view: str, passes: int, drawn: int, real_only: bool
):
    """D16 where E_id sees drawn views after TDA, or views that were drawn once; true views are not drawn."""
    study = tiny_study(f"joint.bn_real_only={str(real_only).lower()}", "losses.feature_at=novel_view")
    variant = VariantSettings.model_validate({"view": view})
    encoder = build_encoder(study, 0).train()
    draw = torch.Generator().manual_seed(0)
    x, nv = torch.randn(2, 4, 3, 64, 32, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, generator=draw).mul(2).sub(1)
    bank, indices = MemoryBank(torch.randn(12, encoder.feature_dim, generator=draw)), torch.tensor([0, 4, 7, 10])
    partners = draw_own_partners(torch.arange(12) // 3, indices, study.contrast, draw)
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, CPU) if view == "drawn" else None
    batch = Batch(indices, partners, x, mesh, turned) if drawing else Batch(indices, partners, x, view=nv)
    optimizer = make_optimizer(encoder.parameters(), study.joint.encoder_optimizer)
    learners = Learners(encoder, *optimizer, bank, drawing)
    joint_step(learners, batch, study, variant, step=0, augment_drawn=lambda picture: picture.flip(3))
    assert int(encoder.neck.num_batches_tracked or 0) == (passes - drawn if real_only else passes)


def test_a_released_study_runs_and_its_memory_starts_from_the_baseline(boxes: MakeLayout):
    """`fidelity: released` sets every switch together; the control's first clustering is that of the baseline."""
    layout = boxes("fidelity=released")
    people = load_person_set(layout)
    baseline = train_baseline(layout, 0)
    folder = train_jointly(layout, "tda", 0)
    encoder = load_encoder(layout.study, baseline, CPU)
    features = extract_features(encoder, people.pictures, people.rows("train"))
    rows = MemoryBank(features).rows  # as released the radius hangs on the last bit, so on this normalisation too
    identities = people.index["pid"].to_numpy()[people.rows("train")]
    labels, facts = joint.relabel(rows, identities, layout.study.clustering)
    assert np.array_equal(labels.numpy(), np.load(folder / "labels" / "epoch_001.npy"))
    assert read_metrics(folder)[1]["eps"] == facts["eps"]
    assert read_json(folder / "manifest.json")["settings"]["joint"]["keep"] == "best_on_test"


@pytest.mark.parametrize("negatives", ["new", "original"])
def test_l_vi_trains_the_generator_only_through_the_drawn_views_negatives(
    tiny_study: Callable[..., Study], negatives: str
):
    """METHOD.md §11.7, D6: with f's own negatives L_vi alone leaves G without gradient; as released it does not."""
    study = tiny_study(f"contrast.l_vi_negatives={negatives}")
    encoder = build_encoder(study, 0).train()
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, CPU)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 32, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, generator=draw).mul(2).sub(1)
    cycle = draw_cycle(encoder, drawing.generator, x, mesh, turned)
    bank = MemoryBank(torch.randn(12, encoder.feature_dim, generator=draw))
    indices, variant = torch.tensor([0, 4, 7, 10]), study.variants["gcl"]
    partners = draw_own_partners(torch.arange(12) // 3, indices, study.contrast, draw)
    features = cycle.real.feature, cycle.nv.feature
    _, losses = contrast_losses(*features, bank, indices, partners, study.contrast, variant)
    weights = list(drawing.generator.parameters())
    found = torch.autograd.grad(losses["l_vi"], weights, allow_unused=True)
    reached = any(gradient is not None and bool(gradient.any()) for gradient in found)
    assert reached == (negatives == "new")


def gradients_after_a_step(study: Study, variant: str = "gcl") -> tuple[Gradients, Gradients]:
    """Take one joint step on fixed pictures; return the gradients of E_id and of G that it was taken with."""
    encoder = build_encoder(study, 0).train()
    drawing = Drawing.start(study, study.joint, encoder.code_dim, 0, CPU)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 32, generator=draw)
    mesh, turned = torch.rand(2, 4, 1, 64, 32, generator=draw).mul(2).sub(1)
    bank = MemoryBank(torch.randn(12, encoder.feature_dim, generator=draw))
    learners = Learners(encoder, *make_optimizer(encoder.parameters(), study.joint.encoder_optimizer), bank, drawing)
    indices = torch.tensor([0, 4, 7, 10])
    partners = draw_own_partners(torch.arange(12) // 3, indices, study.contrast, draw)
    joint_step(learners, Batch(indices, partners, x, mesh, turned), study, study.variants[variant], step=0)
    of_encoder, of_generator = (
        {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
        for network in (encoder, drawing.generator)
    )
    return of_encoder, of_generator


@pytest.mark.parametrize("micro_batch", ["null", "2"])
def test_drawing_losses_may_train_the_generator_alone(tiny_study: Callable[..., Study], micro_batch: str):
    """Ours: then E_id has the gradient of the contrast, through the views too, and G has the whole one as before."""
    words = ("discriminator.penalty_every=1", f"compute.micro_batch={micro_batch}")
    apart = tiny_study(*words, "joint.drawing_trains_encoder=false")
    encoder, generator = gradients_after_a_step(apart)
    encoder_whole, generator_whole = gradients_after_a_step(tiny_study(*words))
    nothing_drawn = "losses={image: 0, feature: 0, adversarial: 0}"
    encoder_contrast, generator_contrast = gradients_after_a_step(tiny_study(*words, nothing_drawn))

    def close(found: Gradients, expected: Gradients) -> bool:
        assert found.keys() == expected.keys()
        return all(torch.allclose(found[name], value, rtol=1e-3, atol=1e-4) for name, value in expected.items())

    assert close(encoder, encoder_contrast)
    assert not close(encoder, encoder_whole)
    assert close(generator, generator_whole)
    assert not close(generator, generator_contrast)
    assert any(value.abs().max() > 1e-3 for value in generator_contrast.values())  # the contrast reaches G
    without, generator_alone = gradients_after_a_step(apart, "no_vi")
    assert not any(value.any() for value in without.values())
    assert any(value.any() for value in generator_alone.values())
