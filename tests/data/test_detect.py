"""The keypoint detector's command: which person counts, what is trusted, offline, and after a kill."""

import json
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from gcl_core.data.detect import detect_keypoints
from gcl_core.files import RunError
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import read_coco

FILES = ["bounding_box_train/0001_c1_0.jpg", "bounding_box_train/0001_c2_0.jpg", "query/0002_c1_0.jpg"]
FILES += ["bounding_box_test/0002_c2_0.jpg"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four grey pictures whose brightness (40, 80, 120, 160) the stand-in below reads; the third is broken."""
    for number, file in enumerate(FILES):
        path = tmp_path / "set" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((128, 64, 3), 40 * (number + 1), dtype=np.uint8)).save(path, quality=100)
    (tmp_path / "set" / FILES[2]).write_bytes(b"no picture")
    return tmp_path / "set"


class _StandIn(torch.nn.Module):
    """Answers as torchvision's detectors do: two people, sorted by score; of dark pictures none is sure."""

    seen = 0

    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        answers = []
        for picture in pictures:
            _StandIn.seen += 1
            grey = float(picture.mean()) * 255
            points = torch.arange(34.0).view(17, 2) + torch.tensor([grey / 4, 0])
            points = torch.cat([points, torch.ones(17, 1)], dim=1)
            heat = torch.linspace(0, 8, 17)
            score = 0.9 if grey > 60 else 0.3
            answers.append(
                {
                    "scores": torch.tensor([score, 0.2]),
                    "keypoints": torch.stack([points, points + 50]),
                    "keypoints_scores": torch.stack([heat, heat]),
                }
            )
        return answers


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[_StandIn]:
    monkeypatch.setattr("gcl_core.data.detect.keypointrcnn_resnet50_fpn", lambda **_: _StandIn())
    _StandIn.seen = 0
    return _StandIn


def test_the_surest_person_of_each_readable_picture_is_written(root: Path, stand_in, tmp_path: Path, capsys):
    assert detect_keypoints(root, tmp_path / "k.json", device="cpu") == (2, 4)
    found = read_coco(tmp_path / "k.json")
    assert found.files == (FILES[1], FILES[3])
    assert found.points[0, 5].tolist() == pytest.approx([20 + 10, 11], abs=1)
    assert found.points[1, 5].tolist() == pytest.approx([40 + 10, 11], abs=1)
    np.testing.assert_allclose(found.weights[0], [0.3] * 4 + [1] * 13)  # heat 0, 0.5, 1, 1.5 is below 2
    assert "0002_c1_0.jpg" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.json", "set"]


def test_a_killed_run_goes_on_where_it_was(root: Path, stand_in, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gcl_core.data.detect.BATCH", 1)
    detect_keypoints(root, tmp_path / "whole.json", device="cpu")

    def killed(*_):
        if stand_in.seen == 2:
            raise KeyboardInterrupt
        return _StandIn.forward(stand_in(), *_[1:])

    stand_in.seen = 0
    monkeypatch.setattr("gcl_core.data.detect.keypointrcnn_resnet50_fpn", lambda **_: _Killed(killed))
    with pytest.raises(KeyboardInterrupt):
        detect_keypoints(root, tmp_path / "k.json", device="cpu")
    assert not (tmp_path / "k.json").exists()
    with (tmp_path / ".k.json.partial").open("a") as stream:
        stream.write('["query/0002')  # the line that was being written
    monkeypatch.setattr("gcl_core.data.detect.keypointrcnn_resnet50_fpn", lambda **_: _StandIn())
    stand_in.seen = 0
    detect_keypoints(root, tmp_path / "k.json", device="cpu")
    assert stand_in.seen == 1
    assert json.loads((tmp_path / "k.json").read_text()) == json.loads((tmp_path / "whole.json").read_text())


def test_a_second_kill_loses_nothing_that_was_found_behind_a_cut_line(
    root: Path, stand_in, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gcl_core.data.detect.BATCH", 1)

    def killed_at(count: int):
        def answer(*given):
            if stand_in.seen == count:
                raise KeyboardInterrupt
            return _StandIn.forward(stand_in(), *given[1:])

        monkeypatch.setattr("gcl_core.data.detect.keypointrcnn_resnet50_fpn", lambda **_: _Killed(answer))
        stand_in.seen = 0
        with pytest.raises(KeyboardInterrupt):
            detect_keypoints(root, tmp_path / "k.json", device="cpu")

    killed_at(1)
    with (tmp_path / ".k.json.partial").open("a") as stream:
        stream.write('["bounding')
    killed_at(1)
    found = [json.loads(line)[0] for line in (tmp_path / ".k.json.partial").read_text().splitlines()[1:]]
    assert found == FILES[:3]


def test_what_was_found_in_another_dataset_is_not_taken_over(root: Path, stand_in, tmp_path: Path):
    partial = tmp_path / ".k.json.partial"
    partial.write_text(json.dumps(["folder", "/somewhere/else"]) + "\n" + json.dumps([FILES[0], None]) + "\n")
    before = partial.read_bytes()
    with pytest.raises(MeshError, match="folder at /somewhere/else, not in folder at"):
        detect_keypoints(root, tmp_path / "k.json", device="cpu")
    assert partial.read_bytes() == before


@pytest.mark.parametrize("person", [None, [64, 128, [1.0, 2.0, 2] * 17, 0.9]])
def test_what_an_earlier_version_left_is_refused_and_kept(root: Path, stand_in, tmp_path: Path, person):
    partial = tmp_path / ".k.json.partial"
    partial.write_text(json.dumps([FILES[0], person]) + "\n")  # it did not write which dataset that is
    before = partial.read_bytes()
    with pytest.raises(MeshError, match=r"\.k\.json\.partial holds .* an unnamed dataset, not in folder at"):
        detect_keypoints(root, tmp_path / "k.json", device="cpu")
    assert partial.read_bytes() == before
    assert stand_in.seen == 0


def test_a_folder_to_write_to_is_refused_before_the_search(root: Path, stand_in, tmp_path: Path):
    with pytest.raises(RunError, match=r"it is a folder; give --out the name of a file, as .*keypoints\.json"):
        detect_keypoints(root, tmp_path, device="cpu")
    assert stand_in.seen == 0
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_empty_file_of_a_killed_run_is_begun_anew(root: Path, stand_in, tmp_path: Path):
    (tmp_path / ".k.json.partial").touch()
    assert detect_keypoints(root, tmp_path / "k.json", device="cpu") == (2, 4)


class _Killed(torch.nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, pictures):
        return self.answer(self, pictures)


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError('invalid hash value (expected "50a")')])
def test_without_network_it_is_said_where_the_weights_belong(root, tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(MeshError, match="cannot be had") as caught:
        detect_keypoints(root, tmp_path / "k.json", device="cpu")
    assert str(tmp_path / "hub" / "hub" / "checkpoints" / "keypointrcnn_resnet50_fpn_coco") in str(caught.value)
    assert not (tmp_path / "k.json").exists()
