"""The radius and DBSCAN on sparse Jaccard distances against brute force and scikit-learn on dense ones."""

from collections import deque

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from gcl_core.clustering import density
from gcl_core.clustering.density import choose_eps, density_labels
from gcl_core.clustering.jaccard import JaccardDistances
from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.seeding import numpy_rng


def sparse(dense: np.ndarray) -> JaccardDistances:
    return JaccardDistances(len(dense), csr_array(np.triu(1 - dense, k=1).astype(np.float32)))


def random_distances(n: int, seed: int) -> np.ndarray:
    """Symmetric distances on a coarse grid, so with many ties, many ones and some zeros."""
    random = numpy_rng(seed, "test distances")
    dense = np.triu(np.minimum(1, random.integers(0, 40, (n, n)) / 16), k=1)
    return dense + dense.T


def plain_labels(dense: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """Textbook DBSCAN: grow each cluster from its first core picture."""
    n = len(dense)
    neighbours = [[j for j in range(n) if dense[i, j] <= eps and (dense[i, j] < 1)] for i in range(n)]
    labels = [-1] * n
    found = 0
    for seed in range(n):
        if labels[seed] >= 0 or len(neighbours[seed]) < min_samples:
            continue
        labels[seed] = found
        queue = deque([seed])
        while queue:
            picture = queue.popleft()
            if len(neighbours[picture]) < min_samples:
                continue
            for other in neighbours[picture]:
                if labels[other] < 0:
                    labels[other] = found
                    queue.append(other)
        found += 1
    new: dict[int, int] = {}
    return np.array([new.setdefault(label, len(new)) if label >= 0 else -1 for label in labels])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("eps", "min_samples"), [(1e-6, 2), (0.0625, 3), (0.125, 4), (0.25, 4), (1.0, 4)])
def test_labels_equal_brute_force(seed: int, eps: float, min_samples: int) -> None:
    dense = random_distances(40, seed)
    expected = plain_labels(dense, eps, min_samples)
    assert np.array_equal(density_labels(sparse(dense), eps=eps, min_samples=min_samples), expected)


@pytest.mark.parametrize("rho", [0.0001, 0.002, 0.1, 0.5, 0.9, 1.0])
def test_eps_equals_brute_force(rho: float) -> None:
    dense = random_distances(30, 1)
    values = sorted(dense[i, j] for i in range(30) for j in range(i + 1, 30) if dense[i, j] != 0)
    expected = np.mean(values[: max(1, round(rho * len(values)))])
    assert choose_eps(sparse(dense), rho=rho) == pytest.approx(expected, abs=1e-12)


def test_eps_with_nothing_left_joins_duplicates_only() -> None:
    for n in (1, 6):
        assert choose_eps(sparse(np.zeros((n, n))), rho=0.002) == 1e-6
    assert choose_eps(sparse(1 - np.eye(5)), rho=0.002) == 1
    features = torch.eye(3)[[0, 0, 0, 0, 1, 1, 1, 1, 1, 2]]
    assert cluster(features, k1=4, k2=1).labels.tolist()[-1] == -1


@pytest.mark.parametrize("rho", [0.0, -1.0, 1.5, float("nan")])
def test_rho_out_of_range(rho: float) -> None:
    with pytest.raises(ValueError, match="rho is"):
        choose_eps(sparse(np.zeros((4, 4))), rho=rho)


@pytest.mark.parametrize("min_samples", [1, 2, 4, 7])
@pytest.mark.parametrize("eps", [1e-6, 0.125, 0.4375, 0.99])
def test_labels_equal_scikit_learn(min_samples: int, eps: float) -> None:
    """Not the partition alone: border pictures too go where scikit-learn puts them."""
    for seed in range(5):
        dense = random_distances(120, seed)
        ours = density_labels(sparse(dense), eps=eps, min_samples=min_samples)
        theirs = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(dense)
        assert np.array_equal(ours < 0, theirs < 0)
        assert adjusted_rand_score(theirs, ours) == 1


def test_a_border_picture_joins_the_cluster_whose_core_comes_first() -> None:
    dense = np.ones((9, 9))
    for members in ([1, 2, 3, 4], [5, 6, 7, 8]):
        dense[np.ix_(members, members)] = 0.1
    dense[0, [1, 5]] = dense[[1, 5], 0] = 0.2  # 0 is no core picture, though it comes first
    np.fill_diagonal(dense, 0)
    assert density_labels(sparse(dense), eps=0.2, min_samples=4).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_pairs_per_picture_are_the_fraction_they_make_of_all_pairs() -> None:
    distances = sparse(np.where(random_distances(30, 2) == 0, 0.5, random_distances(30, 2)))  # no duplicates
    for pairs in (0.1, 1, 3.5, 9):
        rho = round(pairs * 30) / (30 * 29 / 2)
        assert choose_eps(distances, pairs_per_picture=pairs) == choose_eps(distances, rho=rho)
    assert choose_eps(distances, pairs_per_picture=1000) == choose_eps(distances, rho=1)
    for wrong in (0, -2, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="pairs_per_picture is"):
            choose_eps(distances, pairs_per_picture=wrong)


@pytest.mark.parametrize("rho", [0.01, 0.3, 0.9])
def test_radius_and_labels_do_not_depend_on_the_parts_they_are_found_in(
    rho: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    distances = sparse(random_distances(60, 3))
    eps = choose_eps(distances, rho=rho)
    labels = density_labels(distances, eps=eps, min_samples=3)
    monkeypatch.setattr(density, "BLOCK", 7)
    assert choose_eps(distances, rho=rho) == pytest.approx(eps, abs=1e-12)
    assert np.array_equal(density_labels(distances, eps=eps, min_samples=3), labels)


def test_equal_distances_are_their_own_mean_so_that_they_stay_within_the_radius() -> None:
    for value in np.random.default_rng(0).random(50).astype(np.float32):
        dense = np.full((7, 7), value)
        np.fill_diagonal(dense, 0)
        distances = sparse(dense)
        assert (density_labels(distances, eps=choose_eps(distances, rho=0.7), min_samples=4) == 0).all()
