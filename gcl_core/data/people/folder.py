"""The folder of a set of synthetic people: what lies where, whether it is whole, and whose settings made it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gcl_core.config import PeopleSettings
from gcl_core.data.index import DataError
from gcl_core.data.people.plan import COLUMNS, FOLDERS, Shot, count_files, describe_shot, plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.files import read_json, write_json, write_text
from gcl_core.mesh.projection import YAWS, projection_folder

FORMAT = 1  # raise it when the code draws the same settings differently

Kind = Literal["picture", "mesh", "view"]


@dataclass(frozen=True)
class PeopleFolder:
    """Where a set of these settings and this picture size lies."""

    root: Path
    settings: PeopleSettings
    height: int
    width: int

    def files(self, shot: Shot) -> dict[tuple[Kind, int], Path]:
        """Return the files of a picture by (what, yaw): the picture, its eight projections, its seven true views."""
        meshes = self.root / "meshes"
        files: dict[tuple[Kind, int], Path] = {("picture", 0): self.root / FOLDERS[shot.split] / shot.name}
        files |= {("mesh", yaw): projection_folder(meshes, shot.mesh_split, yaw) / shot.name for yaw in YAWS}
        if self.settings.true_views:
            name = f"{Path(shot.name).stem}.png"
            files |= {("view", yaw): self.root / "true_views" / str(yaw) / name for yaw in YAWS if yaw}
        return files

    def missing(self, shot: Shot) -> dict[tuple[Kind, int], Path]:
        """Return those files of a picture that are not there yet."""
        return {key: path for key, path in self.files(shot).items() if not path.exists()}

    def counts(self) -> dict[Path, int]:
        """Return every folder of the set and how many files it holds when whole."""
        pictures = count_files(self.settings)
        test = pictures["query"] + pictures["gallery"]
        counts = {self.root / folder: pictures[split] for split, folder in FOLDERS.items()}
        for yaw in YAWS:
            counts[projection_folder(self.root / "meshes", "train", yaw)] = pictures["train"]
            counts[projection_folder(self.root / "meshes", "test", yaw)] = test
            if yaw and self.settings.true_views:
                counts[self.root / "true_views" / str(yaw)] = pictures["train"] + test
        return counts

    def is_whole(self) -> bool:
        """Whether a set of these very settings was finished here and no file was added or removed since."""
        if not self._facts.is_file() or read_json(self._facts) != self._described(complete=True):
            return False
        whole = all(path.is_dir() and len(os.listdir(path)) == count for path, count in self.counts().items())
        return whole and (self.root / "people.csv").is_file()

    def claim(self) -> None:
        """Begin or continue a set here: write people.json and people.csv, make the folders.

        Raises DataError: the root is a file, cannot be written, or holds other pictures, people of other settings or a
        people.json of something else.
        """
        for path in (self.root, *self.root.parents):
            if path.is_file():
                raise DataError(
                    f"{path} is a file; people are written into the folder {self.root}: choose another path"
                )
        if self._facts.is_file():
            self._compare(settings_of(self._facts))
        elif any((self.root / name).exists() for name in (*FOLDERS.values(), "meshes", "true_views")):
            raise DataError(f"{self.root} holds pictures not made here (it has no people.json); choose another folder")
        write_json(self._facts, self._described(complete=False))
        write_text(self.root / "people.csv", self._table().to_csv(index=False))
        for path in self.counts():
            path.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        """Mark the set as complete, and clear away what a killed run was writing."""
        for path in self.counts():
            for scrap in path.glob(".*.tmp"):
                scrap.unlink()
        write_json(self._facts, self._described(complete=True))

    @property
    def _facts(self) -> Path:
        return self.root / "people.json"

    def _described(self, *, complete: bool) -> dict[str, Any]:
        size = {"format": FORMAT, "height": self.height, "width": self.width}
        return {"settings": size | self.settings.model_dump(), "complete": complete}

    def _compare(self, made: dict[str, Any]) -> None:
        unsaid = dict(PeopleSettings())  # settings as they always were are not written down
        made, asked = unsaid | made, unsaid | self._described(complete=False)["settings"]
        keys = [key for key in asked if made.get(key) != asked[key]]
        if keys:
            differs = ", ".join(f"{key} is {made.get(key)} there and {asked[key]} asked for" for key in keys)
            raise DataError(
                f"{self.root} holds people made with other settings: {differs}; choose another folder or delete it"
            )

    def _table(self) -> pd.DataFrame:
        rows = []
        for shots in plan_people(self.settings):
            looks = draw_looks(self.settings.seed, shots[0].person.kind, shots[0].person.number, self.settings.clothes)
            rows += [describe_shot(shot, looks) for shot in shots]
        return pd.DataFrame(rows, columns=pd.Index(COLUMNS)).sort_values("file")


def settings_of(file: Path) -> dict[str, Any]:
    """Return the settings that a people.json tells of its set.

    Raises RunError: the file is not there or no JSON object; DataError: it is of something else.
    """
    facts = read_json(file)
    if not isinstance(facts.get("settings"), dict):
        raise DataError(
            f"{file} is none of a set of people made here (it has no object `settings`); choose another folder, or "
            "move that file away"
        )
    return facts["settings"]
