"""What notebooks 05 to 07 show on the way: encodings, second views of variants, people in clusters."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gcl_core.clustering.quality import clustering_quality
from gcl_core.config import ClusteringSettings, Study
from gcl_core.data.batches import imagenet_normalize, unit_pictures, unit_projections
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.encoding import jpeg_round_trip
from gcl_core.figures import first_pictures as module
from gcl_core.figures.encodings import GAIN, encoding_gallery, encoding_reading, measured_views
from gcl_core.figures.first_pictures import first_pictures_figure, show_first_pictures
from gcl_core.figures.galleries import gallery_people, view_gallery
from gcl_core.figures.people_in_clusters import people_figure, people_in_clusters, people_reading
from gcl_core.figures.second_views import first_views, second_views
from gcl_core.layout import Layout
from gcl_core.losses.view_invariant import Partners
from gcl_core.measure.clusterings import Clustering, analyse
from gcl_core.measure.drawn_people import draw_people
from gcl_core.measure.first_step import FirstStep, TooFewError
from gcl_core.models.weights import build_encoder, build_generator, save_weights
from gcl_core.training.step import Batch

ROWS = np.array([2, 9])
MOVES = [f"augmentation.{name}" for name in ("pad", "jitter", "hue", "erase")]


@pytest.fixture
def trained(layout: Layout, write_run: Callable[..., Path]) -> Layout:
    """Return a layout whose baseline, warm-up and drawing variants have random weights, all of them different."""
    for number, stage in enumerate(["baseline", "warm_up", *layout.study.variants]):
        folder, encoder = write_run(layout, stage, 0, []), build_encoder(layout.study, number)
        save_weights(encoder, folder / "encoder.safetensors")
        save_weights(build_generator(layout.study, encoder.code_dim, number), folder / "generator.safetensors")
    return layout


def with_variants(layout: Layout, **variants: dict) -> Layout:
    study, tree = layout.study, layout.study.model_dump()
    tree["variants"] |= variants
    return Layout(type(study).model_validate(tree), root=layout.root)


def test_every_variant_shows_what_its_contrast_sees_and_equals_once(trained: Layout, people: PersonSet):
    layout = with_variants(
        trained,
        copy={"title": "copies", "view": "copied"},
        once={"title": "drawn once", "view": "drawn_once"},
        again={"title": "the same", "view": "copied", "l_vi_prime": 0.5},
        tda_again={"title": "TDA of copies", "view": "copied", "augment": True},
        long={"title": "longer", "view": "copied", "changes": {"joint.epochs": 3}},
        mild={"title": "TDA that flips alone", "view": "augmented", "changes": dict.fromkeys(MOVES, 0)},
        plain={"title": "copies, another TDA", "view": "copied", "changes": {"augmentation.flip": 0.1}},
    )
    shown = second_views(layout, people, None, ROWS)
    titles = ["GCL", "TDA control", "without the three losses", "copies", "drawn once", "TDA that flips alone"]
    assert list(shown) == titles
    assert all(views.shape == (2, 7, 64, 32, 3) for views in shown.values())
    assert (shown["copies"] == people.pictures[ROWS][:, None]).all()
    for title, stage in (("GCL", "gcl"), ("without the three losses", "no_vi"), ("drawn once", "warm_up")):
        assert (shown[title] == draw_people(layout, people, stage, 0, ROWS)).all()
    originals = np.repeat(people.pictures[ROWS][:, None], 7, axis=1)
    flipped = (shown["TDA that flips alone"] == originals[..., ::-1, :]).all(axis=(2, 3, 4))
    assert 0 < flipped.sum() < 14
    assert (flipped | (shown["TDA that flips alone"] == originals).all(axis=(2, 3, 4))).all()
    copies = shown["TDA control"].reshape(14, -1)
    assert len(np.unique(copies, axis=0)) == 14  # draws of their own
    assert second_views(layout, people, None, ROWS)["TDA control"].tolist() == shown["TDA control"].tolist()
    view_gallery(layout.study, gallery_people(people, ROWS, shown)).canvas.draw()


def started(layout: Layout, people: PersonSet) -> FirstStep:
    """A first step on rows 0 and 2, people 3 and 3, whose positives are rows 1 and 5, people 3 and 4."""
    train, rows, angles = people.rows("train"), np.array([0, 2]), np.array([45, 315])
    positive, none = torch.tensor([1, 5]), torch.zeros(2, 1, dtype=torch.int64)
    batch = Batch(
        torch.from_numpy(rows),
        Partners(positive, positive, none, none.bool()),
        imagenet_normalize(unit_pictures(people.pictures[rows], torch.device("cpu"))),
        unit_projections(people.projections[rows, 0], torch.device("cpu")),
        unit_projections(people.projections[rows, 1], torch.device("cpu")),
    )
    labels, features = torch.arange(len(train)) // 6, torch.eye(len(train))
    return FirstStep(layout, layout.study, 0, rows, angles, train, labels, features, batch)


def test_the_first_pictures_stand_beside_their_second_views_and_positives(trained: Layout, people: PersonSet):
    start = started(trained, people)
    drawn = draw_people(trained, people, "warm_up", 0, start.rows)
    assert (first_views(trained, people, None, "gcl", start) == drawn[[0, 1], [0, 6]]).all()
    figure = first_pictures_figure(trained, people, None, "gcl", start)
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    expected = [*people.pictures[[0, 2]], *drawn[[0, 1], [0, 6]], *people.pictures[[1, 5]]]
    assert all(map(np.array_equal, shown, expected))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["45°", "315°"]
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["cluster 0", "cluster 0", "same person", "another"]


def test_before_training_a_variant_shows_what_it_will_contrast(trained: Layout, people: PersonSet):
    layout = with_variants(trained, copy={"title": "copies", "view": "copied"})
    start = started(layout, people)
    assert (first_views(layout, people, None, "copy", start) == people.pictures[start.rows]).all()
    assert not (first_views(layout, people, None, "tda", start) == people.pictures[start.rows]).all()
    for name in ("copy", "tda"):  # nothing is turned
        figure = first_pictures_figure(layout, people, None, name, start)
        assert not any(axes.get_title() for axes in figure.axes)


def test_too_few_pictures_for_a_step_are_said_and_do_not_end_the_notebook(
    layout: Layout, people: PersonSet, monkeypatch: pytest.MonkeyPatch
):
    def none(*_: object, **__: object) -> FirstStep:
        raise TooFewError("0 of 16 training pictures are in a cluster")

    monkeypatch.setattr(module, "first_step", none)
    assert "0 of 16" in str(show_first_pictures(layout, people, None, "gcl", 0).data)


def test_jpeg_and_its_difference_stand_below_the_views_as_measured(trained: Layout, people: PersonSet):
    drawn = measured_views(trained, people, ROWS)
    assert (drawn == draw_people(trained, people, "gcl", 0, ROWS)).all()
    gallery = encoding_gallery(people, ROWS, drawn)
    for row, person, views in zip(ROWS, gallery, drawn, strict=True):
        lossless, jpeg, difference = (np.stack([each for each in line if each is not None]) for line in person.values())
        moved = np.abs(views.astype(int) - jpeg_round_trip(views))
        assert (lossless == [people.pictures[row], *views]).all()
        assert (jpeg == jpeg_round_trip(views)).all()
        assert moved.max() > 0
        assert (difference == np.minimum(GAIN * moved, 255)).all()
        assert list(person) == ["as PNG", "as JPEG 75", f"{GAIN} x the difference"]
    flat = np.full((1, 7, 64, 32, 3), 128, np.uint8)
    assert "moves the 7 views above by 0.0 of 255 grey levels on average" in encoding_reading(flat)


def clustered(labels: list[int], people: list[int]) -> Clustering:
    """Return a clustering with given labels; what else it holds is made up."""
    made = analyse(torch.eye(len(labels)), np.array(people), ClusteringSettings(k1=3, k2=2, rho=0.5))
    quality = clustering_quality(np.array(labels), made.identities)
    return Clustering(made.features, made.distances, made.eps, np.array(labels), made.identities, quality)


def test_splits_and_mixtures_are_counted_apart(layout: Layout):
    study: Study = layout.study
    clustering = clustered([0, 1, 2, 2, -1, 2, -1], [3, 3, 4, 5, 5, 4, 6])
    spread, mixed = people_in_clusters(clustering)
    assert spread.tolist() == [2, 1, 1, 0]  # 3 is split, 6 is in none
    assert mixed.tolist() == [1, 1, 2]  # 4 and 5 share one
    text = people_reading(study, {"gcl": clustering})
    assert (
        "**GCL**: 3 clusters, 2 of one person alone and 1 that mix people; 2 of 4 people in one cluster, 1 split"
        in text
    )
    figure = people_figure(study, {"baseline": clustering, "gcl": clustering})
    heights = [[bar.get_height() for bar in group] for axes in figure.axes for group in axes.containers]
    assert heights == [[1, 2, 1, 0, 0]] * 2 + [[2, 1, 0, 0]] * 2


def test_no_cluster_at_all_is_counted_too(layout: Layout):
    spread, mixed = people_in_clusters(clustered([-1, -1, -1, -1], [1, 1, 2, 2]))
    assert (spread.tolist(), mixed.tolist()) == ([0, 0], [])
