"""The steps to a carried view: what is seen comes first, then its mirror image, then a filling; and where none is."""

from pathlib import Path

import numpy as np
import pytest

from gcl_core.config import load_study
from gcl_core.data.person_set import PersonSet
from gcl_core.data.preparation import prepare_data
from gcl_core.data.truth import load_truth
from gcl_core.figures.surface_steps import Steps, steps_figure, steps_reading, study_steps, surface_steps
from gcl_core.layout import Layout
from gcl_core.mesh.errors import MeshError
from gcl_core.surface.carrier import Carrier
from gcl_core.surface.sources import COLOURS
from gcl_core.surface.views import BACKGROUND, FILLED, MIRRORED, SEEN, carry_views
from tests.fits import assert_fits

FEW = ("train_identities=2", "test_identities=2", "pictures_per_identity=4", "distractors=0", "junk=0")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Layout:
    """A prepared set of few people."""
    words = [*(f"people.{word}" for word in FEW), "profile=few"]
    layout = Layout(load_study("smoke", words), root=tmp_path_factory.mktemp("study"))
    prepare_data(layout, workers=1)
    return layout


@pytest.fixture(scope="module")
def people(study: Layout) -> PersonSet:
    return prepare_data(study)


@pytest.fixture(scope="module")
def steps(study: Layout, people: PersonSet) -> Steps:
    found = study_steps(study, people, load_truth(study), people.rows("train"))
    assert found is not None
    return found


def test_rows_go_from_what_is_seen_to_the_views(study: Layout, people: PersonSet, steps: Steps):
    assert list(steps.rows) == [
        *(
            "how well seen,\ndark: not at all",
            "own colours",
            "and mirrored",
            "and filled",
            "views",
            "source of pixels",
            "true views",
        )
    ]
    assert {len(row) for row in steps.rows.values()} == {8}
    row = people.rows("train")[0]
    np.testing.assert_array_equal(steps.picture, people.pictures[row])
    np.testing.assert_array_equal(steps.rows["true views"][0], people.pictures[row])
    carrier = Carrier(study, people, "known", "train")
    expected = carry_views(people.pictures[row], carrier.placement(row), carrier.topology)
    np.testing.assert_array_equal(np.stack(steps.rows["views"][1:]), expected.views)
    np.testing.assert_array_equal(steps.sources[1:], expected.sources)
    np.testing.assert_array_equal(steps.rows["source of pixels"][3], COLOURS[steps.sources[3]])


def test_each_step_colours_what_the_one_before_left_blank(steps: Steps):
    own, mirrored, filled = (
        np.stack(steps.rows[name]).astype(int) for name in ("own colours", "and mirrored", "and filled")
    )
    for source, same, other in ((SEEN, own, None), (MIRRORED, mirrored, own), (FILLED, filled, mirrored)):
        where = steps.sources == source
        assert where.sum() > 20
        far = np.abs(filled[where] - same[where]).mean()
        assert far < 30  # pixels hold a mixture
        if other is not None:
            assert np.abs(filled[where] - other[where]).mean() > 2 * far
    paper = (filled == 255).all(axis=3)
    assert paper[steps.sources == BACKGROUND].mean() > 0.9


def test_the_figure_fits_and_the_reading_tells_shares(steps: Steps):
    figure = steps_figure(steps)
    assert_fits(figure)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        *("seen", "mirrored", "filled", "background", "no colour yet")
    ]
    person = steps.sources[4][steps.sources[4] != BACKGROUND]
    assert f"at 180° {(person == SEEN).mean():.0%} seen" in steps_reading(steps)


def test_pictures_without_a_body_are_passed_over(
    study: Layout, people: PersonSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert study_steps(Layout(study.study, root=tmp_path), people, None, people.rows("train")) is None
    rows, found = people.rows("train"), Carrier.placement

    def third(self: Carrier, row: int):
        if row != rows[2]:
            raise MeshError("no body to be trusted (poor fit)")
        return found(self, row)

    monkeypatch.setattr(Carrier, "placement", third)
    steps = study_steps(study, people, None, rows)
    assert steps is not None
    np.testing.assert_array_equal(steps.picture, people.pictures[rows[2]])
    assert "true views" not in steps.rows
    with pytest.raises(MeshError, match="poor fit"):
        surface_steps(people, None, Carrier(study, people, "known", "train"), rows[0])
    assert study_steps(study, people, None, rows[:2]) is None
