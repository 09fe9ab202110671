"""embed, search and export-onnx as a user types them, on an untrained encoder and pictures of any size."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from gcl_core.cli import main
from gcl_core.config import REPOSITORY, load_study
from gcl_core.data.pictures import read_picture
from gcl_core.exchange import import_run
from gcl_core.figures import search
from gcl_core.files import RunError, read_json, write_json
from gcl_core.layout import Layout
from gcl_core.models.packed import unpack_file
from gcl_core.models.released import export_encoder
from gcl_core.models.weights import build_encoder, load_encoder, save_weights
from gcl_core.retrieval import folder, onnx_file
from gcl_core.retrieval.encoder import Embedder, load_run_encoder
from gcl_core.retrieval.folder import write_features
from gcl_core.seeding import numpy_rng

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the profile `smoke`, with random weights."""
    study, folder = load_study("smoke"), tmp_path_factory.mktemp("runs") / "smoke" / "gcl" / "seed0"
    settings = study.model_dump(mode="json", include={"picture", "identity_encoder"})
    write_json(folder / "manifest.json", {"settings": settings, "finished": "now"})
    save_weights(build_encoder(study, 3), folder / "encoder.safetensors")
    return folder


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Twelve pictures of several sizes in two folders; one name holds a blank, one stands in both folders."""
    random = numpy_rng(0, "retrieval test")
    for number in range(12):
        folder = tmp_path / "gallery" / ("first" if number % 2 else "second")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (40 + 9 * number, 30 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("same.png" if number < 2 else f"a crop {number}.png"))
    return tmp_path / "gallery"


def expected(run: Path, files: list[str]) -> np.ndarray:
    loaded = load_run_encoder(run, CPU)
    pictures = np.stack([read_picture(Path(file), loaded.height, loaded.width) for file in files])
    with torch.no_grad():
        unit = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
        return Embedder(loaded.encoder)(unit).numpy()


def test_embed_writes_a_unit_feature_for_every_picture(run: Path, gallery: Path, tmp_path: Path):
    table, arrays = tmp_path / "features.parquet", tmp_path / "features.npz"
    for out in (table, arrays):
        main(["embed", "--run", str(run), "--out", str(out), str(gallery)])
    lines = pd.read_parquet(table)
    assert sorted(lines["file"]) == sorted(str(path) for path in gallery.rglob("*.png"))
    features = np.stack(lines["feature"].tolist())
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert np.allclose(features, expected(run, lines["file"].tolist()), atol=1e-5)
    with np.load(arrays) as stored:
        assert stored["files"].tolist() == lines["file"].tolist()
        assert np.array_equal(stored["features"], features)


def test_search_ranks_the_gallery_without_the_query_itself(run: Path, gallery: Path, tmp_path: Path):
    query, copy = gallery / "first" / "same.png", gallery / "second" / "copy of the query.png"
    copy.write_bytes(query.read_bytes())
    out = tmp_path / "found"
    main(["search", "--run", str(run), "--gallery", str(gallery), "--out", str(out), "--top", "5", str(query)])
    lines = pd.read_csv(out / "ranked.csv")
    assert lines["rank"].tolist() == [1, 2, 3, 4, 5]
    names = [str(query), *lines["file"].tolist()]
    assert str(query) not in names[1:]
    features, similarity = expected(run, names), lines["similarity"].to_numpy()
    assert names[1] == str(copy)
    assert similarity[0] == pytest.approx(1, abs=1e-5)
    assert np.allclose(similarity, features[1:] @ features[0], atol=1e-5)
    assert (np.diff(similarity) <= 0).all()
    with Image.open(out / "ranked.png") as picture:
        assert picture.width > picture.height


def test_weights_that_come_with_the_project_search_as_their_run_would(tmp_path: Path, capsys):
    given, samples = REPOSITORY / "weights/mini/gcl", REPOSITORY / "samples/novel_views"
    query = next(samples.glob("train/nv/225/0007_*.png"))
    main(["search", "--run", str(given), "--gallery", str(samples), "--out", str(tmp_path / "found"), str(query)])
    lines = pd.read_csv(tmp_path / "found" / "ranked.csv")
    assert [Path(file).name for file in lines["file"][:3]] == [query.name] * 3  # the same person, at other angles
    unpack_file(given / "encoder.safetensors", tmp_path / "encoder.safetensors")
    loaded, study = load_run_encoder(given, CPU), load_study(str(given.parent / "study.yaml"))
    boxes = torch.rand(2, 3, loaded.height, loaded.width)
    for place in (given, tmp_path):  # packed, and as a run keeps it
        assert torch.allclose(load_encoder(study, place, CPU)(boxes).feature, loaded.encoder(boxes).feature, atol=1e-4)


def test_given_weights_that_cannot_be_used_are_named(gallery: Path, tmp_path: Path, capsys):
    shutil.copytree(REPOSITORY / "weights/mini", tmp_path / "mini")
    with (tmp_path / "mini/tda/encoder.safetensors").open("ab") as file:
        file.write(b"more")
    out = tmp_path / "features.npz"
    for stage, told in (("warm_up", "holds no identity encoder"), ("tda", "is missing or is not the file of")):
        with pytest.raises(SystemExit) as ended:
            main(["embed", "--run", str(tmp_path / "mini" / stage), "--out", str(out), str(gallery)])
        assert ended.value.code == 1
        assert told in capsys.readouterr().err
    assert not out.exists()


def test_what_cannot_be_used_is_named_and_nothing_is_written(run: Path, gallery: Path, tmp_path: Path, capsys):
    (gallery / "broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "features.npz"
    for words, told in (
        (["embed", "--run", str(run), "--out", str(out), str(gallery)], "broken.jpg"),
        (["embed", "--run", str(run), "--out", str(out), str(tmp_path / "absent")], "does not exist"),
        (["embed", "--run", str(gallery), "--out", str(out), str(gallery)], "no finished run"),
        (["embed", "--run", str(run), "--out", str(tmp_path / "features.csv"), str(gallery)], ".parquet or .npz"),
        (["embed", "--run", str(run), "--out", str(out), str(run)], "holds no picture"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 1
        assert told in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture
def unusable(run: Path, tmp_path: Path) -> dict[str, Path]:
    """Runs that hold no encoder, one that another version trained, and one whose training diverged."""
    places = {name: tmp_path / name for name in ("warm_up", "other_version", "diverged")}
    for place in places.values():
        shutil.copytree(run, place)
    (places["warm_up"] / "encoder.safetensors").unlink()
    facts = read_json(run / "manifest.json")
    facts["settings"]["identity_encoder"]["shape_of_tomorrow"] = 1
    write_json(places["other_version"] / "manifest.json", {**facts, "git_revision": "abc123"})
    encoder = build_encoder(load_study("smoke"), 3)
    torch.nn.init.constant_(next(encoder.parameters()), float("nan"))
    save_weights(encoder, places["diverged"] / "encoder.safetensors")
    return places


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("warm_up", "holds no identity encoder, as a warm-up does not: give the run of a baseline or variant"),
        ("other_version", "use the commit that trained it, abc123"),
        ("diverged", "12 of 12 pictures features that are no numbers"),
    ],
)
def test_a_run_that_cannot_embed_says_why(unusable: dict[str, Path], name: str, told: str, gallery: Path, capsys):
    out = unusable[name].parent / "features.npz"
    with pytest.raises(SystemExit) as ended:
        main(["embed", "--run", str(unusable[name]), "--out", str(out), str(gallery)])
    assert ended.value.code == 1
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_place_that_the_system_refuses_is_told_without_a_traceback(run: Path, gallery: Path, tmp_path: Path, capsys):
    (tmp_path / "file").touch()
    for words, told in (
        (["embed", "--run", str(run), "--out", str(tmp_path / "f.npz"), str(gallery / ("x" * 300))], "too long"),
        (["embed", "--run", str(run), "--out", str(tmp_path / "file" / "f.npz"), str(gallery)], "file"),
        (["export-onnx", "--run", str(run), "--out", str(tmp_path)], "ends in .onnx"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 1
        assert told in capsys.readouterr().err


def test_dangling_links_and_pipes_are_named_and_never_opened(run: Path, gallery: Path, tmp_path: Path, capsys):
    (gallery / "lost.png").symlink_to(gallery / "absent.png")
    os.mkfifo(gallery / "pipe.png")
    with pytest.raises(SystemExit):
        main(["embed", "--run", str(run), "--out", str(tmp_path / "features.npz"), str(gallery)])
    told = capsys.readouterr().err
    assert "lost.png is a link to" in told
    assert "pipe.png is no ordinary file" in told


def test_names_that_no_table_can_hold_are_refused_before_anything_is_embedded(
    run: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    picture = next(gallery.rglob("*.png"))
    (bad := gallery / os.fsdecode(b"caf\xff.png")).write_bytes(picture.read_bytes())
    monkeypatch.setattr(folder, "embed_pictures", lambda *_: pytest.fail("pictures were embedded"))
    for words in (
        ["embed", "--out", str(tmp_path / "features.parquet"), str(gallery)],
        ["search", "--out", str(tmp_path / "out"), "--gallery", str(gallery), str(picture)],
        ["search", "--out", str(tmp_path / "out"), "--gallery", str(gallery / "first"), str(bad)],
    ):
        with pytest.raises(SystemExit):
            main([words[0], "--run", str(run), *words[1:]])
        assert r"caf\udcff.png" in capsys.readouterr().err


def test_features_are_written_under_a_name_that_is_not_utf8(tmp_path: Path):
    out = tmp_path / os.fsdecode(b"caf\xff.parquet")
    write_features(out, [Path("a.png")], torch.eye(1))
    assert out.read_bytes()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("words", [["embed"], ["search", "--gallery", "{}"]])
def test_a_gpu_that_is_not_there_is_told(run: Path, gallery: Path, tmp_path: Path, capsys, words: list[str]):
    words = [*(word.format(gallery) for word in words), str(gallery / "first" / "same.png")]
    with pytest.raises(SystemExit):
        main([*words, "--run", str(run), "--out", str(tmp_path / "f.npz"), "--device", "cuda"])
    assert "torch sees no GPU" in capsys.readouterr().err


def test_files_passed_over_are_counted(run: Path, gallery: Path, tmp_path: Path, capsys):
    (gallery / "notes.txt").touch()
    out = gallery / "features.npz"
    for _ in range(2):  # what the command wrote itself is not counted
        main(["embed", "--run", str(run), "--out", str(out), str(gallery)])
        assert f"{gallery}: other files passed over: 1; pictures end in" in capsys.readouterr().out
    (gallery / "notes.txt").unlink()
    main(["embed", "--run", str(run), "--out", str(out), str(gallery)])
    assert "passed over" not in capsys.readouterr().out
    (gallery / "first" / "notes").touch()
    query = next((gallery / "second").glob("*.png"))
    words = ["--out", str(tmp_path / "out"), "--gallery", str(gallery / "first"), str(query)]
    main(["search", "--run", str(run), *words])
    assert f"{gallery / 'first'}: other files passed over: 1" in capsys.readouterr().out


def test_a_place_that_cannot_be_written_is_told_before_anything_is_embedded(
    run: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(folder, "embed_pictures", lambda *_: pytest.fail("it is at work"))
    (tmp_path / "file").touch()
    query = str(gallery / "first" / "same.png")
    for words in (
        ["embed", "--run", str(run), "--out", str(tmp_path / "file" / "f.npz"), str(gallery)],
        ["search", "--run", str(run), "--gallery", str(gallery), "--out", str(tmp_path / "file"), query],
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert "file is a file where a folder is needed" in capsys.readouterr().err


def test_what_an_earlier_search_wrote_into_the_gallery_is_not_searched(run: Path, gallery: Path, tmp_path: Path):
    query = str(gallery / "first" / "same.png")
    for out in (gallery, tmp_path / "elsewhere"):
        main(["search", "--run", str(run), "--gallery", str(gallery), "--out", str(out), "--top", "100", query])
    assert len(pd.read_csv(tmp_path / "elsewhere" / "ranked.csv")) == 11
    (gallery / "ranked.csv").unlink()  # then it may be anybody's picture
    main(["search", "--run", str(run), "--gallery", str(gallery), "--out", str(out), "--top", "100", query])
    assert len(pd.read_csv(tmp_path / "elsewhere" / "ranked.csv")) == 12


def test_search_leaves_its_own_earlier_picture_out(run: Path, gallery: Path, capsys):
    query, out = gallery / "first" / "same.png", gallery / "found"
    for folder_out, told in ((out, False), (out, True), (gallery, False), (gallery, False)):
        words = ["--gallery", str(gallery), "--out", str(folder_out), "--top", "100", str(query)]
        main(["search", "--run", str(run), *words])
        files = pd.read_csv(folder_out / "ranked.csv")["file"]
        assert str(folder_out / "ranked.png") not in files.tolist()
        assert sum(not file.endswith("ranked.png") for file in files) == 11
        assert ("lies in the gallery" in capsys.readouterr().out) == told


def test_a_stopped_search_changes_neither_file(
    run: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    out, query = tmp_path / "out", next(gallery.rglob("*.png"))
    words = ["search", "--run", str(run), "--gallery", str(gallery), "--out", str(out), str(query)]
    main(words)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert before.keys() == {"ranked.csv", "ranked.png"}

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", stop)
    with pytest.raises(SystemExit) as ended:
        main([*words, "--top", "1"])
    assert ended.value.code == 130
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_only_the_first_queries_are_drawn_and_all_are_written(
    run: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(search, "ROWS", 3)
    queries, heights = [str(path) for path in sorted((gallery / "first").iterdir())], []
    for number in (3, 6):
        out = tmp_path / str(number)
        words = ["--gallery", str(gallery), "--out", str(out), "--top", "2", *queries[:number]]
        main(["search", "--run", str(run), *words])
        with Image.open(out / "ranked.png") as picture:
            heights.append(picture.height)
        assert len(set(pd.read_csv(out / "ranked.csv")["query"])) == number
        assert ("shows the first 3 of 6 queries" in capsys.readouterr().out) == (number == 6)
    assert heights[0] == heights[1]


def test_a_stopped_command_does_not_promise_to_go_on(
    run: Path, gallery: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "embed_pictures", stop)
    monkeypatch.setattr(onnx_file, "export_onnx", stop)
    for words in (
        ["embed", "--out", str(tmp_path / "features.npz"), str(gallery)],
        ["search", "--out", str(tmp_path / "out"), "--gallery", str(gallery), str(gallery)],
        ["export-onnx", "--out", str(tmp_path / "encoder.onnx")],
    ):
        with pytest.raises(SystemExit) as ended:
            main([words[0], "--run", str(run), *words[1:]])
        assert ended.value.code == 130
        assert capsys.readouterr().err.strip() == "stopped; the same command starts from the beginning"


def test_a_gallery_of_the_query_alone_is_refused_before_anything_is_written(
    run: Path, gallery: Path, tmp_path: Path, capsys
):
    alone = tmp_path / "alone"
    alone.mkdir()
    (picture := alone / "me.png").write_bytes(next(gallery.rglob("*.png")).read_bytes())
    with pytest.raises(SystemExit):
        main(["search", "--run", str(run), "--gallery", str(alone), "--out", str(tmp_path / "out"), str(picture)])
    assert "holds nothing but the query's own picture" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    other = next((gallery / "second").glob("*.png"))
    main(
        ["search", "--run", str(run), "--gallery", str(alone), "--out", str(tmp_path / "out"), str(picture), str(other)]
    )
    told = capsys.readouterr().out
    assert f"{picture}: {alone} holds nothing but this very picture" in told
    assert f"{other}: most similar is {picture}" in told


def test_imported_weights_are_embedded_and_those_imported_before_say_what_to_do(gallery: Path, tmp_path: Path, capsys):
    study = load_study("smoke", "fidelity=[D3]")
    export_encoder(build_encoder(study, 5), tmp_path / "id_00000020.pt")
    layout = Layout(study, root=tmp_path)
    folder = import_run(layout, "published", 0, encoder=tmp_path / "id_00000020.pt", generator=None, discriminator=None)
    words = ["embed", "--run", str(folder), "--out", str(tmp_path / "features.npz"), str(gallery)]
    main(words)
    assert len(np.load(tmp_path / "features.npz")["features"]) == 12
    manifest = read_json(folder / "manifest.json")
    del manifest["settings"]["picture"]
    write_json(folder / "manifest.json", manifest)
    with pytest.raises(SystemExit):
        main(words)
    assert "import them again under another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (None, "settings is no object"),
        ({"picture": 3}, "settings.picture: "),
        ({"picture": {"height": -5, "width": 32}}, "settings.picture.height: "),
    ],
)
def test_a_manifest_with_values_of_another_kind_is_named_with_the_field(
    settings: dict[str, Any] | None, field: str, run: Path, tmp_path: Path
):
    copy = shutil.copytree(run, tmp_path / "seed0")
    facts = read_json(copy / "manifest.json")
    write_json(copy / "manifest.json", {**facts, "settings": settings and {**facts["settings"], **settings}})
    with pytest.raises(RunError, match=rf"manifest\.json is damaged: {field}.*; copy it again"):
        load_run_encoder(copy, CPU)


def test_onnx_runtime_returns_the_same_features(run: Path, gallery: Path, tmp_path: Path):
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is an optional extra (docs/RETRIEVAL.md)")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is an optional extra (docs/RETRIEVAL.md)")
    main(["export-onnx", "--run", str(run), "--out", str(tmp_path / "encoder.onnx")])
    session = runtime.InferenceSession(tmp_path / "encoder.onnx")
    files = [str(path) for path in sorted(gallery.rglob("*.png"))]
    loaded = load_run_encoder(run, CPU)
    for count in (1, 5):  # the batch's length is free
        pictures = np.stack([read_picture(Path(file), loaded.height, loaded.width) for file in files[:count]])
        given = (pictures.transpose(0, 3, 1, 2) / 255).astype(np.float32)
        (features,) = session.run(["features"], {"pictures": given})
        assert np.allclose(features, expected(run, files[:count]), atol=1e-5)
