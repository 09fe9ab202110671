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


@pytest.mark.parametrize(
    "other",
    ["runs/smoke/tda/seed0", "runs/smoke/baseline/seed1", "runs/smoke/gcl/seed1.superseded-ab", "runs/mini/gcl/seed0"],
)
def test_repeats_of_something_else_are_left_alone(boxes: MakeLayout, tmp_path: Path, other: str):
    (tmp_path / "out" / "repeat2" / other).mkdir(parents=True)
    with pytest.raises(RunError, match=f"out holds repeats of something else, .*{other}; name another folder by --out"):
        train_repeats(boxes(), "gcl", 0, 2, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["repeat2"]


@pytest.mark.parametrize("content", [b"tda,mAP\nrepeat 1,80\n", b"", b"\xff\xfe"])
def test_a_table_of_something_else_is_left_alone(boxes: MakeLayout, tmp_path: Path, content: bytes):
    out = tmp_path / "out"
    out.mkdir()
    (out / "repeats.csv").write_bytes(content)
    with pytest.raises(RunError, match=r"holds repeats of something else, .*repeats\.csv; name another folder"):
        train_repeats(boxes(), "gcl", 0, 2, out)
    assert (out / "repeats.csv").read_bytes() == content


def test_repeats_of_the_same_variant_and_seed_go_on(boxes: MakeLayout, tmp_path: Path):
    for name in ("baseline/seed0", "gcl/seed0", "gcl/seed0.superseded-ab", "warm_up/seed1"):
        (tmp_path / "out" / "repeat1" / "runs" / "smoke" / name).mkdir(parents=True)
    (tmp_path / "out" / "repeats.csv").write_text("gcl,mAP\n")
    repeats._check_place(boxes(), "gcl", 0, tmp_path / "out")


def test_a_folder_that_is_the_study_s_or_none_is_refused(boxes: MakeLayout, tmp_path: Path):
    layout, file = boxes(), tmp_path / "afile"
    file.write_text("somebody's")
    (tmp_path / "linked").symlink_to(layout.runs)
    for out in (layout.root, layout.runs, layout.root / "runs", layout.figures / "new", tmp_path / "linked" / "new"):
        with pytest.raises(RunError, match="where the study's own runs and figures lie; name another folder"):
            train_repeats(layout, "tda", 0, 2, out)
    for out in (file, file / "out"):
        with pytest.raises(RunError, match=r"cannot write repeats into .*afile.*; name another folder by --out"):
            train_repeats(layout, "tda", 0, 2, out)
    assert file.read_text() == "somebody's"


def test_what_cannot_be_repeated_is_told(boxes: MakeLayout, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    layout = boxes()
    with pytest.raises(RunError, match="1 repeat has no spread"):
        train_repeats(layout, "tda", 0, 1, tmp_path / "out")
    with pytest.raises(RunError, match=r"baseline.*is missing"):
        train_repeats(layout, "tda", 0, 2, tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        main(["repeat", "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert "say which variant" in capsys.readouterr().err
