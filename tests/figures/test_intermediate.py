"""Intermediate objects that notebooks show: neighbourhoods, the generator's cycle, maps of the feature space."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from gcl_core.clustering.neighbour_sets import reciprocal_neighbours
from gcl_core.clustering.neighbours import exact_neighbours
from gcl_core.config import ClusteringSettings, EvaluationSettings
from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.queries import Retrieval
from gcl_core.evaluation.ranking import evaluate_ranking
from gcl_core.figures.cycle import Cycle, cycle_figure, cycle_reading, warm_up_cycle
from gcl_core.figures.feature_maps import feature_maps_figure, feature_maps_reading
from gcl_core.figures.neighbourhood import neighbourhood_figure, neighbourhood_reading, neighbourhoods
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.clusterings import Clustering, analyse
from gcl_core.measure.drawn_people import draw_people
from gcl_core.models.weights import build_discriminator, build_encoder, build_generator, save_weights
from tests.fits import assert_fits

ROWS = np.array([2, 9])


def analysed(people: PersonSet, settings: ClusteringSettings) -> Clustering:
    random = torch.Generator().manual_seed(0)
    features = functional.normalize(torch.randn(16, 6, generator=random))
    features[5] = features[4]  # equals: ties go by number
    return analyse(features, people.index["pid"].to_numpy()[people.rows("train")], settings)


@pytest.mark.parametrize("counts_self", [True, False])
def test_neighbourhoods_are_those_that_clustering_ranks_by(people: PersonSet, counts_self: bool):
    settings = ClusteringSettings(k1=6, k2=3, rho=0.2, min_samples=3, k1_counts_self=counts_self)
    clustering = analysed(people, settings)
    ranking = exact_neighbours(clustering.features, 6 if counts_self else 7)
    mutual, distances = reciprocal_neighbours(ranking).toarray() > 0, clustering.distances.dense()
    found = neighbourhoods(clustering, settings)
    assert sorted(each.place for each in found) == list(range(16))
    for each in found:
        assert each.nearest.tolist() == ranking[each.place, 1:].tolist()
        assert each.mutual.tolist() == mutual[each.place, each.nearest].tolist()
        assert each.jaccard == pytest.approx(distances[each.place, each.nearest], abs=1e-6)
        assert each.right.tolist() == (each.nearest // 4 == each.place // 4).tolist()
    assert 0 < np.mean([each.mutual.mean() for each in found]) < 1


def test_neighbours_stand_in_order_and_pale_where_not_mutual(people: PersonSet):
    settings = ClusteringSettings(k1=6, k2=3, rho=0.2, min_samples=3)
    clustering = analysed(people, settings)
    shown = neighbourhoods(clustering, settings)[:2]
    figure = neighbourhood_figure(people, clustering, shown)
    image, rows = np.asarray(figure.axes[0].images[0].get_array()), people.rows("train")
    for top, each in zip((0, 64 + 12), shown, strict=True):
        assert (image[top : top + 64, :32] == people.pictures[rows[each.place]]).all()
        for number, (place, mutual) in enumerate(zip(each.nearest, each.mutual, strict=True)):
            left = 48 + 36 * number
            cell, original = image[top : top + 64, left : left + 32], people.pictures[rows[place]]
            assert (cell == original).all() == mutual
            assert (cell >= original).all()
    assert len(figure.axes[0].patches) == 10
    text = neighbourhood_reading(clustering, shown)
    assert "2 pictures drawn at random have 10 nearest neighbours in all" in text
    assert f"Of the {sum(each.mutual.sum() for each in shown)} mutual ones" in text


def write_warm_up(layout: Layout, write_run: Callable[..., Path]) -> None:
    encoder = build_encoder(layout.study, 0)
    save_weights(encoder, write_run(layout, "baseline", 0, []) / "encoder.safetensors")
    folder = write_run(layout, "warm_up", 0, [])
    save_weights(build_generator(layout.study, encoder.code_dim, 0), folder / "generator.safetensors")
    save_weights(build_discriminator(layout.study, 0), folder / "discriminator.safetensors")


def test_cycle_turns_there_and_back_and_scores_both(layout: Layout, people: PersonSet, write_run: Callable[..., Path]):
    with pytest.raises(RunError, match="03_generator_warm_up"):
        warm_up_cycle(layout, people, 0, ROWS)
    write_warm_up(layout, write_run)
    cycle = warm_up_cycle(layout, people, 0, ROWS)
    assert (cycle.x == people.pictures[ROWS]).all()
    assert (cycle.meshes == people.projections[ROWS][:, [0, 2]]).all()
    assert (cycle.x_nv == draw_people(layout, people, "warm_up", 0, ROWS)[:, 1]).all()  # 90 degrees
    assert (cycle.x_rec != cycle.x_cyc).any()
    discriminator = build_discriminator(layout.study, 0).eval()
    with torch.no_grad():
        expected = discriminator(imagenet_normalize(unit_pictures(cycle.x_nv, torch.device("cpu"))))
    for ours, theirs in zip(cycle.drawn, expected, strict=True):
        assert ours == pytest.approx(theirs[:, 0].numpy(), abs=1e-6)
    figure = cycle_figure(cycle)
    assert len(figure.axes) == 2 * (2 + 4 + 6)
    assert_fits(figure)


def test_cycle_reading_says_how_far_and_who_is_told_apart():
    flat = {name: np.full((1, 4, 2, 3), value, np.uint8) for name, value in (("x", 100), ("x_rec", 90), ("x_nv", 50))}
    scores = [np.full((1, 2, 1), 0.75), np.full((1, 1, 1), 0.5)]
    meshes, back = np.zeros((1, 2, 4, 2), np.uint8), np.full((1, 4, 2, 3), 103, np.uint8)
    cycle = Cycle(meshes=meshes, **flat, x_cyc=back, real=scores, drawn=[each - 0.25 for each in scores])
    text = cycle_reading(cycle)
    assert "redrawn 10.0, turned by 90° and back 3.0; the turned view itself, which should differ, 50.0" in text
    assert "0.75 / 0.50, 0.50 / 0.25: D tells them apart" in text
    same = Cycle(meshes=meshes, **flat, x_cyc=back, real=scores, drawn=scores)
    assert "hardly tells them apart" in cycle_reading(same)


def test_feature_maps_leave_nobody_out_and_tell_tight_people_from_loose(layout: Layout, people: PersonSet):
    queries, gallery = (people.index.iloc[people.rows(split)].reset_index(drop=True) for split in ("query", "gallery"))
    gallery = gallery.iloc[[0, 1, 1, 1, 2, 2, 2, 3, 3, 3]].reset_index(drop=True)  # a distractor, three people thrice
    ids = [lines[name].to_numpy() for name in ("pid", "camid") for lines in (queries, gallery)]
    centres = torch.eye(4, 8)[torch.tensor([0, 1, 1, 1, 2, 2, 2, 3, 3, 3])]
    found = {}
    for stage, noise in (("baseline", 0.5), ("gcl", 0.0)):
        random = torch.Generator().manual_seed(0)
        kept = functional.normalize(centres + noise * torch.randn(10, 8, generator=random))
        result = evaluate_ranking(torch.eye(4, 8)[1:], kept, *ids)
        found[stage] = Retrieval(queries, gallery, torch.eye(4, 8)[1:], kept, result, EvaluationSettings())
    figure = feature_maps_figure(layout.study, found)
    assert [axes.get_title() for axes in figure.axes][1] == "GCL: mAP 100.0 %"
    for axes in figure.axes:
        assert sum(len(np.asarray(group.get_offsets())) for group in axes.collections) == 9
    text = feature_maps_reading(layout.study, found)
    assert "GCL 0.00 and 1.41 (ratio 0.00)" in text
    assert "baseline 0.00" not in text
