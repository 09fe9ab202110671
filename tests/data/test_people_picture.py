"""One picture of a synthetic person: true views, the projection that lies on the person, garments where they belong."""

from dataclasses import replace

import numpy as np
import pytest

from gcl_core.config import PeopleSettings
from gcl_core.data.people.figure import dress, make_mannequin
from gcl_core.data.people.picture import Moment, pose_moment, take_picture, take_projection
from gcl_core.data.people.plan import plan_people
from gcl_core.data.people.scene import make_street
from gcl_core.data.people.wardrobe import draw_looks
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

    def build(shot, **changed) -> Moment:
        looks = replace(draw_looks(SETTINGS.seed, shot.person.kind, shot.person.number), **changed)
        rest = rest_body(looks.body)
        figure = dress(mannequin, rest, looks)
        size = {"seed": SETTINGS.seed, "height": 128, "width": 64}
        return pose_moment(shot, looks, figure, rest, mannequin.skeleton, street, **size)

    return build


@pytest.fixture(scope="module")
def shot():
    return next(plan_people(SETTINGS))[0]


def _on_green(moment: Moment) -> Moment:
    """The same before a green wall, with nothing in front and no grain."""
    green = np.broadcast_to(np.array([0, 250, 0], dtype=np.float32), moment.backdrop.shape).copy()
    return replace(moment, backdrop=green, grain=np.zeros_like(moment.grain), hidden=None)


def _person(picture: np.ndarray) -> np.ndarray:
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return green - np.maximum(red, blue) < 60


def _chest(picture: np.ndarray) -> np.ndarray:
    """Mean colour of the middle of the upper body."""
    return picture[33:40, 29:35].reshape(-1, 3).mean(axis=0)


def test_the_true_view_at_an_angle_is_the_picture_of_somebody_so_turned(moment_of, shot):
    here, turned = moment_of(shot), moment_of(replace(shot, yaw=shot.yaw + 90))
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
    np.testing.assert_array_equal(here.backdrop, elsewhere.backdrop)
    another = moment_of(replace(shot, index=shot.index + 1))
    assert np.mean(another.backdrop != here.backdrop) > 0.9
