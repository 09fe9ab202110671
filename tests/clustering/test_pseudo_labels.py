"""Pseudo labels of features: blobs, degenerate sets, the released partition, other clusterers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn.functional import normalize

from gcl_core.clustering.density import choose_eps, density_labels
from gcl_core.clustering.jaccard import JaccardDistances, jaccard_distance
from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.seeding import rng


def blobs(sizes: list[int], spread: float = 0.05) -> torch.Tensor:
    random = rng(0, "test blobs")
    centres = torch.eye(8)[: len(sizes)].repeat_interleave(torch.tensor(sizes), 0)
    return normalize(centres + spread * torch.randn(sum(sizes), 8, generator=random))


def test_three_blobs_are_three_clusters_in_any_order() -> None:
    features = blobs([20, 25, 28])
    truth = np.repeat([0, 1, 2], [20, 25, 28])
    found = cluster(features, rho=0.35)
    assert found.clusters == 3
    assert found.outliers == 0
    assert np.array_equal(found.labels, truth)

    order = torch.randperm(73, generator=rng(0, "test order"))
    moved = cluster(features[order], rho=0.35)
    assert moved.eps == pytest.approx(found.eps, abs=1e-6)
    seen: dict[int, int] = {}
    assert moved.labels.tolist() == [seen.setdefault(label, len(seen)) for label in truth[order].tolist()]


def test_no_cluster_one_cluster_and_one_picture_are_plain_results() -> None:
    nothing = cluster(torch.eye(8), k1=1, k2=1)
    assert (nothing.clusters, nothing.outliers) == (0, 8)
    assert nothing.labels.dtype == np.int64
    one = cluster(blobs([20]), rho=0.9)
    assert (one.clusters, one.outliers) == (1, 0)
    single = cluster(torch.eye(8)[:1])
    assert (single.clusters, single.outliers) == (0, 1)


def test_equal_features_are_one_cluster() -> None:
    found = cluster(torch.eye(8)[:1].repeat(25, 1))
    assert found.eps is not None
    assert np.isfinite(found.eps)
    assert (found.clusters, found.outliers) == (1, 0)


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist())) and ((a < 0) == (b < 0)).all()


def test_golden_eps_and_partition(shared: Path) -> None:
    golden = np.load(shared / "reference" / "golden_released.npz")
    released = golden["cluster.out.jaccard"]

    def sparse(dense: np.ndarray) -> JaccardDistances:
        return JaccardDistances(len(dense), csr_array(np.triu(1 - dense, k=1).astype(np.float32)))

    assert choose_eps(sparse(released), rho=0.02) == pytest.approx(float(golden["cluster.out.eps_rho0.02"]), abs=1e-5)

    features = torch.from_numpy(golden["cluster.in.features"])
    found = cluster(features, rho=0.02)
    assert same_partition(found.labels, golden["cluster.out.labels"])
    at_golden_eps = density_labels(
        jaccard_distance(features), eps=float(golden["cluster.out.eps_rho0.02"]), min_samples=4
    )
    assert same_partition(at_golden_eps, golden["cluster.out.labels"])
    # released float32 rounding leaves 2 of the 8 zero distances at up to 7e-7, and so in its mean; here all are zero
    clean = np.where(released < 1e-6, 0, released)
    assert found.eps == pytest.approx(choose_eps(sparse(clean), rho=0.02), abs=1e-5)


def test_other_methods_stand_behind_the_same_function() -> None:
    features, truth = blobs([20, 25, 28]), np.repeat([0, 1, 2], [20, 25, 28])
    for found in (cluster(features, method="hdbscan"), cluster(features, method="kmeans", kmeans_clusters=3)):
        assert np.array_equal(found.labels, truth)
        assert found.eps is None
    with pytest.raises(ValueError, match="k-means needs kmeans_clusters"):
        cluster(features, method="kmeans")


def test_a_radius_by_pairs_per_picture_is_passed_on() -> None:
    features = blobs([20, 25, 28])
    assert cluster(features, pairs_per_picture=12).eps == choose_eps(jaccard_distance(features), pairs_per_picture=12)
