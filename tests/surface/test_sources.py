"""Pictures of where pixels come from: values read back as they were, each source with its name and colour."""

import io

import numpy as np
from PIL import Image

from gcl_core.surface.sources import COLOURS, MEANINGS, NAMES, sources_png
from gcl_core.surface.views import BACKGROUND


def test_values_and_colours_are_read_back():
    sources = np.random.default_rng(0).integers(0, len(NAMES), (9, 5), dtype=np.uint8)
    with Image.open(io.BytesIO(sources_png(sources))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), sources)
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), COLOURS[sources])
    assert sources_png(sources) == sources_png(sources.copy())


def test_every_source_has_a_name_and_a_colour_that_grows_brighter():
    assert sorted(NAMES) == list(range(len(COLOURS)))
    assert set(MEANINGS) == set(NAMES) - {BACKGROUND}
    brightness = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(brightness) > 30).all()
