"""Published weights become a run, and a run becomes files in the published layout."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from gcl_core import exchange
from gcl_core.cli.weights import add_weight_commands
from gcl_core.config import ConfigError, load_study
from gcl_core.exchange import export_run, import_run
from gcl_core.files import RunError, hash_file, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.models.generator import Generator
from gcl_core.models.released import export_discriminator, export_encoder, export_generator
from gcl_core.models.weights import (
    build_discriminator,
    build_encoder,
    build_generator,
    load_discriminator,
    load_encoder,
    load_generator,
    save_weights,
)

CPU = torch.device("cpu")
RELEASED = load_study("smoke", "fidelity=[D3]")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The three files as the authors would give them, for the networks of the profile `smoke`."""
    encoder = build_encoder(RELEASED, 5)
    paths = {"encoder": "id_00000020.pt", "generator": "gen_00000020.pt", "discriminator": "dis_00000020.pt"}
    found = {kind: tmp_path / "theirs" / name for kind, name in paths.items()}
    export_encoder(encoder, found["encoder"])
    generator = build_generator(RELEASED, encoder.code_dim, 5)
    assert isinstance(generator, Generator)
    export_generator(generator, found["generator"], code_layout="released")
    export_discriminator(build_discriminator(RELEASED, 5), found["discriminator"])
    return found


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(RELEASED, root=tmp_path)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    state = second.state_dict()
    return all(torch.equal(value, state[name]) for name, value in first.state_dict().items())


def test_an_import_is_a_finished_run_that_says_where_it_comes_from(layout: Layout, files: dict[str, Path]):
    folder = import_run(layout, "published", 2, **files)
    assert folder == layout.stage("published", 2)
    assert same(load_encoder(RELEASED, folder, CPU), encoder := build_encoder(RELEASED, 5))
    assert same(load_generator(RELEASED, folder, CPU), build_generator(RELEASED, encoder.code_dim, 5))
    assert same(load_discriminator(RELEASED, folder, CPU), build_discriminator(RELEASED, 5))
    manifest = read_json(folder / "manifest.json")
    assert {"finished", "fingerprint", "git_revision"} <= set(manifest)
    assert manifest["seed"] == 2
    assert manifest["inputs"] == {kind: hash_file(path) for kind, path in files.items()}
    assert set(manifest["settings"]) == {"picture", "identity_encoder", "generator", "discriminator"}
    told = manifest["imported"]
    assert {kind: facts["file"] for kind, facts in told.items()} == {kind: path.name for kind, path in files.items()}
    assert told["encoder"]["layout"] == "bn2048_feat_bn"
    assert len(told["generator"]["ignored"]) == 16


def test_the_same_import_again_changes_nothing(layout: Layout, files: dict[str, Path]):
    folder = import_run(layout, "published", 0, **files)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    assert import_run(layout, "published", 0, **files) == folder
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_an_import_that_was_killed_is_made_whole(layout: Layout, files: dict[str, Path], monkeypatch):
    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exchange, "save_weights", kill)
        with pytest.raises(KeyboardInterrupt):
            import_run(layout, "published", 0, **files)
    assert "finished" not in read_json(layout.stage("published", 0) / "manifest.json")
    folder = import_run(layout, "published", 0, **files)
    assert "finished" in read_json(folder / "manifest.json")
    assert (folder / "encoder.safetensors").is_file()


def test_another_run_is_left_alone(layout: Layout, files: dict[str, Path]):
    folder = layout.stage("gcl", 0)
    write_json(folder / "manifest.json", {"settings": {}, "finished": "yes"})
    with pytest.raises(RunError, match="holds another run; nothing there changed"):
        import_run(layout, "gcl", 0, **files)
    (folder / "manifest.json").rename(folder / "metrics.jsonl")
    with pytest.raises(RunError, match="holds another run"):
        import_run(layout, "gcl", 0, **files)
    (folder / "metrics.jsonl").unlink()  # empty, as a kill may leave it
    assert import_run(layout, "gcl", 0, **files) == folder


@pytest.mark.parametrize("name", ["baseline", "warm_up", "data", "../gcl", "GCL", ""])
def test_names_of_stages_and_paths_are_refused(layout: Layout, files: dict[str, Path], name: str):
    with pytest.raises(RunError, match="cannot be named"):
        import_run(layout, name, 0, **files)
    assert not layout.runs.exists()


def test_a_refused_file_leaves_nothing(layout: Layout, files: dict[str, Path], tmp_path: Path):
    files["discriminator"].write_bytes(files["discriminator"].read_bytes()[:500])
    with pytest.raises(RunError, match=r"dis_00000020\.pt cannot be read"):
        import_run(layout, "published", 0, **files)
    assert not layout.runs.exists()
    part = Layout(load_study("smoke"), root=tmp_path)
    with pytest.raises(RunError, match=r"gen_00000020\.pt: the released generator .*fidelity: \[D3\]"):
        import_run(part, "published", 0, **files)
    assert not part.runs.exists()


def test_an_encoder_alone_needs_no_switch(tmp_path: Path, files: dict[str, Path]):
    part = Layout(load_study("smoke"), root=tmp_path)
    folder = import_run(part, "published", 0, encoder=files["encoder"], generator=None, discriminator=None)
    assert load_encoder(part.study, folder, CPU).code_layout == "part"
    assert [path.name for path in export_run(part, folder, tmp_path / "out")] == ["id_00000000.pt"]


