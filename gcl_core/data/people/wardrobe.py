"""Who a synthetic person is: body parameters, skin, hair, garments and what is carried."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from gcl_core.mesh.body import BODY_PARAMETERS
from gcl_core.seeding import numpy_rng

COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (226, 226, 222),
    "black": (34, 34, 38),
    "grey": (128, 131, 136),
    "red": (192, 36, 42),
    "green": (28, 108, 58),
    "blue": (38, 76, 180),
    "yellow": (232, 196, 44),
    "orange": (232, 122, 36),
    "purple": (118, 52, 146),
    "pink": (232, 142, 170),
    "sky": (116, 172, 222),
    "brown": (118, 78, 50),
    "navy": (30, 40, 88),
    "jeans": (66, 96, 154),
    "beige": (196, 172, 134),
    "olive": (96, 98, 48),
    "teal": (24, 134, 134),
}
TOPS = ("white", "black", "grey", "red", "green", "blue", "yellow", "orange", "purple", "pink", "sky", "brown")
LOWERS = ("black", "navy", "jeans", "grey", "beige", "brown", "green", "red", "white", "olive")
SHOES = ("black", "white", "brown", "red", "grey")
BAGS = ("black", "red", "olive", "teal", "purple", "beige", "blue", "orange")
SKINS = ((236, 196, 170), (214, 164, 130), (176, 122, 88), (128, 84, 58), (84, 54, 40))
HAIRS = ((30, 24, 22), (62, 42, 30), (120, 78, 44), (206, 170, 104), (140, 60, 34), (150, 148, 146))

UPPERS = ("short", "long", "jacket", "long", "short", "hoodie", "jacket", "sleeveless")
PATTERNS = ("plain", "stripes", "plain", "check", "halves", "plaid", "plain", "sleeves", "bands")
LOGOS = ("none", "disc", "none", "bar", "none", "square", "none", "none")
CARRIED = ("nothing", "backpack", "nothing", "bag", "nothing", "backpack", "nothing")
LOWER_KINDS = (("trousers", "shorts", "trousers", "trousers"), ("trousers", "skirt", "shorts", "dress", "trousers"))
HAIR_STYLES = (("short", "crop", "cap", "short", "bald", "beanie"), ("long", "ponytail", "bob", "long", "bun", "cap"))


OUTERS = ("none", "coat", "none", "jacket", "none")
CUTS = ("halved", "sleeve", "back", "slanting", "print")
LEGS = ("plain", "other", "plain", "stripe")
VOLUMES = ("plain", "full", "over one shoulder")
ON_ONE_SHOULDER = ("bag", "nothing", "backpack", "nothing")


@dataclass(frozen=True)
class Worn:
    """What makes left and right, front and back differ, and stands off the body; colours as in Looks."""

    side: int  # of all that is on one side: 1 the person's left, -1 the right
    outer: str  # of OUTERS: open in front
    opening: float  # degrees, of the wider flap at its hem
    cut: str  # of CUTS: where the upper garment has the other colour
    leg: str  # of LEGS: other trousers, or a stripe, on one leg
    other: tuple[int, int, int]
    volume: str  # of VOLUMES, of the hair
    on_one_shoulder: str  # of ON_ONE_SHOULDER


@dataclass(frozen=True)
class Looks:
    """One person's appearance; colours are RGB in 0..255, lengths in metres on a body 1.83 m tall."""

    body: dict[str, float]
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    hair_style: str
    upper: str  # of UPPERS
    top: tuple[int, int, int]
    second: tuple[int, int, int]  # of the pattern, and under an open jacket
    pattern: str  # of PATTERNS
    period: float  # of the pattern
    logo: str  # of LOGOS, on the chest only
    logo_colour: tuple[int, int, int]
    lower: str  # of LOWER_KINDS
    lower_colour: tuple[int, int, int]
    lower_end: float  # height of its hem above the floor
    looseness: float  # how far the lower garment stands off the leg at its hem
    shoes: tuple[int, int, int]
    carried: str  # of CARRIED; the backpack is seen from behind and from the sides
    carried_colour: tuple[int, int, int]
    hat: tuple[int, int, int]
    worn: Worn | None = None  # None: clothes are painted on


