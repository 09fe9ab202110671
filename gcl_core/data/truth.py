"""What is known of synthetic people, for evaluation only: their yaw, and their true picture from every other side."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from gcl_core.data.pictures import read_picture
from gcl_core.run import Layout


@dataclass(frozen=True)
class Truth:
    """Known facts of a synthetic set; `people` has one line a picture (file, yaw in degrees, body, clothes)."""

    root: Path
    people: pd.DataFrame
    height: int
    width: int

    def true_view(self, file: str, yaw: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return the true picture of the person in `file`, same pose and camera, turned by 45 … 315 degrees."""
        path = self.root / "true_views" / str(yaw) / f"{Path(file).stem}.png"
        return read_picture(path, self.height, self.width)


def load_truth(layout: Layout) -> Truth | None:
    """Return the truth of a synthetic set with true views, None for real data."""
    study = layout.study
    if study.dataset != "synthetic" or not (layout.data_root / "true_views").is_dir():
        return None
    people = pd.read_csv(layout.data_root / "people.csv")
    return Truth(layout.data_root, people, study.picture.height, study.picture.width)
