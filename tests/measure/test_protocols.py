"""Encoders by three protocols: the start of stage 1 is measured where its weights can be had, else left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gcl_core.config import Study
from gcl_core.data.person_set import PersonSet
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure import protocols as module
from gcl_core.measure.protocols import protocol_lines
from gcl_core.models.weights import build_encoder, save_weights


@pytest.fixture
def stages(
    layout: Layout, people: PersonSet, write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Write finished runs of both seeds; return their stages."""
    stages = ["baseline", *layout.study.variants]
    for seed in range(layout.study.seeds):
        for stage in stages:
            save_weights(build_encoder(layout.study, seed), write_run(layout, stage, seed, []) / "encoder.safetensors")
    monkeypatch.setattr(module, "load_person_set", lambda _: people)
    return stages


def test_every_encoder_is_measured_and_the_start_of_stage_one_too(layout: Layout, stages: list[str]):
    lines = protocol_lines(layout)
    assert list(dict.fromkeys(lines["stage"])) == ["start", *stages]
    assert len(lines) == 2 * 3 * (1 + len(stages))


def test_a_start_whose_weights_cannot_be_had_is_left_out_and_named(
    layout: Layout, stages: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    before = protocol_lines(layout)

    def offline(_study: Study, _seed: int) -> None:
        raise RunError("the ImageNet weights could not be downloaded")

    monkeypatch.setattr(module, "build_encoder", offline)
    lines = protocol_lines(layout)
    assert list(dict.fromkeys(lines["stage"])) == stages
    assert lines.to_csv(index=False) == before[before["stage"] != "start"].to_csv(index=False)
    told = "The start of stage 1 is left out of the protocols: the ImageNet weights could not be downloaded"
    assert told in capsys.readouterr().out


def test_a_run_that_is_missing_is_still_an_error(layout: Layout, stages: list[str]):
    (layout.stage("gcl", 1) / "manifest.json").unlink()
    with pytest.raises(RunError, match="gcl"):
        protocol_lines(layout)
