"""HDBSCAN on sparse distances against its definition worked out on dense ones, and k-means."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import HDBSCAN
from torch.nn.functional import normalize

from gcl_core.clustering import other_clusterers
from gcl_core.clustering.jaccard import JaccardDistances, jaccard_distance
from gcl_core.clustering.numbering import number_by_first_member
from gcl_core.clustering.other_clusterers import hierarchy_labels, kmeans_labels
from gcl_core.seeding import numpy_rng, rng


def sparse(dense: np.ndarray) -> JaccardDistances:
    return JaccardDistances(len(dense), csr_array(np.triu(1 - dense, k=1)))


def grid_distances(n: int, seed: int) -> np.ndarray:
    """Symmetric distances of loose groups on a coarse grid, so with many ties, many ones and some zeros."""
    random = numpy_rng(seed, "test distances")
    group = random.integers(0, n // 8, n)
    steps = random.integers(0, 24, (n, n)) + np.where(group[:, None] == group, 0, 14 + random.integers(0, 40, (n, n)))
    dense = np.triu(np.minimum(1, steps / 16), k=1)
    return dense + dense.T


def blobs(sizes: list[int], seed: int, spread: float = 0.15) -> torch.Tensor:
    random = rng(seed, "test blobs")
    centres = torch.eye(16)[: len(sizes)].repeat_interleave(torch.tensor(sizes), 0)
    return normalize(centres + spread * torch.randn(sum(sizes), 16, generator=random))


def plain_labels(dense: np.ndarray, smallest: int) -> np.ndarray:
    """HDBSCAN by its definition, from the top: thin out all pictures until they fall apart, part by part."""
    dense = np.maximum(dense, 1e-6)
    np.fill_diagonal(dense, 0)
    core = np.sort(dense, axis=1)[:, smallest - 1] if len(dense) >= smallest else np.ones(len(dense))
    reach = np.maximum(dense, np.maximum(core[:, None], core))
    levels = np.unique(reach[np.triu_indices(len(dense), k=1)])[::-1]

    def best(members: np.ndarray, birth: float) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
        """Return how long the best choice lasts, that choice, and the best choice without the cluster itself."""
        lasted, whole = 0.0, members
        for level in levels:
            count, part = connected_components(csr_array(reach[np.ix_(members, members)] < level), directed=False)
            if count == 1:
                continue
            parts = [members[part == number] for number in range(count)]
            large = [part for part in parts if len(part) >= smallest]
            stay = large[0] if len(large) == 1 else members[:0]
            lasted += (1 / level - birth) * (len(members) - len(stay))
            members = stay
            if len(large) != 1:
                within = [best(part, 1 / level) for part in large]
                chosen = [cluster for _, clusters, _ in within for cluster in clusters]
                total = sum(value for value, _, _ in within)
                return (total, chosen, chosen) if total > lasted else (lasted, [whole], chosen)
        raise AssertionError("more than one picture, and no level at which they part")

    labels = np.full(len(dense), -1)
    if len(dense) >= smallest:
        for number, cluster in enumerate(best(np.arange(len(dense)), 0.0)[2]):
            labels[cluster] = number
    return number_by_first_member(labels)


@pytest.mark.parametrize("min_samples", [2, 3, 4, 6])
@pytest.mark.parametrize("seed", range(4))
def test_labels_equal_the_definition_on_dense_distances(seed: int, min_samples: int) -> None:
    features = blobs([6, 3, 9, 12, 5, 8, 7], seed, spread=0.25)
    features[20:26] = features[19]  # duplicates, and a few pictures like no other
    features = torch.cat([features, torch.eye(16)[8:12]])
    for distances in (jaccard_distance(features, k1=8, k2=3), sparse(grid_distances(40, seed))):
        expected = plain_labels(distances.dense(), min_samples)
        assert np.array_equal(hierarchy_labels(distances, min_samples=min_samples), expected)


@pytest.mark.filterwarnings("ignore:The default value of `copy`")
@pytest.mark.parametrize("seed", range(6))
def test_where_nothing_ties_scikit_learn_says_the_same(seed: int) -> None:
    # with min_samples 2 and no distance twice, only pictures at 1 from all would tie, and there are none
    random = numpy_rng(seed, "test groups")
    group = random.integers(0, 8, 60)
    dense = random.uniform(0.6, 0.99, (60, 60)) * np.where(group[:, None] == group, 0.6, 1)
    dense = np.triu(dense, k=1) + np.triu(dense, k=1).T
    library = HDBSCAN(min_cluster_size=2, min_samples=2, metric="precomputed").fit_predict(dense.copy())
    found = hierarchy_labels(sparse(dense), min_samples=2)
    assert found.max() > 1
    assert np.array_equal(found, number_by_first_member(library))


def test_order_of_pictures_does_not_matter() -> None:
    dense = grid_distances(60, 9)
    for min_samples in (2, 4):
        found = hierarchy_labels(sparse(dense), min_samples=min_samples)
        assert found.max() > 0
        order = numpy_rng(0, "test order").permutation(60)
        moved = hierarchy_labels(sparse(dense[np.ix_(order, order)]), min_samples=min_samples)
        assert np.array_equal(moved, number_by_first_member(found[order]))


def test_clusters_of_unlike_density_are_found_at_once() -> None:
    dense = np.ones((13, 13))
    dense[:5, :5], dense[5:10, 5:10] = 0.1, 0.8  # no one radius below 0.8 holds the second
    np.fill_diagonal(dense, 0)
    assert hierarchy_labels(sparse(dense), min_samples=4).tolist() == [0] * 5 + [1] * 5 + [-1] * 3


def test_of_nested_clusters_the_longer_lasting_are_chosen() -> None:
    def nested(inner: float, outer: float) -> np.ndarray:
        dense = np.ones((12, 12))
        dense[:8, :8] = outer
        for start in (0, 4, 8):
            dense[start : start + 4, start : start + 4] = inner
        np.fill_diagonal(dense, 0)
        return dense

    # eight pictures last 8 (1/outer - 1) as one cluster, 8 (1/inner - 1/outer) as two
    assert hierarchy_labels(sparse(nested(0.4, 0.5)), min_samples=3).tolist() == [0] * 8 + [1] * 4
    assert hierarchy_labels(sparse(nested(0.2, 0.5)), min_samples=3).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_duplicates_are_at_distance_zero_not_absent() -> None:
    dense = np.ones((9, 9))
    dense[:4, :4], dense[4:8, 4:8] = 0, 0
    np.fill_diagonal(dense, 0)
    assert hierarchy_labels(sparse(dense), min_samples=4).tolist() == [0] * 4 + [1] * 4 + [-1]


@pytest.mark.parametrize("dense", [1 - np.eye(100), np.zeros((20, 20)), np.zeros((1, 1)), np.zeros((3, 3))])
def test_without_two_parts_to_tell_apart_all_are_outliers(dense: np.ndarray) -> None:
    assert hierarchy_labels(sparse(dense), min_samples=4).tolist() == [-1] * len(dense)


def test_distances_stay_as_they_were() -> None:
    distances = sparse(grid_distances(30, 2))
    before = distances.similarity.copy()
    hierarchy_labels(distances, min_samples=3)
    assert np.array_equal(distances.similarity.data, before.data)
    assert np.array_equal(distances.similarity.indices, before.indices)


def test_one_picture_is_no_dense_region() -> None:
    with pytest.raises(ValueError, match="min_samples is 1"):
        hierarchy_labels(sparse(np.zeros((4, 4))), min_samples=1)


@pytest.mark.parametrize("large", [20_000, 10])
def test_kmeans_finds_blobs_and_has_no_outliers(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_clusterers, "LARGE", large)  # 10: by mini-batches
    order = torch.randperm(60, generator=rng(0, "test order"))
    truth = np.repeat([0, 1, 2], [20, 15, 25])[order]
    found = kmeans_labels(blobs([20, 15, 25], 0)[order], clusters=3)
    assert np.array_equal(found, number_by_first_member(truth))
    assert found.dtype == np.int64


def test_kmeans_repeats_and_takes_one_and_all() -> None:
    features = blobs([10, 10], 1)
    assert np.array_equal(kmeans_labels(features, clusters=7, seed=3), kmeans_labels(features, clusters=7, seed=3))
    assert kmeans_labels(features, clusters=1).tolist() == [0] * 20
    assert kmeans_labels(features, clusters=20).tolist() == list(range(20))


@pytest.mark.parametrize("clusters", [0, 21])
def test_kmeans_wants_as_many_pictures_as_clusters(clusters: int) -> None:
    with pytest.raises(ValueError, match=f"find {clusters} clusters among 20 pictures"):
        kmeans_labels(blobs([10, 10], 1), clusters=clusters)
