"""The K copies of a picture that JVTC trains on: CamStyle's transfers to other cameras, or our augmentation (§6.2)."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor

from gcl_core.config import AugmentationSettings, JvtcSettings
from gcl_core.data.augment import augment
from gcl_core.data.batches import unit_pictures
from gcl_core.data.index import PICTURE_SUFFIXES, DataError, some_of
from gcl_core.data.person_set import PersonSet
from gcl_core.data.pictures import read_picture
from gcl_core.data.sources import describe_source, list_source
from gcl_core.machine import cores

# §6.2: erased pixels get the values of the ImageNet mean after normalisation; before it they are these
ERASED = (0.485 * (1 + 0.229), 0.456 * (1 + 0.224), 0.406 * (1 + 0.225))
EXAMPLE = "0002_c1s1_000451_03_fake_1to2.jpg"


class CameraStyles:
    """The training pictures in the style of every camera of the training set.

    `folder` holds, named as CamStyle names them, for each training picture of camera A and every other camera B
    `<name of the picture>_fake_AtoB.jpg` (or .png), cameras numbered as in the index. Nothing else is read.
    Raises DataError, with names, when the folder or one of these files is not there.
    """

    def __init__(self, folder: Path, people: PersonSet) -> None:
        rows = people.rows("train")
        self._people, own = people, people.index["camid"].to_numpy()
        self.cameras = np.unique(own[rows])
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise DataError(
                f"{folder} cannot be read ({error.strerror or error}); baseline.jvtc.camera_styles must be the folder "
                f"of CamStyle pictures such as {EXAMPLE}, or null for traditional augmentation"
            ) from error
        there = {Path(name).stem: folder / name for name in names if Path(name).suffix.lower() in PICTURE_SUFFIXES}
        self._files: dict[tuple[int, int], Path] = {}
        missing = []
        stems = [Path(file).stem for file in people.index["file"].iloc[rows]]
        if twice := [stem for stem, count in Counter(stems).items() if count > 1]:
            raise DataError(
                f"{folder}: camera styles bear their picture's name alone, which several training pictures share: "
                f"{some_of(twice)}; set baseline.jvtc.camera_styles to null for traditional augmentation"
            )
        for row, stem in zip(rows, stems, strict=True):
            for camera in self.cameras[self.cameras != own[row]]:
                name = f"{stem}_fake_{own[row]}to{camera}"
                if name in there:
                    self._files[int(row), int(camera)] = there[name]
                else:
                    missing.append(name)
        if missing:
            raise DataError(
                f"{folder}: {len(missing)} camera styles of training pictures are missing: {some_of(missing)} (.jpg or "
                f".png); expected {len(self.cameras) - 1} a picture, named like {EXAMPLE}. Copy them there, or set "
                "baseline.jvtc.camera_styles to null for traditional augmentation"
            )

    def read(self, rows: Int64[np.ndarray, " b"], cameras: Int64[np.ndarray, "b k"]) -> UInt8[np.ndarray, "b k h w 3"]:
        """Return training pictures `rows` of the index, each in the style of k cameras; its own is the original.

        Raises BadPictureError for a file that cannot be decoded.
        """
        height, width = self._people.pictures.shape[1:3]

        def one(place: tuple[int, int]) -> np.ndarray:
            path = self._files.get(place)
            return self._people.pictures[place[0]] if path is None else read_picture(path, height, width)

        places = [(int(row), int(camera)) for row, wanted in zip(rows, cameras, strict=True) for camera in wanted]
        with ThreadPoolExecutor(min(8, cores())) as pool:  # decoding lets other threads run
            return np.stack(list(pool.map(one, places))).reshape(*cameras.shape, height, width, 3)


class Copies:
    """Draws the copies of training pictures; `note` says for the manifest what they are.

    Camera styles where the settings name a folder: K cameras at random (the original among them where its own camera
    is drawn), flipped and erased. Otherwise K copies by our augmentation, flipped and erased as those would be.
    Raises DataError as `CameraStyles`, or when there are fewer cameras than copies.
    """

    def __init__(self, people: PersonSet, settings: JvtcSettings, augmentation: AugmentationSettings) -> None:
        self._people, self._count = people, settings.copies
        self._styles: CameraStyles | None = None
        own = {name: getattr(settings, name) for name in ("flip", "erase", "erase_area", "erase_aspect")}
        self.note = "traditional augmentation (no CamStyle folder given)"
        self.plain = AugmentationSettings(pad=0, jitter=0, hue=0, **own)  # of pictures that need no more variety
        self._augmentation = augmentation.model_copy(update=own)
        if settings.camera_styles is not None:
            self._styles = CameraStyles(settings.camera_styles, people)
            self._augmentation, self.note = self.plain, f"camera styles of {len(self._styles.cameras)} cameras"
            if settings.copies > len(self._styles.cameras):
                raise DataError(
                    f"baseline.jvtc.copies is {settings.copies}, but the training pictures have only "
                    f"{len(self._styles.cameras)} cameras, hence as many styles; set copies to that or less"
                )

    def draw(
        self, rows: Int64[np.ndarray, " b"], generator: Generator, device: torch.device
    ) -> Float[Tensor, "b k 3 h w"]:
        """Return K augmented copies in [0, 1] of each of the training pictures `rows` of the index."""
        if self._styles is None:
            pixels = np.repeat(self._people.pictures[rows], self._count, axis=0)
        else:
            cameras = draw_cameras(self._styles.cameras, len(rows), self._count, generator)
            pixels = self._styles.read(rows, cameras).reshape(-1, *self._people.pictures.shape[1:])
        copies = augment(unit_pictures(pixels, device), self._augmentation, generator, fill=ERASED)
        return copies.unflatten(0, (len(rows), self._count))

    def every(self, rows: Int64[np.ndarray, " b"], device: torch.device) -> Float[Tensor, "b s 3 h w"]:
        """Return all styles in [0, 1] of each picture, as they are; without styles the picture itself (s = 1).

        Random copies are no fixed set, so they have no part in features that are averaged over styles (JVTC+).
        """
        if self._styles is None:
            return unit_pictures(self._people.pictures[rows], device).unsqueeze(1)
        cameras = np.tile(self._styles.cameras, (len(rows), 1))
        pixels = self._styles.read(rows, cameras)
        return unit_pictures(pixels.reshape(-1, *pixels.shape[2:]), device).unflatten(0, cameras.shape)


def draw_cameras(
    cameras: Int64[np.ndarray, " c"] | Sequence[int], count: int, copies: int, generator: Generator
) -> Int64[np.ndarray, "b k"]:
    """Return for each of `count` pictures the first `copies` cameras of a random permutation of its own."""
    order = torch.rand(count, len(cameras), generator=generator).argsort(dim=1)[:, :copies]
    return np.asarray(cameras)[order.numpy()]


def styles_fingerprint(folder: Path) -> str:
    """Return a hash of the names, sizes and times of a folder of camera styles, for a run's inputs.

    Raises DataError when it cannot be read.
    """
    return describe_source(list_source(folder))["sha256"]
