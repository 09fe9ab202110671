"""Finding pictures in folders as people have them, and ranking a gallery: the same lists as by a plain sort."""

import os
from pathlib import Path

import pytest
import torch

from gcl_core.files import RunError
from gcl_core.retrieval.folder import SUFFIXES, find_pictures, rank_gallery
from gcl_core.seeding import rng


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture, one in a folder below, and one in a folder beside it; nothing is opened here."""
    for name in ("gallery/a.png", "gallery/below/b.jpg", "beside/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "gallery"


def found(folder: Path, *without: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_pictures([folder], without)[0]]


def test_linked_folders_are_searched_and_each_real_folder_once(folder: Path):
    (folder / "linked").symlink_to(folder.parent / "beside")
    (folder / "twice").symlink_to(folder.parent / "beside")
    (folder / "below" / "loop").symlink_to(folder)
    (folder / "up").symlink_to(folder.parent)
    assert found(folder) == ["a.png", "below/b.jpg", "linked/c.png"]
    pictures, _ = find_pictures([folder / "linked", folder.parent / "beside", folder / "linked" / "c.png"])
    assert pictures == [folder / "linked" / "c.png"]


def test_dangling_links_and_special_files_are_found_by_suffix_and_folders_are_not_pictures(folder: Path):
    (folder / "lost.png").symlink_to(folder / "absent.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "named like one.png").mkdir()
    assert found(folder) == ["a.png", "below/b.jpg", "circle.png", "lost.png", "pipe.png"]


def test_a_folder_that_cannot_be_listed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.scandir

    def scandir(path):
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RunError, match="below cannot be searched"):
        find_pictures([folder])


def test_every_suffix_is_found_in_any_case_and_other_files_are_counted_without_hidden_ones(folder: Path):
    for suffix in SUFFIXES:
        (folder / "below" / f"x{suffix.upper()}").touch()
    for name in ("notes.txt", "no suffix", ".hidden", "below/._b.jpg", "Thumbs.db", "desktop.ini", "below/x.avif"):
        (folder / name).touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    pictures, others = find_pictures([folder, folder.parent / "beside"])
    assert {path.suffix.lower() for path in pictures} == SUFFIXES >= {".jfif", ".jpe"}
    assert others == {folder: 3}


def test_what_is_named_is_left_out_below_a_folder_but_never_the_folder_itself(folder: Path):
    (folder / "below" / "ranked.png").touch()
    assert found(folder, folder / "below") == ["a.png"]
    assert found(folder / "below", folder / "below", folder / "below" / "ranked.png") == ["b.jpg"]
    assert found(folder / "below", folder) == ["b.jpg", "ranked.png"]


def test_names_that_are_not_utf8_are_refused(folder: Path):
    bad = folder / os.fsdecode(b"caf\xff.png")
    bad.touch()
    with pytest.raises(RunError, match=r"caf\\udcff\.png.*rename"):
        find_pictures([folder])
    with pytest.raises(RunError, match="rename"):
        find_pictures([bad])


def test_more_pictures_may_be_asked_for_than_any_computer_counts():
    features = torch.eye(2)
    files = [Path("a.png"), Path("b.png")]
    assert rank_gallery(features[:1], features, files[:1], files, top=10**20)["file"].tolist() == ["b.png"]


def test_each_path_is_resolved_once_and_the_lists_are_those_of_a_plain_sort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = [tmp_path / f"{number:02d}.png" for number in range(30)]
    features = torch.nn.functional.normalize(torch.randn(30, 4, generator=rng(0, "ranking test")))
    features[7] = features[3]  # equal similarity: the gallery's order decides
    queries, real, resolved = [0, 3, 29], Path.resolve, list[Path]()

    def resolve(path: Path, strict: bool = False) -> Path:
        resolved.append(path)
        return real(path, strict)

    monkeypatch.setattr(Path, "resolve", resolve)
    found = rank_gallery(features[queries], features, [files[number] for number in queries], files, top=5)
    assert len(resolved) == len(files) + len(queries)
    similarity = (features[queries] @ features.T).tolist()
    expected = [
        str(files[place])
        for query, row in zip(queries, similarity, strict=True)
        for place in sorted(set(range(30)) - {query}, key=lambda place, row=row: (-row[place], place))[:5]
    ]
    assert found["file"].tolist() == expected
    assert found["rank"].tolist() == [1, 2, 3, 4, 5] * 3
