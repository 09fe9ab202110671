"""The plan of a set of synthetic people: fair to cameras and views, every query answerable, looks stratified."""

import re
from collections import Counter

import numpy as np
import pytest

from gcl_core.config import PeopleSettings
from gcl_core.data.people.camera import CAMERAS
from gcl_core.data.people.plan import count_files, plan_people
from gcl_core.data.people.wardrobe import TOPS, UPPERS, draw_looks


def _shots(**settings) -> list:
    return [shot for shots in plan_people(PeopleSettings(**settings)) for shot in shots]


@pytest.mark.parametrize("cameras", [2, 3, 5, 8])
@pytest.mark.parametrize("pictures", [4, 5, 7, 8, 13])
def test_every_query_has_a_match_in_another_camera(cameras, pictures):
    settings = {"train_identities": 3, "test_identities": 9, "cameras": cameras, "pictures_per_identity": pictures}
    shots = _shots(**settings, distractors=3, junk=2)
    found = Counter(shot.split for shot in shots)
    assert found == count_files(PeopleSettings(**settings, distractors=3, junk=2))
    assert found["train"] == 3 * pictures
    assert len({(shot.split, shot.name) for shot in shots}) == len(shots)
    for query in (shot for shot in shots if shot.split == "query"):
        same = {shot.camid for shot in shots if shot.split == "gallery" and shot.person == query.person}
        assert same - {query.camid}
    for pid in range(1, 4):
        seen = {shot.camid for shot in shots if shot.person.pid == pid}
        assert len(seen) >= min(3, cameras)


def test_queries_are_one_picture_of_each_camera_that_saw_the_person():
    queries = Counter((s.person.pid, s.camid) for s in _shots(pictures_per_identity=8) if s.split == "query")
    assert set(queries.values()) == {1}
    assert len(queries) == 48 * 4


def test_names_are_those_of_market_1501():
    shots = _shots(train_identities=2, test_identities=2, pictures_per_identity=4, distractors=2, junk=2)
    for shot in shots:
        match = re.fullmatch(r"(-1|\d{4})_c(\d)s(\d)_(\d{6})_(\d{2})\.jpg", shot.name)
        assert match is not None
        assert (int(match[1]), int(match[2])) == (shot.person.pid, shot.camid)
    pids = {kind: {shot.person.pid for shot in shots if shot.person.kind == kind} for kind in ("train", "test")}
    assert pids == {"train": {1, 2}, "test": {3, 4}}
    assert {shot.person.pid for shot in shots if shot.person.kind == "distractor"} == {0}
    assert {shot.person.pid for shot in shots if shot.person.kind == "junk"} == {-1}


def test_the_rig_is_fair_to_cameras_and_views():
    for cameras in (4, 8):
        yaws = np.deg2rad([camera.yaws[0] for camera in CAMERAS[:cameras]])
        assert abs(np.exp(1j * yaws).sum()) < 1e-9  # no side is favoured
    shots = _shots(train_identities=40, cameras=5)
    assert len(set(Counter(shot.camid for shot in shots if shot.split == "train").values())) == 1
    for camid, camera in enumerate(CAMERAS[:5], start=1):
        turned = [[(shot.yaw - yaw + 180) % 360 - 180 for yaw in camera.yaws] for shot in shots if shot.camid == camid]
        assert (np.abs(turned).min(axis=1) <= 18).all()  # one or two yaw angles a camera
        assert 0.6 < np.mean(np.abs(turned)[:, 0] <= 18) < 0.75


def test_a_picture_does_not_depend_on_how_many_others_there_are():
    few, many = _shots(train_identities=3, test_identities=2), _shots(train_identities=9, test_identities=5)
    assert few[:48] == many[:48]
    test = [[s for s in shots if s.person.kind == "test" and s.person.number == 1] for shots in (few, many)]
    assert [s.gait for s in test[0]] == [s.gait for s in test[1]]


def test_people_differ_and_attributes_are_stratified():
    looks = [draw_looks(0, "train", number) for number in range(48)]
    assert len({look.top + look.lower_colour + look.shoes for look in looks}) == 48
    assert len({tuple(look.body.values()) for look in looks}) == 48
    for start in range(0, 48, len(UPPERS)):
        assert Counter(look.upper for look in looks[start : start + len(UPPERS)]) == Counter(UPPERS)
    shades = np.array([look.top for look in looks[: len(TOPS)]], dtype=float)
    apart = np.linalg.norm(shades[:, None] - shades[None], axis=2) + 999 * np.eye(len(TOPS))
    assert apart.min() > 20  # twelve neighbours, twelve colours
    assert looks[5] == draw_looks(0, "train", 5)
    assert looks[5] != draw_looks(1, "train", 5)
    assert looks[5] != draw_looks(0, "test", 5)


def test_worn_clothes_change_what_is_worn_and_nobody_else():
    for number in range(30):
        painted, worn = (draw_looks(0, "train", number, clothes) for clothes in ("painted", "worn"))
        assert painted.worn is None
        assert worn.worn is not None
        assert (worn.body, worn.skin, worn.top, worn.shoes) == (painted.body, painted.skin, painted.top, painted.shoes)
        assert worn.upper == (painted.upper if worn.worn.outer == "none" else "long")
    worn = [draw_looks(0, "train", number, "worn").worn for number in range(48)]
    assert 12 < sum(each.side == 1 for each in worn if each is not None) < 36


def test_settings_as_they_always_were_are_told_as_they_always_were():
    plain = PeopleSettings().model_dump()
    assert not {"clothes", "surroundings"} & set(plain)
    changed = PeopleSettings(clothes="worn", surroundings="moving")
    assert PeopleSettings.model_validate(changed.model_dump()) == changed
    assert changed.model_dump() == plain | {"clothes": "worn", "surroundings": "moving"}
