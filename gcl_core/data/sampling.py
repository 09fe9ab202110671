"""PK sampling: batches of P classes with K pictures of each."""

import numpy as np
from jaxtyping import Int64

from gcl_core.seeding import numpy_rng


def pk_batches(
    labels: Int64[np.ndarray, " n"],
    *,
    classes: int,
    instances: int,
    iterations: int | None,
    seed: int,
    purpose: str,
    epoch: int,
) -> list[Int64[np.ndarray, " b"]]:
    """Return an epoch's batches of places in `labels`: P = `classes` different labels, K = `instances` places of each.

    Labels come in passes over all of them in random order, so that none waits long; a label's places are drawn without
    replacement where it has K of them. -1 (outlier) is no label. Fewer than P labels make smaller batches, fewer than
    two none. `iterations` batches, or (None) as many as the labelled places fill, at least one.
    The draw depends on (seed, purpose, epoch) and the labels alone.
    """
    members = {label: np.flatnonzero(labels == label) for label in np.unique(labels[labels >= 0]).tolist()}
    if len(members) < 2:
        return []
    size = min(classes, len(members))
    count = max(1, int((labels >= 0).sum()) // (size * instances)) if iterations is None else iterations
    random = numpy_rng(seed, purpose, epoch)
    waiting: list[int] = []
    batches = []
    for _ in range(count):
        if len(waiting) < size:  # the rest of a pass and the start of the next, no label twice
            fresh = random.permutation(list(members)).tolist()
            waiting += [label for label in fresh if label not in waiting] + [
                label for label in fresh if label in waiting
            ]
        chosen, waiting = waiting[:size], waiting[size:]
        picked = [random.choice(members[label], instances, replace=len(members[label]) < instances) for label in chosen]
        batches.append(np.concatenate(picked))
    return batches
