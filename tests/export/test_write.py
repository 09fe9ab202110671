"""Exports: whole or going on, bit for bit the same, never mixed, and without pixels of real people unless asked for."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from gcl_core.data.person_set import load_person_set
from gcl_core.export import write as module
from gcl_core.export.choice import Choice
from gcl_core.export.read import load_views, verify_views
from gcl_core.export.write import export_views
from gcl_core.files import RunError, read_json
from gcl_core.layout import Layout
from gcl_core.measure.drawn_people import draw_people
from gcl_core.models.weights import build_encoder, build_generator, save_weights

KILLED = """
import os, signal, sys
from pathlib import Path
from gcl_core.config import load_study
from gcl_core.export import write
from gcl_core.export.choice import Choice
from gcl_core.layout import Layout
whole, pictures = write.write_picture, []
def until_killed(picture, path):
    pictures.append(path)
    if len(pictures) > 30:  # batches have 21 views
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(picture, path)
write.write_picture = until_killed
layout = Layout(load_study("smoke", ["evaluation.batch_size=3"]), root=Path(sys.argv[1]))
write.export_views(layout, Path(sys.argv[2]), Choice())
"""


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pictures in every batch that is drawn."""
    batches: list[int] = []
    real = module.draw_views

    def count(encoder, generator, pictures, projections, **options):
        batches.append(len(pictures))
        return real(encoder, generator, pictures, projections, **options)

    monkeypatch.setattr(module, "draw_views", count)
    return batches


def test_exported_pixels_are_what_the_run_draws(layout: Layout, tmp_path: Path, drawn: list[int]):
    views = load_views(export_views(layout, tmp_path / "views", Choice()))
    people = load_person_set(layout)
    rows = people.with_mesh(people.rows("train"))
    expected = draw_people(layout, people, "gcl", 0, rows)
    found = views.of(people.index["file"][rows].tolist())
    assert np.abs(found.astype(int) - expected).max() <= 1  # batches of other sizes may round otherwise
    assert drawn == [3, 3, 1]


