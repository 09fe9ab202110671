"""The epoch with the best accuracy on the test set, as the release picks its result (D15)."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class BestEpoch:
    """Keeps the weights of the best epoch so far in `folder`, until `place` makes them the run's result."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.epoch = 0
        self._map = -1.0

    def state_dict(self) -> dict[str, Any]:
        """Return epoch and mAP, for the checkpoint."""
        return {"epoch": self.epoch, "map": self._map}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a checkpoint's best epoch; its weights are in the folder."""
        self.epoch, self._map = state_dict["epoch"], state_dict["map"]

    def offer(self, epoch: int, accuracy: dict[str, float], save: Callable[[Path], None]) -> None:
        """Save this epoch's weights if its mAP is the best; call it before the epoch's checkpoint is written."""
        if accuracy["map"] > self._map:
            self.epoch, self._map = epoch, accuracy["map"]
            save(self._folder)

    def place(self, folder: Path) -> None:
        """Move the kept files into `folder`; may be called again after a kill."""
        for path in self._folder.iterdir():
            os.replace(path, folder / path.name)
