"""One picture of a synthetic person: true views, the projection that lies on the person, garments where they belong."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from gcl_core.config import PeopleSettings
from gcl_core.data.people.figure import dress, make_mannequin
from gcl_core.data.people.picture import Moment, pose_moment, take_picture, take_projection
from gcl_core.data.people.plan import plan_people
from gcl_core.data.people.scene import make_street
from gcl_core.data.people.wardrobe import Worn, draw_looks
from gcl_core.mesh.body import load_bodies

SETTINGS = PeopleSettings(train_identities=4, pictures_per_identity=4, cameras=4, seed=2)


@pytest.fixture(scope="module")
def studio():
    skeleton, rest_body = load_bodies()
    return make_mannequin(skeleton, rest_body), rest_body, make_street(SETTINGS.seed)


@pytest.fixture(scope="module")
def moment_of(studio):
    """A function from a shot, and looks that are not the person's own, to the moment of the picture."""
    mannequin, rest_body, street = studio

    def build(
        shot,
        clothes: Literal["painted", "worn"] = "painted",
        surroundings: Literal["still", "moving"] = "still",
        **changed,
    ) -> Moment:
        looks = replace(draw_looks(SETTINGS.seed, shot.person.kind, shot.person.number, clothes), **changed)
        rest = rest_body(looks.body)
        figure = dress(mannequin, rest, looks)
        size = {"seed": SETTINGS.seed, "height": 128, "width": 64}
        return pose_moment(shot, looks, figure, rest, mannequin.skeleton, street, surroundings, **size)

    return build


@pytest.fixture(scope="module")
def shot():
    return next(plan_people(SETTINGS))[0]


def _on_green(moment: Moment) -> Moment:
    """The same before a green wall, with nothing in front and no grain."""
    green = np.broadcast_to(np.array([0, 250, 0], dtype=np.float32), moment.backdrop(0).shape)
    return replace(moment, backdrop=lambda _: green.copy(), grain=np.zeros_like(moment.grain), hidden=None)


def _person(picture: np.ndarray) -> np.ndarray:
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return green - np.maximum(red, blue) < 60


def _chest(picture: np.ndarray) -> np.ndarray:
    """Mean colour of the middle of the upper body."""
    return picture[33:40, 29:35].reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize("clothes", ["painted", "worn"])
def test_the_true_view_at_an_angle_is_the_picture_of_somebody_so_turned(moment_of, shot, clothes):
    here, turned = moment_of(shot, clothes), moment_of(replace(shot, yaw=shot.yaw + 90), clothes)
    np.testing.assert_array_equal(take_picture(here, 90), take_picture(turned))
    np.testing.assert_array_equal(take_projection(here, 90), take_projection(turned, 0))
    np.testing.assert_array_equal(take_picture(here, 0), take_picture(here))
    assert np.mean(take_picture(here, 90) != take_picture(here)) > 0.1


@pytest.mark.parametrize("turn", [0, 90, 225])
def test_the_projection_lies_on_the_person(moment_of, shot, turn):
    moment = _on_green(moment_of(replace(shot, shift=(0.0, 0.0), zoom=1.0), carried="nothing", lower="trousers"))
    person, mesh = _person(take_picture(moment, turn)), take_projection(moment, turn) < 250
    assert np.sum(person & mesh) / np.sum(person | mesh) > 0.75
    jittered = _on_green(moment_of(shot, carried="nothing", lower="trousers"))
    person = _person(take_picture(jittered, turn))
    assert np.sum(person & mesh) / np.sum(person | mesh) > 0.6  # a few percent off, as detectors are


def test_the_logo_is_seen_from_in_front_only_and_the_backpack_from_behind(moment_of, shot):
    plain = {"upper": "short", "pattern": "plain", "top": (30, 30, 200), "hair_style": "crop", "carried": "nothing"}
    front, logo = replace(shot, yaw=0.0), {"logo": "square", "logo_colour": (230, 30, 30)}
    marked = moment_of(front, **plain | logo)
    assert _chest(take_picture(marked))[0] > _chest(take_picture(marked))[2] + 60
    assert _chest(take_picture(marked, 180))[2] > _chest(take_picture(marked, 180))[0] + 60
    laden = moment_of(front, **plain | {"logo": "none", "carried": "backpack", "carried_colour": (230, 30, 30)})
    assert _chest(take_picture(laden))[2] > _chest(take_picture(laden))[0] + 60
    assert _chest(take_picture(laden, 180))[0] > _chest(take_picture(laden, 180))[2] + 60


def test_garments_change_the_colour_of_their_own_part(moment_of, shot):
    worn = {
        "upper": "short",
        "pattern": "plain",
        "logo": "none",
        "carried": "nothing",
        "lower": "trousers",
        "lower_end": 0.08,
    }
    blue, red = (20, 30, 210), (210, 30, 20)
    moment = _on_green(moment_of(replace(shot, yaw=0.0), **worn, top=blue, lower_colour=red))
    picture = take_picture(moment).astype(int)
    assert _chest(picture)[2] > _chest(picture)[0] + 60
    thighs = picture[76:90][_person(picture)[76:90]].mean(axis=0)
    assert thighs[0] > thighs[2] + 60