def test_killed_export_goes_on_and_ends_with_the_same_bytes(
    layout: Layout, study_of: Callable[..., Layout], tmp_path: Path, drawn: list[int]
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    export_views(layout, whole, Choice())
    command = [sys.executable, "-c", KILLED, str(layout.root), str(broken)]
    answer = subprocess.run(command, cwd=Path(module.__file__).parents[2], capture_output=True, text=True)
    assert answer.returncode == -9, answer.stderr
    assert not (broken / "SHA256SUMS").exists()
    with pytest.raises(RunError, match="no finished export"):
        load_views(broken)
    drawn.clear()
    export_views(layout, broken, Choice())
    assert drawn == [3, 1]  # the first batch was whole
    assert bytes_of(broken) == bytes_of(whole)


def test_finished_export_is_left_as_it_is(layout: Layout, tmp_path: Path, drawn: list[int]):
    folder = export_views(layout, tmp_path / "views", Choice(each=1))
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    drawn.clear()
    export_views(layout, folder, Choice(each=1))
    assert drawn == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


@pytest.mark.parametrize(
    ("name", "left", "batches"),
    [
        ("train/nv/45/0003_c1s1_00.png", None, [3]),
        ("train/nv/45/0006_c2s1_00.png", 10, [1]),
        ("manifest.csv", 0, []),
        ("manifest.parquet", None, []),
        ("recipe.json", -1, []),
        ("SHA256SUMS", 0, [3, 3, 1]),
        ("SHA256SUMS", 100, [3, 3, 1]),
    ],
)
def test_a_damaged_finished_export_is_made_whole_again(
    name: str, left: int | None, batches: list[int], layout: Layout, tmp_path: Path, drawn: list[int]
):
    folder = export_views(layout, tmp_path / "views", Choice())
    before = bytes_of(folder)
    (folder / name).unlink()
    if left is not None:
        (folder / name).write_bytes(before[name][:left])
    drawn.clear()
    export_views(layout, folder, Choice())
    assert drawn == batches
    assert bytes_of(folder) == before


def test_files_that_no_export_wrote_are_named_and_stay(layout: Layout, tmp_path: Path):
    folder = export_views(layout, tmp_path / "views", Choice(each=1))
    (folder / "letter.txt").write_text("dear")
    before = bytes_of(folder)
    with pytest.raises(RunError, match=r"Extra: letter\.txt\. Move away what is extra"):
        export_views(layout, folder, Choice(each=1))
    assert bytes_of(folder) == before
    (folder / "letter.txt").unlink()
    export_views(layout, folder, Choice(each=1))


def test_full_disk_leaves_nothing_half_and_the_same_command_goes_on(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_bytes, written = Path.write_bytes, []

    def until_full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) > 30:
            write_bytes(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", until_full)
        with pytest.raises(RunError, match="No space left on device"):
            export_views(layout, tmp_path / "views", Choice())
    assert not [path for path in (tmp_path / "views").rglob("*") if path.name.endswith(".tmp")]
    export_views(layout, tmp_path / "views", Choice())
    assert bytes_of(tmp_path / "views") == bytes_of(export_views(layout, tmp_path / "other", Choice()))


def test_an_input_that_fails_behind_written_pictures_is_told_as_it_is(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real, batches = module.draw_views, []

    def until_unplugged(*given, **options):
        batches.append(given)
        if len(batches) > 1:
            raise OSError(errno.EIO, "Input/output error", "pictures.npy")
        return real(*given, **options)

    with monkeypatch.context() as broken:
        broken.setattr(module, "draw_views", until_unplugged)
        with pytest.raises(OSError, match=r"Input/output error: 'pictures\.npy'"):
            export_views(layout, tmp_path / "views", Choice())
    assert list((tmp_path / "views").rglob("*.png"))
    export_views(layout, tmp_path / "views", Choice())  # nobody is at work there any more
    assert verify_views(tmp_path / "views") == 49 + 5


def test_a_file_lost_or_changed_in_a_finished_batch_is_drawn_again(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[int]
):
    folder = tmp_path / "views"
    with monkeypatch.context() as broken:
        broken.setattr(module, "_finish", lambda *_: None)
        export_views(layout, folder, Choice())
        broken.setattr(module.shutil, "rmtree", lambda *_, **__: None)
        export_views(layout, folder, Choice())
    (folder / "train/nv/45/0003_c1s1_00.png").unlink()
    (folder / "train/nv/45/0006_c2s1_00.png").write_bytes(b"something else")
    drawn.clear()
    export_views(layout, folder, Choice())
    assert drawn == [3, 1]
    assert verify_views(folder) == 49 + 5


def test_other_weights_settings_or_choices_are_never_mixed(layout: Layout, tmp_path: Path):
    folder = export_views(layout, tmp_path / "views", Choice(people=(3,)))
    before = bytes_of(folder)
    with pytest.raises(RunError, match="made of other people, yaws, and two are never mixed"):
        export_views(layout, folder, Choice(yaws=(45,)))
    run, encoder = layout.stage("gcl", 0), build_encoder(layout.study, 1)
    save_weights(build_generator(layout.study, encoder.code_dim, 1), run / "generator.safetensors")
    with pytest.raises(RunError, match="made of other weights, and"):
        export_views(layout, folder, Choice(people=(3,)))
    assert bytes_of(folder) == before
    export_views(layout, folder, Choice(people=(3,)), renew=True)
    (aside,) = tmp_path.glob("views.superseded-*")
    assert bytes_of(aside) == before
    assert bytes_of(folder)["train/nv/45/0003_c1s1_00.png"] != before["train/nv/45/0003_c1s1_00.png"]


def test_a_folder_that_holds_something_else_or_is_at_work_is_left_alone(layout: Layout, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds something else"):
        export_views(layout, tmp_path / "mine", Choice())
    assert bytes_of(tmp_path / "mine") == {"letter.txt": b"dear"}
    with FileLock(tmp_path / ".views.lock"), pytest.raises(RunError, match="another export is at work"):
        export_views(layout, tmp_path / "views", Choice())


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"made_of": 3, "pixels": true}'])
def test_a_recipe_that_is_none_is_named(content: str, layout: Layout, tmp_path: Path):
    folder = export_views(layout, tmp_path / "views", Choice(each=1, yaws=(45,)))
    (folder / "recipe.json").write_text(content)
    before = bytes_of(folder)
    with pytest.raises(RunError, match=r"recipe\.json is damaged or none of ours \(.*Name a new folder"):
        export_views(layout, folder, Choice(each=1, yaws=(45,)))
    assert bytes_of(folder) == before


def test_of_real_people_the_recipe_alone_is_written_and_pixels_when_asked_for(
    study_of: Callable[..., Layout], tmp_path: Path
):
    layout, folder = (
        study_of(tmp_path / "study", "dataset=folder", f"data_root={tmp_path / 'people'}"),
        tmp_path / "views",
    )
    words = f"smoke dataset=folder data_root={tmp_path / 'people'}"
    export_views(layout, folder, Choice(people=(3,)), words=words)
    assert sorted(bytes_of(folder)) == ["README.md", "SHA256SUMS", "manifest.csv", "manifest.parquet", "recipe.json"]
    sheet = (folder / "README.md").read_text()
    assert "The pictures are not here, on purpose" in sheet
    assert "export-views smoke dataset=folder data_root=DIR --variant gcl --seed 0 --split train" in sheet
    assert "--people 3 --naming nv --pixels --out DIR" in sheet
    assert str(tmp_path) not in sheet + (folder / "recipe.json").read_text()
    assert verify_views(folder) == 4
    views = load_views(folder)
    with pytest.raises(RunError, match="recipe and manifest alone"):
        views.pictures(views.manifest)

    export_views(layout, folder, Choice(people=(3,)), words=words, pixels=True)
    assert load_views(folder).pictures(views.manifest).shape == (14, 64, 32, 3)
    assert "not here" not in (folder / "README.md").read_text()
    before = bytes_of(folder)
    export_views(layout, folder, Choice(people=(3,)), words=words)  # drawn pixels stay
    assert bytes_of(folder) == before


def test_datasheet_names_weights_commit_and_the_command(layout: Layout, tmp_path: Path):
    folder = export_views(layout, tmp_path / "views", Choice(each=1, naming="market"), words="smoke joint.epochs=2")
    sheet, recipe = (folder / "README.md").read_text(), read_json(folder / "recipe.json")
    for word in (*recipe["made_of"]["weights"].values(), recipe["made"]["git_revision"], "No real person is shown"):
        assert word in sheet
    assert "export-views smoke joint.epochs=2 --variant gcl" in sheet
    assert "--each 1 --naming market --out DIR" in sheet
    assert sheet.count("| 4 |") == 7  # four people, one picture each, seven yaws
