"""Keypoints for people who have none: torchvision's Keypoint R-CNN over a dataset, written as COCO JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights, keypointrcnn_resnet50_fpn
from tqdm import tqdm

from gcl_core.data.index import read_index
from gcl_core.data.pictures import BadPictureError, read_whole
from gcl_core.device import resolve_device
from gcl_core.files import RunError, write_text
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.keypoints import Person, write_coco

BATCH = 16
PERSON = 0.5  # score below which a detection is nobody
POINT = 2.0  # heat of a point (logit) below which it is guessed
SIZE = (320, 640)  # shorter and longer side to which crops are enlarged


def detect_keypoints(root: Path, out: Path, *, dataset: str = "folder", device: str = "auto") -> tuple[int, int]:
    """Find the person in every picture of a dataset and write COCO keypoint JSON; return (found, pictures).

    Needs torchvision's weights, downloaded once into torch's hub folder. Pictures that cannot be read have nobody. Slow
    without a GPU; a killed run goes on where it was.

    Raises DataError: no such dataset; MeshError: weights not at hand and not to be had, or a killed run of another
    dataset lies there; RunError: `out` is a folder or cannot be written.
    """
    if out.is_dir():
        raise RunError(
            f"cannot write {out}: it is a folder; give --out the name of a file, as {out / 'keypoints.json'}"
        )
    files = read_index(dataset, root)["file"].tolist()
    partial, own = out.with_name(f".{out.name}.partial"), [dataset, str(root.resolve())]
    people = _earlier(partial, own)
    left = [file for file in files if file not in people]
    if left:
        where = resolve_device(device)
        model = _load(where)
        write_text(partial, "".join(json.dumps(line) + "\n" for line in (own, *people.items())))  # no line is cut
        with partial.open("a", encoding="utf-8") as stream, tqdm(total=len(left), desc="keypoints") as bar:
            for start in range(0, len(left), BATCH):
                for file, person in _detect(model, root, left[start : start + BATCH], where):
                    people[file] = person
                    stream.write(json.dumps([file, person]) + "\n")
                stream.flush()
                bar.update(min(BATCH, len(left) - start))
    found = {file: person for file in files if (person := people[file]) is not None}
    write_coco(out, found)
    partial.unlink(missing_ok=True)
    return len(found), len(files)


def _load(device: torch.device) -> nn.Module:
    weights = KeypointRCNN_ResNet50_FPN_Weights.COCO_V1
    kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    try:
        model = keypointrcnn_resnet50_fpn(weights=weights, progress=False, min_size=SIZE[0], max_size=SIZE[1])
    except (OSError, RuntimeError) as error:  # no network, no room, a broken file
        raise MeshError(
            f"the weights of Keypoint R-CNN cannot be had ({error}); they are expected in {kept}. Fetch {weights.url} "
            "on a machine with network and put it there, or bring any other estimator's keypoints as COCO JSON"
        ) from error
    return model.eval().to(device)


@torch.no_grad()
def _detect(
    model: nn.Module, root: Path, files: list[str], device: torch.device
) -> Iterator[tuple[str, Person | None]]:
    pictures: dict[str, np.ndarray] = {}
    for file in files:
        try:
            pictures[file] = read_whole(root / file)
        except BadPictureError as error:
            tqdm.write(str(error))
            yield file, None
    tensors = [
        torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div(255).to(device) for pixels in pictures.values()
    ]
    for (file, pixels), found in zip(pictures.items(), model(tensors) if tensors else [], strict=True):
        yield file, _best(found, *pixels.shape[:2])


def _best(found: dict[str, Any], height: int, width: int) -> Person | None:
    """Return the surest person of one picture (torchvision sorts by score), if one is sure enough."""
    if not len(found["scores"]) or found["scores"][0] < PERSON:
        return None
    points, heat = found["keypoints"][0].cpu().numpy(), found["keypoints_scores"][0].cpu().numpy()
    values = [
        (round(float(x), 2), round(float(y), 2), 2 if h >= POINT else 1)
        for (x, y, _), h in zip(points, heat, strict=True)
    ]
    return Person(width, height, [number for point in values for number in point], float(found["scores"][0]))


def _earlier(partial: Path, own: list[str]) -> dict[str, Person | None]:
    """Return what a killed run of `own`, the dataset and its root, had found; its last line may be cut."""
    if not partial.is_file():
        return {}
    lines: list[list[Any]] = []
    for line in partial.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    if lines and lines[0] != own:
        named = all(isinstance(word, str) for word in lines[0])  # earlier versions did not write the dataset
        where = " at ".join(lines[0]) if named else "an unnamed dataset"
        raise MeshError(
            f"{partial} holds what a killed search found in {where}, not in {' at '.join(own)}: delete it, or write to "
            "another file"
        )
    return {file: Person(*person) if person is not None else None for file, person in lines[1:]}
