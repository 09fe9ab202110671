"""Whole trainings on a GPU that is pretended: no tensor is on the wrong device, and they end with the CPU's bits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.warm_up import warm_up_generator
from tests.pretended_gpu import CPU, GPU, pretended_gpu

STAGES: dict[str, Callable[[Layout], Path]] = {
    "baseline": lambda layout: train_baseline(layout, 0),
    "warm_up": lambda layout: warm_up_generator(layout, 0),
    "gcl": lambda layout: train_jointly(layout, "gcl", 0),
    "tda": lambda layout: train_jointly(layout, "tda", 0),
    "once": lambda layout: train_jointly(layout, "once", 0),
}
SHORT = (
    *("baseline.tda.epochs=2", "warm_up.epochs=1", "joint.epochs=1"),
    *("warm_up.batch_size=16", "joint.batch_size=16"),
    *("variants={gcl: {}, tda: {view: augmented}, once: {view: drawn_once}}", "evaluation.fid_variants=[gcl]"),
)
JVTC = "method=jvtc jvtc.epochs=3 jvtc.global_from=2 jvtc.relabel_every=1 jvtc.joint_from=3 jvtc.copies=2 jvtc.k1=5"
CLUSTERS = (
    "method=cluster_contrast cluster_contrast.epochs=2 cluster_contrast.identities=3 cluster_contrast.iterations=2"
)


@pytest.mark.parametrize(
    ("memory", "stages", "words"),
    [
        (
            1 << 30,
            ["baseline", "warm_up", "gcl", "tda"],
            ["joint.epochs=2", "joint.refresh_outliers=true", "joint.generator_ema=0.9"],
        ),
        (1, ["baseline", "warm_up", "once"], ["compute.micro_batch=4", "joint.bn_real_only=true"]),
        (1, ["baseline"], [f"baseline.{word}" for word in JVTC.split()]),
        (1, ["baseline"], [f"baseline.{word}" for word in CLUSTERS.split()]),
    ],
    ids=["all pictures there", "a batch at a time", "jvtc", "cluster contrast"],
)
def test_a_training_on_a_gpu_ends_with_the_bits_of_one_on_the_cpu(
    boxes: Callable[..., Layout], tmp_path: Path, memory: int, stages: list[str], words: list[str]
):
    words = [*SHORT, *words]
    for stage in stages:
        theirs = STAGES[stage](boxes(*words, root=tmp_path / "cpu"))
        with pretended_gpu(memory=memory):
            ours = STAGES[stage](boxes(*words, "device=cuda", root=tmp_path / "gpu"))
        for file in theirs.glob("*.safetensors"):
            assert hash_file(ours / file.name) == hash_file(file), file.name


def test_the_pretended_gpu_refuses_what_a_gpu_does():
    here = torch.arange(6.0).reshape(2, 3)
    place = torch.tensor([1, 0])
    with pretended_gpu():
        there = here.to(GPU)
        assert (there.device, there.cpu().device, (2 * there + torch.tensor(1.0)).device) == (GPU, CPU, GPU)
        assert torch.equal(there[place].cpu(), here[place])
        for wrong in (
            lambda: there + here,
            lambda: here[place.to(GPU)],
            lambda: torch.cat([there, here]),
            lambda: there @ torch.ones(3),
            lambda: there.gather(0, place[:, None]),
            lambda: torch.stack([there.sum(), here.sum()]),
            lambda: torch.arange(2, device=GPU) + place,
        ):
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
