"""Ranking a gallery: the same lists as by a plain sort, with few questions to the file system."""

from pathlib import Path

import pytest
import torch

from gcl_core.retrieval.folder import rank_gallery
from gcl_core.seeding import rng


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
