"""The switches of the clustering (D13, D26): what the release rounds, and whom k1 counts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gcl_core.clustering.density import choose_eps, density_labels
from gcl_core.clustering.jaccard import jaccard_distance


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    """120 unit features in twelve tight groups, so that many pairs share their neighbours."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(12, 16, generator=draw)
    return torch.nn.functional.normalize(centres.repeat(10, 1) + 0.3 * torch.randn(120, 16, generator=draw))


def rounded_distances(features: torch.Tensor, k1: int, k2: int, ranking_length: int) -> np.ndarray:
    """Naive loops in float32: rankings, k-reciprocal sets, weights, their mean, minima summed one by one (§4)."""
    n, half = len(features), round(k1 / 2) + 1
    ranking = np.argsort(-(features @ features.T).numpy(), axis=1, kind="stable")[:, :ranking_length]

    def reciprocal(row: int, k: int) -> set[int]:
        return {int(j) for j in ranking[row, :k] if row in ranking[j, :k]}

    weights = np.zeros((n, n), dtype=np.float32)
    for row in range(n):
        found = reciprocal(row, ranking_length)
        expanded = set(found)
        for candidate in found:
            theirs = reciprocal(candidate, half)
            if len(theirs & found) > 2 / 3 * len(theirs):
                expanded |= theirs
        columns = sorted(expanded)
        distance = 2 - 2 * torch.mm(features[row : row + 1], features[columns].t())
        weights[row, columns] = torch.softmax(-distance, dim=1)[0].numpy()
    mean = np.zeros_like(weights)
    for row in range(n):
        for neighbour in ranking[row, :k2]:
            mean[row] += weights[neighbour]
        mean[row] /= np.float32(k2)
    distances = np.ones((n, n), dtype=np.float32)
    for i in range(n):
        for j in range(n):
            total = np.float32(0)
            for column in np.flatnonzero((mean[i] > 0) & (mean[j] > 0)):
                total += min(mean[i, column], mean[j, column])
            distances[i, j] = max(np.float32(0), np.float32(1) - total / (np.float32(2) - total))
    np.fill_diagonal(distances, 0)
    return distances


def test_released_zero_is_decided_by_rounding(features: torch.Tensor):
    """Bit for bit the naive float32 loops; the default gives the same distances but for those below 1e-6."""
    expected = rounded_distances(features, 10, 6, 10)
    released = jaccard_distance(features, k1=10, k2=6, duplicates="exact_zero")
    np.testing.assert_array_equal(released.dense().astype(np.float32), expected)
    tiny = (expected > 0) & (expected < 1e-6)
    assert tiny.any()  # the very pairs that are duplicates by default, and no duplicates in the release
    default = jaccard_distance(features, k1=10, k2=6)
    assert (default.dense()[tiny] == 0).all()
    np.testing.assert_allclose(default.dense(), expected, atol=1e-6)
    assert choose_eps(released, rho=0.02) < choose_eps(default, rho=0.02)


def test_k1_counts_the_picture_itself_or_not(features: torch.Tensor):
    """Distances with k1 others equal the naive loops over rankings one entry longer, and differ from the release's."""
    expected = rounded_distances(features, 10, 6, 11)
    others = jaccard_distance(features, k1=10, k2=6, k1_counts_self=False, duplicates="exact_zero").dense()
    np.testing.assert_array_equal(others.astype(np.float32), expected)
    itself = jaccard_distance(features, k1=10, k2=6, duplicates="exact_zero").dense()
    assert abs(others - itself).max() > 0.01


GOLDEN = """
import sys
import numpy as np, torch
from gcl_core.clustering.jaccard import jaccard_distance
from gcl_core.clustering.pseudo_labels import choose_eps
golden = np.load(sys.argv[1])
found = jaccard_distance(torch.tensor(golden["cluster.in.features"]), k1=30, k2=6, duplicates="exact_zero")
off = ~np.eye(found.count, dtype=bool)
same = found.dense().astype(np.float32)[off] == golden["cluster.out.jaccard"][off]
print(same.mean(), choose_eps(found, rho=0.02))
"""


def test_released_distances_and_radius_bit_for_bit(shared: Path):
    """With products rounded as on the machine that made the golden outputs (MKL without AVX) every bit is theirs."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkl.is_available():
        pytest.skip("the golden outputs' rounding needs MKL and AVX-512")
    file = shared / "reference" / "golden_released.npz"
    environment = {**os.environ, "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", GOLDEN, str(file)], env=environment, capture_output=True, text=True, check=True
    )
    same, eps = map(float, answer.stdout.split())
    assert same == 1
    assert eps == pytest.approx(float(np.load(file)["cluster.out.eps_rho0.02"]), rel=1e-5)


def test_released_partition_whatever_the_rounding(shared: Path):
    golden = np.load(shared / "reference" / "golden_released.npz")
    found = jaccard_distance(torch.tensor(golden["cluster.in.features"]), k1=30, k2=6, duplicates="exact_zero")
    off = ~np.eye(found.count, dtype=bool)
    np.testing.assert_allclose(found.dense()[off], golden["cluster.out.jaccard"][off], rtol=1e-5, atol=1e-6)
    labels = density_labels(found, eps=choose_eps(found, rho=0.02), min_samples=4)
    theirs = golden["cluster.out.labels"]
    pairs = set(zip(labels.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len(set(labels.tolist())) == len(set(theirs.tolist()))
    assert ((labels < 0) == (theirs < 0)).all()
