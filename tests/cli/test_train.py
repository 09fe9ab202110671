"""`train` and `repeat` start from earlier stages of today's settings alone, as notebooks do."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from gcl_core.cli import main
from gcl_core.data import preparation, source_set
from gcl_core.files import read_json, write_json
from gcl_core.layout import Layout
from gcl_core.measure import artifacts
from gcl_core.tables import formats
from gcl_core.training import baseline, joint, repeats, warm_up

COMMANDS = [["train", "smoke", "warm_up"], ["train", "smoke", "tda"], ["repeat", "smoke", "tda", "--out", "here"]]
USED = (
    artifacts,
    formats,
    baseline,
)  # by the commands: imported before Layout is stood in for, whose name they annotate


@pytest.fixture
def trained(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> list[Layout]:
    """Let commands work in the layout's root and stand in for their trainings; return what those are called with."""
    seen: list[Layout] = []
    monkeypatch.setattr("gcl_core.layout.Layout", partial(Layout, root=layout.root))
    monkeypatch.chdir(layout.root)
    for module, name in ((joint, "train_jointly"), (warm_up, "warm_up_generator"), (repeats, "train_repeats")):
        monkeypatch.setattr(module, name, lambda given, *_: seen.append(given) or pd.DataFrame({"tda": [1]}))
    return seen


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_nothing_starts_from_a_stage_of_other_settings(
    layout: Layout,
    trained: list[Layout],
    write_run: Callable[..., Path],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
):
    write_run(layout, "baseline", 0, [])
    main(words)
    assert len(trained) == 1
    with pytest.raises(SystemExit) as ended:
        main([*words, "picture.height=128"])
    assert ended.value.code == 1
    assert "baseline/seed0 was made with other settings of picture; run notebooks/01" in capsys.readouterr().err
    assert len(trained) == 1


def test_the_number_of_processes_is_that_of_torchrun(
    layout: Layout, trained: list[Layout], write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    manifest = write_run(layout, "baseline", 0, []) / "manifest.json"
    facts = read_json(manifest)
    write_json(manifest, {**facts, "settings": {**facts["settings"], "devices": 4}})
    with pytest.raises(SystemExit):
        main(["train", "smoke", "tda"])
    monkeypatch.setenv("WORLD_SIZE", "4")
    main(["train", "smoke", "tda"])
    assert [each.study.devices for each in trained] == [4]


def test_data_are_prepared_for_a_seed_and_its_source_set(
    trained: list[Layout], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    seen: list[tuple[str, Path]] = []
    monkeypatch.setattr(preparation, "prepare_data", lambda given: seen.append(("own", given.store)))
    monkeypatch.setattr(source_set, "prepare_source", lambda given: seen.append(("source", given.store)))
    main(["train", "mini", "data", "--seed", "1", "seeds=2"])
    words = ["source.dataset=folder", f"source.data_root={tmp_path}"]
    main(["train", "mini", "data", *words])
    assert [each for each, _ in seen] == ["own", "own", "source"]
    assert seen[0][1] != seen[1][1]  # each seed has its own people
