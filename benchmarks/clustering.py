"""Times the sparse Jaccard distances against a plain dense form of METHOD.md §4, in one run; prints JSON.

python benchmarks/clustering.py 3000 --threads 1
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch.nn.functional import normalize

from gcl_core.clustering.jaccard import jaccard_distance
from gcl_core.clustering.pseudo_labels import choose_eps, density_labels
from gcl_core.seeding import generator

Result = TypeVar("Result")


def people(count: int, size: int) -> torch.Tensor:
    """Unit features of people with 16 pictures each."""
    random = generator(0, "clustering benchmark")
    centres = torch.randn(-(-count // 16), size, generator=random).repeat_interleave(16, 0)[:count]
    return normalize(centres + 1.3 * torch.randn(count, size, generator=random))


def dense_distance(features: torch.Tensor, k1: int = 30, k2: int = 6) -> np.ndarray:
    """§4 steps 1-5 with n x n matrices and a loop over pictures."""
    products = (features @ features.T).numpy()
    n = len(products)
    np.fill_diagonal(products, np.inf)
    ranking = np.argsort(-products, axis=1, kind="stable")
    np.fill_diagonal(products, 1.0)

    def reciprocal(k: int) -> np.ndarray:
        member = np.zeros((n, n), dtype=bool)
        np.put_along_axis(member, ranking[:, :k], True, axis=1)
        return member & member.T

    full, core = reciprocal(k1), reciprocal(round(k1 / 2) + 1)
    weights = np.zeros((n, n), dtype=np.float32)
    for i in range(n):
        near = core[full[i]]
        accepted = near[3 * (near & full[i]).sum(1) > 2 * near.sum(1)]
        expanded = full[i] | accepted.any(0)
        value = np.exp(-(2 - 2 * products[i, expanded]))
        weights[i, expanded] = value / value.sum()
    encoding = np.stack([weights[row[:k2]].mean(0) for row in ranking])
    distances = np.empty((n, n), dtype=np.float32)
    for i in range(n):
        used = np.flatnonzero(encoding[i])
        overlap = np.minimum(encoding[:, used], encoding[i, used]).sum(1)
        distances[i] = np.maximum(0, 1 - overlap / (2 - overlap))
    return distances


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=int)
    parser.add_argument("--size", type=int, default=2048, help="features a picture")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sparse-only", action="store_true", help="leave the dense form out (it takes n² memory)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    features = people(options.pictures, options.size)

    distances, sparse_seconds = timed(lambda: jaccard_distance(features))
    eps, eps_seconds = timed(lambda: choose_eps(distances, rho=0.002))
    labels, label_seconds = timed(lambda: density_labels(distances, eps=eps, min_samples=4))
    report: dict[str, float] = {
        "pictures": options.pictures,
        "features": options.size,
        "threads": options.threads,
        "neighbours a picture": round(2 * distances.similarity.nnz / options.pictures, 1),
        "jaccard seconds": sparse_seconds,
        "eps seconds": eps_seconds,
        "dbscan seconds": label_seconds,
        "clusters": int(labels.max()) + 1,
    }
    if not options.sparse_only:
        dense, dense_seconds = timed(lambda: dense_distance(features))
        report |= {
            "dense jaccard seconds": dense_seconds,
            "dense / sparse": dense_seconds / sparse_seconds,
            "largest difference": float(np.abs(dense - distances.dense()).max()),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
