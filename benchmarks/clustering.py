"""Times clustering part by part and, on demand, a plain dense form of METHOD.md §4, in one run; prints JSON.

python benchmarks/clustering.py 12936 --size 2048 --dense
python benchmarks/clustering.py 1000000 --size 256
"""

import argparse
import json
import time

import numpy as np
import torch
from measuring import measured, peak
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score
from spectra import KINDS, PICTURES, simulate

from gcl_core.clustering.density import choose_eps, density_labels
from gcl_core.clustering.jaccard import JaccardDistances, distances_by_ranking
from gcl_core.clustering.neighbours import approximate_neighbours, exact_neighbours, measured_recall
from gcl_core.clustering.pseudo_labels import cluster
from gcl_core.clustering.quality import clustering_quality

K1, K2, MIN_SAMPLES = 30, 6, 4
PAIRS = 13  # a picture, as ρ takes on Market-1501


def dense_distances(features: torch.Tensor, ranking: np.ndarray) -> np.ndarray:
    """§4 steps 2-5 with n x n matrices and a loop over pictures."""
    products = (features @ features.T).numpy()
    n = len(products)

    def reciprocal(k: int) -> np.ndarray:
        member = np.zeros((n, n), dtype=bool)
        np.put_along_axis(member, ranking[:, :k], True, axis=1)
        return member & member.T

    full, core = reciprocal(K1), reciprocal(round(K1 / 2) + 1)
    weights = np.zeros((n, n), dtype=np.float32)
    for i in range(n):
        near = core[full[i]]
        accepted = near[3 * (near & full[i]).sum(1) > 2 * near.sum(1)]
        expanded = full[i] | accepted.any(0)
        value = np.exp(-(2 - 2 * products[i, expanded]))
        weights[i, expanded] = value / value.sum()
    encoding = np.stack([weights[row[:K2]].mean(0) for row in ranking])
    distances = np.empty((n, n), dtype=np.float32)
    for i in range(n):
        used = np.flatnonzero(encoding[i])
        overlap = np.minimum(encoding[:, used], encoding[i, used]).sum(1)
        distances[i] = np.maximum(0, 1 - overlap / (2 - overlap))
    return distances


def dense_labels(distances: np.ndarray, pairs: int) -> tuple[float, np.ndarray]:
    """§4 steps 6-7: the mean of the `pairs` smallest distances above rounding, and scikit-learn's DBSCAN."""
    near = np.sort(distances[np.triu_indices(len(distances), 1)])
    eps = near[near > 1e-6][:pairs].mean(dtype=np.float64)
    return float(eps), DBSCAN(eps=eps, min_samples=MIN_SAMPLES, metric="precomputed").fit_predict(distances)


def sparse_labels(features: torch.Tensor, ranking: np.ndarray) -> tuple[JaccardDistances, float, np.ndarray, dict]:
    """Everything after the neighbours, part by part."""
    times = [time.perf_counter()]
    distances = distances_by_ranking(features, ranking, k2=K2)
    times.append(time.perf_counter())
    eps = choose_eps(distances, pairs_per_picture=PAIRS)
    times.append(time.perf_counter())
    labels = density_labels(distances, eps=eps, min_samples=MIN_SAMPLES)
    times.append(time.perf_counter())
    return distances, eps, labels, dict(zip(("jaccard", "eps", "dbscan"), np.diff(times).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=int)
    parser.add_argument("--size", type=int, default=2048, help="features per picture")
    parser.add_argument("--features", choices=KINDS, default=KINDS[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--approximate", action="store_true", help="approximate neighbours below 100,000 pictures too")
    parser.add_argument("--dense", action="store_true", help="the dense form too; it takes about 25 n² bytes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cluster(simulate(300, 64, "isotropic"), rho=0.02)  # compiles
    features = simulate(options.pictures, options.size, options.features)
    approximate = options.approximate or options.pictures > 100_000
    search = approximate_neighbours if approximate else exact_neighbours

    report: dict[str, object] = {key: value for key, value in vars(options).items()}
    ranking, searching, search_memory = measured(lambda: search(features, K1))
    (distances, eps, labels, parts), rest, _ = measured(lambda: sparse_labels(features, ranking))
    recall = measured_recall(features, ranking, seed=1) if approximate else 1.0
    pairs = distances.similarity.nnz / len(features)
    kept = (ranking, distances) if options.dense else None
    del ranking, distances  # so that the peak is that of the whole alone
    most = 1 if approximate else len(features)
    found, whole, memory = measured(
        lambda: cluster(features, k1=K1, k2=K2, pairs_per_picture=PAIRS, min_samples=MIN_SAMPLES, exact_up_to=most)
    )
    quality = clustering_quality(found.labels, np.arange(len(features)) // PICTURES)
    report |= {
        "recall": recall,
        "seconds": {"neighbours": searching, **parts, "all after the neighbours": rest, "whole": whole},
        "whole / neighbours": whole / searching,
        "GB above inputs": {"neighbours": search_memory, "whole": memory},
        "GB of the process at its peak in the whole": peak() / 1e9,
        "pairs below 1 a picture": pairs,
        "eps": eps,
        **{key: quality[key] for key in ("clusters", "outliers", "identities", "ari")},
        "same labels again": bool((labels == found.labels).all()),
    }
    if kept:
        ranking, distances = kept
        dense, jaccard, dense_memory = measured(lambda: dense_distances(features, ranking))
        (dense_eps, theirs), labelling, _ = measured(lambda: dense_labels(dense, PAIRS * len(features)))
        report |= {
            "dense seconds": {"jaccard": jaccard, "eps and dbscan": labelling},
            "dense / sparse after the neighbours": (jaccard + labelling) / rest,
            "dense GB above inputs": dense_memory,
            "largest difference": _largest_difference(dense, distances),
            "eps difference": abs(dense_eps - eps),
            "ARI of the two labellings": adjusted_rand_score(theirs, labels),
        }
    print(json.dumps(report, indent=2))


def _largest_difference(dense: np.ndarray, distances: JaccardDistances) -> float:
    """Compare rows a block at a time: the pairs that are not stored are at distance 1."""
    both, largest = distances.similarity + distances.similarity.T, 0.0
    for rows in np.array_split(np.arange(len(dense)), -(-len(dense) // 1000)):
        ours = 1 - both[rows].toarray()
        ours[np.arange(len(rows)), rows] = 0
        largest = max(largest, float(np.abs(ours - dense[rows]).max()))
    return largest


if __name__ == "__main__":
    main()
