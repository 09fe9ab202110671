"""The weights kept as the best are those of the epoch that the checkpoint names, wherever a run was killed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gcl_core.training.best import BestEpoch


def save(text: str) -> Callable[[Path], None]:
    """Stand for weights that are saved."""

    def write(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "encoder.safetensors").write_text(text)

    return write


@pytest.mark.parametrize("again", [0.4, 0.7])
def test_what_a_killed_epoch_left_is_not_taken_for_the_best(again: float, tmp_path: Path):
    """Killed between the weights and the checkpoint; trained again it ends with another accuracy."""
    best = BestEpoch(tmp_path / "best")
    best.offer(1, {"map": 0.5}, save("epoch 1"))
    checkpoint = best.state_dict()
    best.offer(2, {"map": 0.6}, save("epoch 2, killed"))
    best = BestEpoch(tmp_path / "best")
    best.load_state_dict(checkpoint)
    best.offer(2, {"map": again}, save("epoch 2"))
    best.place(tmp_path)
    best.place(tmp_path)
    assert (tmp_path / "encoder.safetensors").read_text() == f"epoch {best.epoch}"
    assert best.epoch == (2 if again > 0.5 else 1)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.safetensors"]


def test_weights_stay_as_long_as_one_of_two_checkpoints_names_them(tmp_path: Path):
    best, states = BestEpoch(tmp_path / "best"), list[int]()

    def there() -> set[int]:
        return {int(path.name.removeprefix("epoch_")) for path in (tmp_path / "best").iterdir()}

    for epoch, accuracy in enumerate([0.3, 0.4, 0.2, 0.5, 0.6, 0.1, 0.1], start=1):
        best.offer(epoch, {"map": accuracy}, save(f"epoch {epoch}"))
        assert set(states[-2:]) <= there()  # before this epoch's checkpoint
        states.append(best.epoch)
    assert there() == {5}
