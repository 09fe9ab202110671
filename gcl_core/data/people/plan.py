"""Who is seen, where and when: every picture of a set, drawn from the settings alone before anything is rendered."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gcl_core.config import PeopleSettings
from gcl_core.data.people.camera import CAMERAS
from gcl_core.data.people.wardrobe import Looks
from gcl_core.mesh.body import BODY_PARAMETERS
from gcl_core.mesh.pose import Gait
from gcl_core.seeding import numpy_rng

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
"""Where the pictures of a split lie, as in Market-1501."""

COLUMNS = ("file", "split", "pid", "camid", "yaw", "person", "phase", "stride", *BODY_PARAMETERS, "looks")
"""Of people.csv. `camid` as in the file name, from 1. `yaw` in degrees, 0 facing the camera, 90 facing image-right:
a projection or true view at angle t shows what a picture of yaw + t would show."""


@dataclass(frozen=True)
class Person:
    """One person; `kind` and `number` decide the looks, `pid` is what the set calls them (several may be 0 or -1)."""

    kind: str  # train, test, distractor or junk
    number: int
    pid: int


@dataclass(frozen=True)
class Shot:
    """One picture to be taken."""

    person: Person
    index: int  # of this person's pictures
    split: str  # train, query or gallery
    camid: int
    yaw: float
    gait: Gait
    shift: tuple[float, float]  # of the frame, as a share of the picture's width and height
    zoom: float
    exposure: float

    @property
    def name(self) -> str:
        """File name as in Market-1501: PPPP_cCsS_NNNNNN_BB.jpg."""
        pid = f"{self.person.pid:04d}" if self.person.pid >= 0 else "-1"
        frame = self.index if self.person.pid > 0 else self.person.number  # several people share 0 and -1
        return f"{pid}_c{self.camid}s1_{frame + 1:06d}_00.jpg"

    @property
    def mesh_split(self) -> Literal["train", "test"]:
        """Where the projections lie: train or test."""
        return "train" if self.split == "train" else "test"


def plan_people(settings: PeopleSettings) -> Iterator[list[Shot]]:
    """Yield each person's pictures, in the order train, test, distractors, junk."""
    first_test = settings.train_identities + 1
    for number in range(settings.train_identities):
        yield _plan_person(settings, Person("train", number, number + 1))
    for number in range(settings.test_identities):
        yield _plan_person(settings, Person("test", number, first_test + number))
    for kind, pid, count in (("distractor", 0, settings.distractors), ("junk", -1, settings.junk)):
        for number in range(count):
            yield [_plan_shot(settings, Person(kind, number, pid), 0, "gallery", number % settings.cameras, 0)]


def count_files(settings: PeopleSettings) -> dict[str, int]:
    """Return the number of pictures in each split."""
    seen = _cameras_of(settings, 0)
    queries = settings.test_identities * min(len(seen), settings.pictures_per_identity - len(seen))
    pictures = settings.test_identities * settings.pictures_per_identity
    extras = settings.distractors + settings.junk
    return {
        "train": settings.train_identities * settings.pictures_per_identity,
        "query": queries,
        "gallery": pictures - queries + extras,
    }


def describe_shot(shot: Shot, looks: Looks) -> dict[str, object]:
    """Return the row of people.csv (COLUMNS) of a picture: all that is known about it."""
    row: dict[str, object] = {
        "file": f"{FOLDERS[shot.split]}/{shot.name}",
        "split": shot.split,
        "pid": shot.person.pid,
        "camid": shot.camid,
        "yaw": round(shot.yaw, 2),
        "person": f"{shot.person.kind}/{shot.person.number}",
        "phase": round(shot.gait.phase, 4),
        "stride": round(shot.gait.stride, 2),
    }
    told = {name: value for name, value in vars(looks).items() if name not in ("body", "worn")}
    told |= vars(looks.worn) if looks.worn else {}
    return row | looks.body | {"looks": json.dumps(told)}


def _plan_person(settings: PeopleSettings, person: Person) -> list[Shot]:
    cameras = _cameras_of(settings, person.number)
    shots = []
    for index in range(settings.pictures_per_identity):
        occasion, place = divmod(index, len(cameras))
        # as in Market-1501 one picture of each camera asks; only where another is left, so that every query has a match
        asks = occasion == 0 and index + len(cameras) < settings.pictures_per_identity
        split = "train" if person.kind == "train" else "query" if asks else "gallery"
        shots.append(_plan_shot(settings, person, index, split, cameras[place], occasion))
    return shots


def _cameras_of(settings: PeopleSettings, number: int) -> list[int]:
    """Return the cameras that see a person: neighbours in the rig, so that over all people each camera sees as many."""
    count = min(settings.cameras, 4 if settings.pictures_per_identity >= 8 else 3)
    return [(number + step) % settings.cameras for step in range(count)]


def _plan_shot(settings: PeopleSettings, person: Person, index: int, split: str, camera: int, occasion: int) -> Shot:
    rng = numpy_rng(settings.seed, f"people/{person.kind}/shot", person.number, index)
    usual, other = CAMERAS[camera].yaws
    yaw = other if (occasion + person.number + camera) % 3 == 2 else usual
    yaw += float(np.clip(rng.normal(0, 8), -18, 18))
    gait = Gait(
        phase=float(rng.uniform(0, 1)),
        stride=float(rng.uniform(3, 19)),
        arm_swing=float(rng.uniform(3, 20)),
        elbow=(float(rng.uniform(4, 35)), float(rng.uniform(4, 35))),
        arm_spread=float(rng.uniform(7, 12)),
        lean=float(rng.uniform(-1, 5)),
        head_turn=float(rng.uniform(-14, 14)),
        head_nod=float(rng.uniform(-4, 9)),
    )
    shift = (float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.015, 0.015)))
    zoom = float(rng.uniform(0.96, 1.03))
    exposure = float(rng.uniform(0.96, 1.04))
    if person.kind == "junk":  # a detector's false box: part of a person, off the centre
        shift = (
            float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.45)),
            float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)),
        )
        zoom = float(rng.uniform(1.3, 2.2))
    return Shot(person, index, split, camera + 1, yaw % 360, gait, shift, zoom, exposure)
