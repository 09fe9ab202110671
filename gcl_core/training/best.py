"""The epoch with the best accuracy on the test set, as the release picks its result (D15)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


class BestEpoch:
    """Keeps the weights of the best epoch so far in a folder of their own in `folder`; `place` makes them the run's.

    An epoch that is killed before its checkpoint and trained again may end elsewhere: each checkpoint finds the weights
    of the epoch that it names.
    """

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
        if self.epoch < epoch - 1:  # the last checkpoint and the one before it name the same epoch
            for path in self._folder.glob("*"):
                if path.name < self._of(self.epoch).name:
                    shutil.rmtree(path, ignore_errors=True)  # another process may be at it
        if accuracy["map"] > self._map:
            self.epoch, self._map = epoch, accuracy["map"]
            save(self._of(epoch))

    def place(self, folder: Path) -> None:
        """Move the best epoch's files into `folder` and remove all others; may be called again after a kill."""
        for path in self._of(self.epoch).glob("*"):
            os.replace(path, folder / path.name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _of(self, epoch: int) -> Path:
        return self._folder / f"epoch_{epoch:06d}"
