"""Features with the spectra of trained ones, in any number: isotropic noise would make neighbours unlike a study's.

`measure` takes them from features of known people: the variances between people's means and within people, along the
main directions of each. benchmarks/spectra.json holds two, both of the encoder that GCL trained in profile `mini` (256
features): of 12,936 synthetic people's pictures (616 people), which it was made for, and of 7,337 detector crops of 767
real people, whom it hardly tells apart.
"""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import normalize

from gcl_core.seeding import rng

FILE = Path(__file__).with_name("spectra.json")
PICTURES = 16  # a person
CHUNK = 50_000  # pictures made at once

Kind = Literal["synthetic_people", "detector_crops", "isotropic"]
KINDS: tuple[Kind, ...] = ("synthetic_people", "detector_crops", "isotropic")


def measure(features: np.ndarray, identities: np.ndarray) -> dict[str, list[float]]:
    """Return the mean's length and the variances between and within people of unit features, largest first."""
    people, person, pictures = np.unique(identities, return_inverse=True, return_counts=True)
    means = np.zeros((len(people), features.shape[1]))
    np.add.at(means, person, features)
    means /= pictures[:, None]
    apart = features - means[person]
    within = np.linalg.eigvalsh(apart.T @ apart / (len(features) - len(people)))
    between = np.linalg.eigvalsh(np.cov(means, rowvar=False))
    return {
        "mean": [float(np.linalg.norm(means.mean(axis=0)))],
        "between": between[::-1].clip(0).tolist(),
        "within": within[::-1].clip(0).tolist(),
    }


def simulate(count: int, size: int, kind: Kind, seed: int = 0) -> torch.Tensor:
    """Return `count` unit features of people with 16 pictures each, next to each other.

    `size` may be above 256: the features then lie in a subspace. Isotropic: white centres and noise of 1.3 times them.
    """
    random = rng(seed, "benchmark features")
    people = -(-count // PICTURES)
    if kind == "isotropic":
        between, within, mean = torch.ones(size), torch.full((size,), 1.3), 0.0
        basis = other = None
    else:
        spectrum = json.loads(FILE.read_text())[kind]
        between, within = (torch.tensor(spectrum[part]).sqrt() for part in ("between", "within"))
        mean = spectrum["mean"][0]
        basis, other = (torch.linalg.qr(torch.randn(size, len(between), generator=random))[0].T for _ in range(2))
    centres = torch.randn(people, len(between), generator=random) * between
    features = torch.empty(count, size)
    for rows in torch.arange(count).split(CHUNK):
        noise = torch.randn(len(rows), len(within), generator=random) * within
        own = centres[rows // PICTURES]
        both = own + noise if basis is None or other is None else own @ basis + noise @ other
        both[:, 0] += mean
        features[rows] = normalize(both)
    return features