def content(path: Path) -> dict[str, torch.Tensor]:
    return next(iter(torch.load(path, weights_only=True).values()))


def test_what_was_imported_is_exported_unchanged(layout: Layout, files: dict[str, Path], tmp_path: Path):
    folder = import_run(layout, "published", 0, **files)
    paths = export_run(layout, folder, tmp_path / "ours")
    assert [path.name for path in paths] == ["gen_00000000.pt", "dis_00000000.pt", "id_00000000.pt"]
    for path, kind in zip(paths, ("generator", "discriminator", "encoder"), strict=True):
        theirs, ours = content(files[kind]), content(path)
        assert list(theirs) == list(ours)
        assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    before = paths[2].read_bytes()
    with pytest.raises(RunError, match="exist already and stay as they are"):
        export_run(layout, folder, tmp_path / "ours")
    assert paths[2].read_bytes() == before
    paths[2].unlink()  # an encoder alone minds no other file
    assert export_run(layout, folder, tmp_path / "ours", encoder_only=True) == [paths[2]]


def test_the_number_of_an_export_is_the_epoch(layout: Layout, tmp_path: Path):
    folder = layout.stage("tda", 0)
    save_weights(build_encoder(RELEASED, 0), folder / "encoder.safetensors")
    (folder / "metrics.jsonl").write_text('{"epoch": 0}\n{"epoch": 7}\n')
    assert export_run(layout, folder, tmp_path / "last")[0].name == "id_00000007.pt"
    write_json(folder / "manifest.json", {"kept_epoch": 4})
    assert export_run(layout, folder, tmp_path / "best")[0].name == "id_00000004.pt"


def test_an_encoder_of_another_kind_leaves_no_file(
    layout: Layout, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = import_run(layout, "published", 0, **files)
    encoder = load_encoder(layout.study, folder, CPU)
    encoder.settings = {**encoder.settings, "kind": "timm"}
    monkeypatch.setattr(exchange, "load_encoder", lambda *_: encoder)
    with pytest.raises(RunError, match="of kind timm"):
        export_run(layout, folder, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_given_weights_go_by_the_epoch_of_their_training(repository: Path, tmp_path: Path):
    layout = Layout(load_study("mini"), root=tmp_path)
    (path,) = export_run(layout, repository / "weights" / "mini" / "gcl", tmp_path / "out", encoder_only=True)
    assert path.name == "id_00000004.pt"


def test_a_generator_of_parts_stays_here(tmp_path: Path):
    layout = Layout(load_study("smoke"), root=tmp_path)
    encoder, folder = build_encoder(layout.study, 0), layout.stage("gcl", 0)
    save_weights(encoder, folder / "encoder.safetensors")
    save_weights(build_generator(layout.study, encoder.code_dim, 0), folder / "generator.safetensors")
    with pytest.raises(RunError, match=r"\(D3\).*--encoder-only"):
        export_run(layout, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(export_run(layout, folder, tmp_path / "out", encoder_only=True)) == 1


class TestCommands:
    @pytest.fixture
    def command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("gcl_core.layout.Layout", lambda study: Layout(study, root=tmp_path))
        parser = argparse.ArgumentParser()
        commands = parser.add_subparsers(required=True)

        def add_study(name: str, call, words: str, summary: str) -> argparse.ArgumentParser:
            each = commands.add_parser(name, help=summary)
            each.set_defaults(command=call)
            each.add_argument("words", nargs="*", metavar=words)
            return each

        add_weight_commands(add_study)

        def call(*words: object) -> None:
            chosen, more = parser.parse_known_args([str(word) for word in words])
            chosen.command(chosen, [*chosen.words, *more])

        return call

    def test_import_and_export(self, command, files: dict[str, Path], tmp_path: Path, capsys):
        options: Sequence[object] = [word for kind, path in files.items() for word in (f"--{kind}", path)]
        command("import-weights", "smoke", "fidelity=[D3]", *options, "--to", "published", "--seed", 1)
        told = capsys.readouterr().out
        assert "encoder: id_00000020.pt (bn2048_feat_bn), sha256 " in told
        assert "dec.model.1.model.0.model.0.norm.running_mean, " in told
        assert "… (16 in all)" in told
        assert f"run: {tmp_path / 'runs' / 'smoke' / 'published' / 'seed1'}; measure" in told
        command("export-weights", "smoke", "published", "fidelity=[D3]", "--seed", 1, "--out", tmp_path / "ours")
        assert capsys.readouterr().out.split() == [
            str(tmp_path / "ours" / f"{kind}_00000000.pt") for kind in ("gen", "dis", "id")
        ]
        folder = tmp_path / "runs" / "smoke" / "published" / "seed1"  # a folder may be given instead of a name
        command("export-weights", "smoke", folder, "fidelity=[D3]", "--out", tmp_path / "more", "--encoder-only")
        assert [path.name for path in (tmp_path / "more").iterdir()] == ["id_00000000.pt"]

    def test_wrong_words(self, command, tmp_path: Path, capsys):
        with pytest.raises(ConfigError, match="say whose networks"):
            command("export-weights", "--out", tmp_path)
        with pytest.raises(ConfigError, match="profile smoke has no run 'nobody'; known: baseline, "):
            command("export-weights", "smoke", "nobody", "--out", tmp_path)
        for wrong in (["--seed", "-1"], ["--seed", "x"]):
            with pytest.raises(SystemExit):
                command("import-weights", "--encoder", "f", "--to", "x", *wrong)
        assert "expected a whole number from 0" in capsys.readouterr().err
