"""What is known of synthetic people: their yaw, and their true picture from every other side.

For evaluation, and for upper bounds: variants that train on true views in the place of drawn ones.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int64, UInt8
from scipy.ndimage import gaussian_filter

from gcl_core.data.pictures import read_picture
from gcl_core.layout import Layout
from gcl_core.provenance import fingerprint


@dataclass(frozen=True)
class Truth:
    """Known facts of a synthetic set; `people` has one line per picture (file, yaw in degrees, body, clothes)."""

    root: Path
    people: pd.DataFrame
    height: int
    width: int

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the true views' names and sizes in bytes: that of the prepared pictures knows nothing of them."""
        angles = self.root.glob("true_views/*/")
        files = [(angle.name, each.name, each.stat().st_size) for angle in angles for each in os.scandir(angle)]
        return fingerprint(sorted(files))

    def true_view(self, file: str, yaw: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return the true picture of the person in `file`, same pose and camera, turned by 45 … 315 degrees."""
        path = self.root / "true_views" / str(yaw) / f"{Path(file).stem}.png"
        return read_picture(path, self.height, self.width)

    def true_views(
        self, files: Sequence[str], yaws: Sequence[int] | Int64[np.ndarray, " n"], *, blur: float | int = 0
    ) -> UInt8[np.ndarray, "n h w 3"]:
        """Return one true view of each file, blurred by a Gaussian of `blur` pixels of a picture 128 rows high."""
        views = np.stack([self.true_view(file, int(yaw)) for file, yaw in zip(files, yaws, strict=True)])
        if not blur:
            return views
        sigma = blur * self.height / 128
        return np.rint(gaussian_filter(views.astype(np.float32), (0, sigma, sigma, 0), mode="nearest")).astype(np.uint8)


def load_truth(layout: Layout) -> Truth | None:
    """Return the truth of a synthetic set with true views, None for real data."""
    study = layout.study
    if study.dataset != "synthetic" or not (layout.data_root / "true_views").is_dir():
        return None
    people = pd.read_csv(layout.data_root / "people.csv")
    return Truth(layout.data_root, people, study.picture.height, study.picture.width)
