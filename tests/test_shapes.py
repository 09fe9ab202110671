"""The tests run with every signature of gcl_core checked: shapes of arrays, and types of all else."""

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation

from gcl_core.evaluation.picture_quality import person_psnr
from gcl_core.files import hash_file


def test_an_array_of_another_shape_is_refused_and_so_is_another_type():
    pictures, person = np.zeros((2, 4, 3, 3), np.uint8), np.ones((2, 4, 3), bool)
    person_psnr(pictures, pictures, person)
    with pytest.raises(jaxtyping.TypeCheckError):
        person_psnr(pictures, pictures[:1], person)
    with pytest.raises(BeartypeCallHintViolation):
        hash_file("a text")  # pyright: ignore[reportArgumentType]
