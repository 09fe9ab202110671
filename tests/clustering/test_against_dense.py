"""The whole clustering against a dense brute-force form in float64: distances to 1e-6, the same labels."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import normalize

from gcl_core.clustering.jaccard import jaccard_distance
from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.evaluation.features import extract_features
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.seeding import rng

COUNTS = (500, 2500)  # one block of rows, and more than one


def dense_distances(features: np.ndarray, k1: int = 30, k2: int = 6) -> np.ndarray:
    """METHOD.md §4 steps 1-5 with n x n matrices."""
    products, n = features @ features.T, len(features)
    order = products.copy()
    np.fill_diagonal(order, np.inf)
    ranking = np.argsort(-np.round(order, 9), axis=1, kind="stable")  # rounded: duplicates tie

    def reciprocal(k: int) -> np.ndarray:
        member = np.zeros((n, n), dtype=bool)
        np.put_along_axis(member, ranking[:, :k], True, axis=1)
        return member & member.T

    full, half = reciprocal(k1), reciprocal(round(k1 / 2) + 1)
    weights = np.zeros((n, n))
    for row in range(n):
        theirs = half[full[row]]
        accepted = theirs[3 * (theirs & full[row]).sum(1) > 2 * theirs.sum(1)]
        expanded = full[row] | accepted.any(0)
        value = np.exp(2 * products[row, expanded] - 2)
        weights[row, expanded] = value / value.sum()
    columns = np.ascontiguousarray(np.stack([weights[nearest[:k2]].mean(0) for nearest in ranking]).T)
    distances = np.empty((n, n))
    for row in range(n):
        used = np.flatnonzero(columns[:, row])
        shared = np.minimum(columns[used], columns[used, row, None]).sum(0)
        distances[row] = 1 - shared / (2 - shared)
    np.fill_diagonal(distances, 0)
    return distances.clip(0)


def check(features: torch.Tensor) -> None:
    dense = dense_distances(features.numpy())
    distances = jaccard_distance(features)
    assert np.abs(distances.dense() - dense).max() < 1e-6
    pairs = np.sort(dense[np.triu_indices(len(dense), 1)])
    pairs = pairs[pairs > 1e-6]
    eps = pairs[: max(1, round(0.002 * len(pairs)))].mean()
    theirs = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit_predict(dense)
    found = cluster(features)
    assert found.eps == pytest.approx(eps, abs=1e-6)
    assert found.clusters > 1
    assert np.array_equal(found.labels < 0, theirs < 0)
    assert adjusted_rand_score(theirs, found.labels) == 1


@pytest.mark.parametrize("count", COUNTS)
def test_blobs(count: int) -> None:
    random = rng(0, "test dense blobs")
    centres = torch.randn(count // 20, 64, generator=random, dtype=torch.float64).repeat_interleave(20, 0)
    check(normalize(centres + 1.2 * torch.randn(count, 64, generator=random, dtype=torch.float64)))


@pytest.mark.parametrize("count", COUNTS)
def test_duplicates(count: int) -> None:
    """Every fifth picture is there two to four times; products are exact, so that copies tie on every processor."""
    random = rng(0, "test dense duplicates")
    centres = torch.randn(count // 20, 64, generator=random, dtype=torch.float64).repeat_interleave(20, 0)
    features = normalize(centres + 1.2 * torch.randn(count, 64, generator=random, dtype=torch.float64))
    copies = torch.arange(count)
    for step in (1, 2, 3):
        copies[step :: 5 * step] = copies[::5][: len(copies[step :: 5 * step])]
    check((features[copies] * 2**14).round() / 2**14)


@pytest.mark.parametrize("count", COUNTS)
def test_real_pictures(count: int, shared: Path) -> None:
    """Features that an encoder with random weights gives to detector crops."""
    archive = shared / "data" / "cuhk03_detected_64x128_market_layout.tar"
    pictures = []
    with tarfile.open(archive) as files:
        for member in files:
            stream = files.extractfile(member) if "bounding_box_train" in member.name and member.isfile() else None
            if stream is not None and len(pictures) < count:
                with Image.open(stream) as image:
                    pictures.append(np.asarray(image.convert("RGB").resize((32, 64))))
    torch.manual_seed(0)
    encoder = IdentityEncoder(block="basic", layers=(1, 1, 1, 1), width=16, embedding=None)
    features = extract_features(encoder, np.stack(pictures), np.arange(count)).double()
    check(normalize(features - features.mean(0), dim=1))
