"""The worked examples of docs/EXTEND.md apply to this state of the code, and do what they say."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gcl_core.run_folder import RunFolder, read_metrics
from gcl_core.training import journal
from gcl_core.training.epochs import Epochs

USED = """
import tempfile
from pathlib import Path
import numpy as np
import torch
from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.config import load_study
from gcl_core.files import RunError
from gcl_core.models.drawing import draw_views
from gcl_core.models.memory_bank import MemoryBank
from gcl_core.models.weights import build_encoder, load_generator
from gcl_core.provenance import code_of_stage
from gcl_core.training.contrast import draw_own_partners
from gcl_core.training.learners import Drawing
from gcl_core.training.step import contrast_losses, draw_cycle, generator_losses, update_discriminator
import gcl_core

study = load_study("smoke", ["variants.gcl.pull=0.5", "variants.tda.view=augmented", "evaluation.fid_variants=[gcl]",
                             "clustering.method=average"])
draw = torch.Generator().manual_seed(0)
rows = torch.nn.functional.normalize(torch.randn(12, 8, generator=draw))
bank, labels, picked = MemoryBank(rows, keep_old=0.2), torch.arange(12) // 4, torch.tensor([0, 5, 9])
new = torch.randn(3, 8, generator=draw)

def total(variant):
    partners = draw_own_partners(labels, picked, study.contrast, torch.Generator().manual_seed(1))
    return contrast_losses(rows[picked], new, bank, picked, partners, study.contrast, variant)

plain, told = total(study.variants["tda"])
pulled, _ = total(study.variants["gcl"])
expected = (rows[picked] - torch.nn.functional.normalize(new)).square().sum(1).mean()
assert torch.isclose(told["pull"], expected) and torch.isclose(pulled - plain, 0.5 * expected), (told, pulled, plain)

centres = torch.eye(8)[:3].repeat_interleave(6, 0)
features = torch.nn.functional.normalize(centres + 0.1 * torch.randn(18, 8, generator=draw))
found = cluster(features, method="average", k1=6, k2=2, rho=1, min_samples=4)
assert found.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6, found

plain = load_study("smoke", ["generator={kind: plain, channels: 8}", "identity_encoder.width=8"])
encoder, meshes = build_encoder(plain, 0), torch.rand(4, 1, 64, 32, generator=draw)
drawing = Drawing.start(plain, plain.joint, encoder.code_dim, 0, torch.device("cpu"))
x = torch.randn(4, 3, 64, 32, generator=draw)
cycle = draw_cycle(encoder, drawing.generator, x, meshes, meshes.flip(3))
update_discriminator(drawing, cycle, x, plain.discriminator, step=0)
generator_losses(cycle, x, drawing.discriminator, plain.losses)[0].backward()
assert all(value.grad is not None for value in drawing.generator.parameters())
before = drawing.generator.decode.weight.clone()
drawing.generator_optimizer.step()
assert not torch.equal(before, drawing.generator.decode.weight)
with tempfile.TemporaryDirectory() as folder:
    drawing.save(Path(folder))
    loaded = load_generator(plain, Path(folder), torch.device("cpu"))
    try:
        load_generator(load_study("smoke", "identity_encoder.width=8"), Path(folder), torch.device("cpu"))
    except RunError as error:
        assert "expected Generator, found PlainGenerator" in str(error)
    else:
        raise AssertionError("weights of another generator were taken")
pictures, projections = np.zeros((2, 64, 32, 3), np.uint8), np.full((2, 3, 64, 32), 255, np.uint8)
assert draw_views(encoder, loaded, pictures, projections).shape == (2, 3, 64, 32, 3)
file, published = "gcl_core/models/plain_generator.py", "gcl_core/models/generator.py"
ours, theirs = code_of_stage(plain, "gcl"), code_of_stage(study, "gcl")
assert file in ours and published not in ours and file not in theirs and published in theirs
print(gcl_core.__file__)
"""


@pytest.fixture
def changed(repository: Path, tmp_path: Path) -> Path:
    """Copy the package and its profiles, and apply all examples."""
    for folder in ("gcl_core", "configs"):
        shutil.copytree(repository / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    examples = re.findall(r"```diff\n(.*?)```", (repository / "docs" / "EXTEND.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        applied = subprocess.run(["git", "apply", "-"], input=example, text=True, cwd=tmp_path, capture_output=True)
        assert applied.returncode == 0, applied.stderr
    return tmp_path


def test_the_examples_apply_and_work(changed: Path):
    words = {**os.environ, "PYTHONPATH": str(changed)}
    answer = subprocess.run([sys.executable, "-c", USED], cwd=changed, env=words, text=True, capture_output=True)
    assert answer.returncode == 0, answer.stderr
    assert Path(answer.stdout.strip()).is_relative_to(changed)


@pytest.mark.parametrize("shown", [False, True])
def test_a_new_loss_is_recorded_and_on_the_epoch_line_only_if_named(
    shown: bool, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    told = (repository / "docs" / "EXTEND.md").read_text()
    assert "add the loss to `ON_EPOCH_LINE` in `gcl_core/losses/names.py`" in told
    if shown:
        monkeypatch.setattr(journal, "SHOWN", (*journal.SHOWN, "pull"))
    run = RunFolder(tmp_path, settings={}, inputs={}, code={}, seed=0, device=torch.device("cpu"))
    with run, Epochs(run, "gcl seed 0", 1, {}) as epochs:
        for _ in epochs:
            for _ in epochs.steps([None]):
                epochs.tell({"pull": torch.tensor(0.25), "l_vi_prime": torch.tensor(0.5)})
                assert "pull 0.25" in str(epochs._line.postfix)
            epochs.end({})
    told = capsys.readouterr().out
    assert "l_vi_prime 0.500" in told
    assert ("pull 0.250" in told) == shown
    assert read_metrics(tmp_path)[-1]["pull"] == 0.25


def test_the_commands_of_the_examples_are_taken(repository: Path, changed: Path):
    text = (repository / "docs" / "EXTEND.md").read_text()
    commands = re.findall(r"```bash\n./run_all.sh (.*?)\n```", text, re.DOTALL)
    assert len(commands) == 4
    load = "import sys; from gcl_core.config import load_study; print(load_study(sys.argv[1], sys.argv[2:]).profile)"
    words = {**os.environ, "PYTHONPATH": str(changed)}
    for command, profile in zip(commands, ("pull", "linkage", "plain", "lite"), strict=True):
        line = [sys.executable, "-c", load, *shlex.split(command)]
        answer = subprocess.run(line, cwd=changed, env=words, text=True, capture_output=True)
        assert answer.stdout.strip() == profile, answer.stderr
