"""Repeats from perturbed weights: each has its own start and root, the study's runs stay, and the spread is theirs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from gcl_core.cli import main
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.models.weights import build_encoder
from gcl_core.run_folder import read_metrics
from gcl_core.training import repeats
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.repeats import RELATIVE, train_repeats
from gcl_core.training.warm_up import warm_up_generator

MakeLayout = Callable[..., Layout]


def test_repeats_start_a_millionth_apart_and_their_spread_is_told(
    boxes: MakeLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    layout, out = boxes(), tmp_path / "out"
    start = train_baseline(layout, 0) / "encoder.safetensors"
    before = start.read_bytes()
    table = train_repeats(layout, "tda", 0, 2, out)
    assert table.columns.tolist() == ["tda", "mAP", "rank-1", "clusters", "ARI"]
    assert table["tda"].tolist() == ["repeat 1", "repeat 2", "mean", "standard deviation"]
    ends = [read_metrics(out / f"repeat{n}" / "runs" / "smoke" / "tda" / "seed0")[-1]["map"] for n in (1, 2)]
    expected = [*(100 * end for end in ends), 100 * np.mean(ends), 100 * np.std(ends, ddof=1)]
    assert table["mAP"].tolist() == pytest.approx(expected)

    names = [out / f"repeat{n}" / "runs" / "smoke" / "baseline" / "seed0" / "encoder.safetensors" for n in (1, 2)]
    whole, *perturbed = (load_file(path) for path in (start, *names))
    weights = [name for name, _ in build_encoder(layout.study, 0).named_parameters()]
    for found in perturbed:
        moved = torch.cat([((found[name] - whole[name]) / whole[name])[whole[name] != 0] for name in weights])
        assert 0.9 * RELATIVE < moved.std() < 1.1 * RELATIVE
        assert all(torch.equal(found[name], whole[name]) for name in set(whole) - set(weights))  # BN's statistics
    assert not torch.equal(*(torch.cat([found[name].ravel() for name in weights]) for found in perturbed))

    assert start.read_bytes() == before
    assert not layout.stage("tda", 0).exists()
    trained = []
    monkeypatch.setattr(repeats, "train_jointly", lambda *given: trained.append(given) or train_jointly(*given))
    pd.testing.assert_frame_equal(train_repeats(layout, "tda", 0, 2, out), table)  # finished runs are read again
    assert len(trained) == 2


def test_a_variant_that_draws_takes_the_warm_up_as_it_is(boxes: MakeLayout, tmp_path: Path):
    layout = boxes("joint.epochs=1")
    train_baseline(layout, 0)
    warm_up_generator(layout, 0)
    train_repeats(layout, "gcl", 0, 2, tmp_path / "out")
    assert (tmp_path / "out" / "repeat2" / "runs" / "smoke" / "gcl" / "seed0" / "generator.safetensors").is_file()


def test_a_link_to_another_place_is_replaced_and_nothing_else_is(tmp_path: Path):
    old, new, path = tmp_path / "old", tmp_path / "new", tmp_path / "out" / "data"
    old.mkdir()
    new.mkdir()
    repeats._link(path, old)
    repeats._link(path, new)
    assert path.resolve() == new
    new.rename(tmp_path / "moved")  # as a checkout is, which leaves the link dangling
    repeats._link(path, tmp_path / "moved")
    assert path.resolve() == tmp_path / "moved"
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match=r"out/data is no link to .*moved.*remove it, or name another folder by --out"):
        repeats._link(path, tmp_path / "moved")
    assert path.is_dir()


def test_what_cannot_be_repeated_is_told(boxes: MakeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    layout = boxes()
    with pytest.raises(RunError, match="1 repeat has no spread"):
        train_repeats(layout, "tda", 0, 1, tmp_path / "out")
    with pytest.raises(RunError, match="where the study's own runs lie"):
        train_repeats(layout, "tda", 0, 2, layout.root)
    with pytest.raises(RunError, match=r"baseline.*is missing"):
        train_repeats(layout, "tda", 0, 2, tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        main(["repeat", "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert "say which variant" in capsys.readouterr().err
