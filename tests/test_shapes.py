"""The tests run with the arrays in every signature of gcl_core checked."""

import jaxtyping
import numpy as np
import pytest

from gcl_core.evaluation.picture_quality import person_psnr


def test_an_array_of_another_shape_or_kind_is_refused():
    pictures, person = np.zeros((2, 4, 3, 3), np.uint8), np.ones((2, 4, 3), bool)
    person_psnr(pictures, pictures, person)
    for other in (pictures[:1], pictures.astype(np.float32)):
        with pytest.raises(jaxtyping.TypeCheckError):
            person_psnr(pictures, other, person)
