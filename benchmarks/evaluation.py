"""Times the evaluation against scikit-learn's average precision query by query, in one run; prints JSON.

Simulated features of 751 people seen by 6 cameras, with distractors and junk, by default as many as Market-1501 has:
python benchmarks/evaluation.py
"""

import argparse
import json

import numpy as np
import torch
from measuring import measured
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize

from gcl_core.evaluation.gallery_reranking import rerank_gallery
from gcl_core.evaluation.ranking import JUNK, evaluate_ranking, rank_distances, squared_distances
from gcl_core.seeding import numpy_rng, rng

PEOPLE, CAMERAS = 751, 6
MATCHING, JUNK_SHARE = 0.82, 0.03  # of the gallery, the rest are distractors; Market-1501 has 13,115 of 15,913
NOISE = 4.0  # times a person's centre

Ids = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # pids of queries and gallery, camids of both


def simulate(queries: int, gallery: int, size: int) -> tuple[torch.Tensor, torch.Tensor, Ids]:
    """Unit features and ids; distractors and junk are nobody's: each has a centre of its own."""
    numbers, random = numpy_rng(0, "evaluation benchmark"), rng(0, "evaluation benchmark")
    people = [numbers.integers(1, PEOPLE + 1, count) for count in (queries, gallery)]
    kind = numbers.random(gallery)
    pids = np.where(kind < MATCHING, people[1], np.where(kind < MATCHING + JUNK_SHARE, JUNK, 0))
    camids = [numbers.integers(1, CAMERAS + 1, count) for count in (queries, gallery)]
    centres = torch.randn(PEOPLE + 1, size, generator=random)
    asked, shown = (centres[torch.from_numpy(each)] for each in people)
    nobody = torch.from_numpy(np.flatnonzero(pids <= 0))
    shown[nobody] = torch.randn(len(nobody), size, generator=random)
    features = [normalize(each + NOISE * torch.randn(each.shape, generator=random)) for each in (asked, shown)]
    return features[0], features[1], (people[0], pids, camids[0], camids[1])


def kept_of(query: int, distances: np.ndarray, ids: Ids) -> tuple[np.ndarray, np.ndarray]:
    """Distances of the pictures that count for a query, and which of them match."""
    query_pids, gallery_pids, query_camids, gallery_camids = ids
    same = gallery_pids == query_pids[query]
    keep = (gallery_pids != JUNK) & ~(same & (gallery_camids == query_camids[query]))
    return distances[query, keep], same[keep]


def library_precision(distances: np.ndarray, ids: Ids, count: int) -> list[float]:
    kept = (kept_of(query, distances, ids) for query in range(count))
    return [float(average_precision_score(match, -row)) if match.any() else np.nan for row, match in kept]


def plain_ranking(distances: np.ndarray, match: np.ndarray) -> tuple[float, int]:
    """Average precision and first match of one query, by walking down the ranks; equal distances are one step."""
    order = np.argsort(distances, kind="stable")
    ordered, hits = distances[order].tolist(), match[order].tolist()
    found = since_step = first = 0
    total = 0.0
    for rank, (distance, hit) in enumerate(zip(ordered, hits, strict=True), start=1):
        found, since_step = found + hit, since_step + hit
        first = rank if hit and not first else first
        if rank == len(ordered) or ordered[rank] != distance:
            total, since_step = total + since_step * found / rank, 0
    return (total / found, first) if found else (np.nan, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=15913)
    parser.add_argument("--size", type=int, default=2048, help="features per picture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--oracle-queries", type=int, default=300, help="how many the library and the loop rank")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    count = min(options.oracle_queries, options.queries)
    query, gallery, ids = simulate(options.queries, options.gallery, options.size)
    distances = np.concatenate(list(squared_distances(query, gallery)))
    rank_distances(distances[:2], ids[0][:2], ids[1], ids[2][:2], ids[3])  # compiles
    rerank_gallery(query[:10], gallery[:50])

    ours, our_seconds, _ = measured(lambda: rank_distances(distances, *ids))
    library, library_seconds, _ = measured(lambda: library_precision(distances, ids, count))
    library_seconds *= options.queries / count
    whole, whole_seconds, whole_memory = measured(lambda: evaluate_ranking(query, gallery, *ids))
    loop = np.array([plain_ranking(*kept_of(query, distances, ids)) for query in range(count)])
    first, ranks = loop[loop[:, 1] > 0, 1], range(1, options.gallery + 1)
    few = rank_distances(distances[:count], ids[0][:count], ids[1], ids[2][:count], ids[3], topk=ranks)
    loop_cmc = np.array([(first <= k).mean() for k in ranks])
    del distances
    reranked, rerank_seconds, rerank_memory = measured(lambda: rerank_gallery(query, gallery))

    report: dict[str, object] = {key.replace("_", " "): value for key, value in vars(options).items()}
    report |= {
        "matches a query": sum(kept_of(query, reranked, ids)[1].sum() for query in range(count)) / count,
        "mAP": {"plain": whole.map, "re-ranked": rank_distances(reranked, *ids).map},
        "seconds": {
            "rank_distances": our_seconds,
            f"scikit-learn, scaled from the first {count} queries": library_seconds,
            "evaluate_ranking, from features": whole_seconds,
            "rerank_gallery": rerank_seconds,
        },
        "scikit-learn / rank_distances": library_seconds / our_seconds,
        "GB above inputs": {"evaluate_ranking": whole_memory, "rerank_gallery": rerank_memory},
        "largest differences": {
            "AP, scikit-learn": float(np.nanmax(np.abs(ours.average_precision[:count] - library))),
            "AP, loop": float(np.nanmax(np.abs(ours.average_precision[:count] - loop[:, 0]))),
            "mAP, loop": float(abs(few.map - np.nanmean(loop[:, 0]))),
            "CMC at every rank, loop": float(np.abs(loop_cmc - list(few.cmc.values())).max()),
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