def draw_looks(seed: int, kind: str, number: int, clothes: Literal["painted", "worn"] = "painted") -> Looks:
    """Return the looks of person `number` of a kind ("train", "test", ...), a function of these four alone.

    Attributes are stratified: in every run of people as long as a list of choices each choice comes once, so that
    one seed's people are about as easily confused as another's.
    """

    def pick(purpose: str, choices: tuple, number: int = number):
        return _pick(seed, kind, purpose, choices, number)

    rng = numpy_rng(seed, f"people/{kind}/looks", number)
    female = number % 2
    half = number // 2
    top, lower = pick("top", TOPS), pick("lower colour", LOWERS)
    others = [name for name in TOPS if name != top]
    upper, lower_kind = pick("upper", UPPERS), pick(f"lower/{female}", LOWER_KINDS[female], half)
    ends = {"trousers": (0.07, 0.1), "shorts": (0.5, 0.66), "skirt": (0.42, 0.66), "dress": (0.42, 0.62)}[lower_kind]
    second = str(rng.choice(others))
    looks = Looks(
        body=_draw_body(rng, female),
        skin=pick("skin", SKINS),
        hair=pick("hair", HAIRS),
        hair_style=pick(f"hair style/{female}", HAIR_STYLES[female], half),
        upper=upper,
        top=_shade(rng, top),
        second=_shade(rng, second),
        pattern=pick("pattern", PATTERNS),
        period=float(rng.uniform(0.1, 0.16)),
        logo="none" if upper == "jacket" else pick("logo", LOGOS),
        logo_colour=COLOURS[str(rng.choice([name for name in others if name != second]))],
        lower=lower_kind,
        lower_colour=_shade(rng, top if lower_kind == "dress" else lower),
        lower_end=float(rng.uniform(*ends)),
        looseness=float(rng.choice([0.004, 0.014, 0.03])),
        shoes=_shade(rng, pick("shoes", SHOES)),
        carried=pick("carried", CARRIED),
        carried_colour=_shade(rng, pick("carried colour", BAGS)),
        hat=_shade(rng, str(rng.choice(TOPS))),
    )
    return looks if clothes == "painted" else _put_on(looks, seed, kind, number)


def _put_on(looks: Looks, seed: int, kind: str, number: int) -> Looks:
    """Return somebody's looks with clothes that are worn: jackets hang open over a shirt."""
    rng = numpy_rng(seed, f"people/{kind}/worn", number)
    outer = "jacket" if looks.upper == "jacket" else _pick(seed, kind, "outer", OUTERS, number)
    worn = Worn(
        side=int(rng.choice([-1, 1])),
        outer=outer,
        opening=float(rng.uniform(20, 60)),
        cut=_pick(seed, kind, "cut", CUTS, number),
        leg=_pick(seed, kind, "leg", LEGS, number),
        other=_shade(rng, str(rng.choice(TOPS))),
        volume=_pick(seed, kind, "volume", VOLUMES, number),
        on_one_shoulder=_pick(seed, kind, "on one shoulder", ON_ONE_SHOULDER, number),
    )
    carried = looks.carried if worn.on_one_shoulder == "nothing" else "nothing"
    return replace(looks, worn=worn, upper=looks.upper if outer == "none" else "long", carried=carried)


def _pick(seed: int, kind: str, purpose: str, choices: tuple, number: int) -> Any:
    block, place = divmod(number, len(choices))
    return choices[numpy_rng(seed, f"people/{kind}/{purpose}", block).permutation(len(choices))[place]]


def _draw_body(rng: np.random.Generator, female: int) -> dict[str, float]:
    low = (0.8 * female, 0.62, 0.35, 0.3, 0.3, 0.35)
    high = (0.2 + 0.8 * female, 0.92, 0.7, 0.8, 0.7, 0.7)
    return {name: round(float(rng.uniform(a, b)), 4) for name, a, b in zip(BODY_PARAMETERS, low, high, strict=True)}


def _shade(rng: np.random.Generator, name: str) -> tuple[int, int, int]:
    """Return a named colour a little off, so that no two red shirts are the same red."""
    values = np.clip(np.array(COLOURS[name]) * rng.uniform(0.88, 1.1) + rng.uniform(-7, 7, 3), 8, 245)
    red, green, blue = (round(value) for value in values)
    return red, green, blue