def test_surroundings_do_not_depend_on_the_person_or_the_camera(moment_of, shot):
    """Same draw of the street for another camera: the background cannot tell cameras apart."""
    here, elsewhere = moment_of(shot), moment_of(replace(shot, camid=shot.camid + 1))
    np.testing.assert_array_equal(here.backdrop(0), elsewhere.backdrop(0))
    another = moment_of(replace(shot, index=shot.index + 1))
    assert np.mean(another.backdrop(0) != here.backdrop(0)) > 0.9


def test_a_camera_that_walks_around_sees_other_street_and_light_but_the_same_person(moment_of, shot):
    still, moving = moment_of(shot), moment_of(shot, surroundings="moving")
    np.testing.assert_array_equal(take_picture(moving), take_picture(still))
    np.testing.assert_array_equal(moving.backdrop(360), moving.backdrop(0))
    np.testing.assert_array_equal(still.backdrop(90), still.backdrop(0))
    assert np.mean(moving.backdrop(90) != moving.backdrop(0)) > 0.9
    person, behind = (_person(take_picture(_on_green(each), 180)) for each in (still, moving))
    assert np.mean(person != behind) < 0.02
    before, after = (take_picture(_on_green(each), 180)[person].mean() for each in (still, moving))
    assert after < 0.9 * before  # the light, from in front, comes from behind now


def test_the_wall_moves_against_the_walk_and_the_ground_at_the_feet_stays(moment_of, shot):
    backdrop = moment_of(shot, surroundings="moving").backdrop
    here, soon = backdrop(0), backdrop(4)
    step = 1 + int(np.argmin([np.abs(here[:100, k:-20] - soon[:100, : -20 - k]).mean() for k in range(1, 40)]))
    assert 10 < step < 40  # pixels at twice the size: the wall goes to the left
    farther = backdrop(8)
    assert np.abs(here[:100, 2 * step : -2] - farther[:100, : -2 - 2 * step]).mean() < 4
    column = here.shape[1] // 2
    np.testing.assert_allclose(here[-1, column], soon[-1, column], atol=8)


WORN = {"outer": "none", "opening": 40.0, "leg": "plain", "volume": "plain", "on_one_shoulder": "nothing"}
PLAIN = {"upper": "long", "pattern": "plain", "top": (30, 30, 200), "logo": "none", "carried": "nothing"}


def _worn(**changed) -> Worn:
    return Worn(**{"side": 1, "cut": "halved", "other": (230, 30, 30), **WORN, **changed})


def test_left_and_right_differ_and_keep_their_sides_from_behind(moment_of, shot):
    front = replace(shot, yaw=0.0)
    for side, red_at in ((1, slice(33, 37)), (-1, slice(27, 31))):  # the left hand is at image-right
        moment = moment_of(front, **PLAIN, hair_style="crop", worn=_worn(side=side))
        for turn, columns in ((0, red_at), (180, slice(64 - red_at.stop, 64 - red_at.start))):
            red, _, blue = take_picture(moment, turn)[33:42, columns].reshape(-1, 3).mean(axis=0)
            assert red > blue + 60


def test_an_open_coat_stands_off_the_body_and_shows_the_shirt_in_front_alone(moment_of, shot):
    front, shirt = replace(shot, yaw=0.0), {**PLAIN, "second": (230, 30, 30), "hair_style": "crop", "lower": "shorts"}
    bare, coat = (moment_of(front, **shirt, worn=_worn(outer=outer, cut="print")) for outer in ("none", "coat"))
    assert _chest(take_picture(coat))[0] > _chest(take_picture(coat))[2] + 60
    behind = take_picture(replace(coat, looks=replace(coat.looks, worn=_worn(outer="coat", cut="sleeve"))), 180)
    assert _chest(behind)[2] > _chest(behind)[0] + 60
    wide = [_person(take_picture(_on_green(each), 90))[64:84].sum() for each in (bare, coat)]
    assert wide[1] > 1.2 * wide[0]


@pytest.mark.parametrize(("thing", "turn"), [("bag", 0), ("backpack", 180)])
def test_what_hangs_on_one_shoulder_is_seen_on_its_side(moment_of, shot, thing, turn):
    front = replace(shot, yaw=0.0)
    moment = moment_of(front, **PLAIN, worn=_worn(cut="print", other=PLAIN["top"], on_one_shoulder=thing))
    carried = replace(moment.looks, carried_colour=(230, 30, 30))
    picture = take_picture(_on_green(replace(moment, looks=carried)), turn).astype(int)
    red = (picture[..., 0] > picture[..., 2] + 80) & (picture[..., 0] > picture[..., 1] + 80)
    rows, columns = np.nonzero(red)
    assert len(rows) > 30
    assert (columns.mean() > 32) == (turn == 0)  # of the left hand


def test_hair_has_volume(moment_of, shot):
    flat, full = (
        moment_of(replace(shot, yaw=0.0), hair_style="short", worn=_worn(volume=volume)) for volume in ("plain", "full")
    )
    heads = [_person(take_picture(_on_green(each), 180))[:24].sum() for each in (flat, full)]
    assert heads[1] > 1.15 * heads[0]
