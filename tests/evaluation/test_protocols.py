"""Three protocols of retrieval against naive loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score

from gcl_core.config import EvaluationSettings
from gcl_core.data.person_set import PersonSet
from gcl_core.evaluation.protocols import PROTOCOLS, protocol_accuracies
from gcl_core.models.identity_encoder import EncoderOutput


class ByColour(torch.nn.Module):
    """The mean colour of a picture is its feature: no two pictures of the set are equally far from a third."""

    code_dim = feature_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> EncoderOutput:
        feature = x.mean(dim=(2, 3))
        return EncoderOutput(code=feature, feature=feature)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(self(x).feature)


def a_set() -> PersonSet:
    """Three people by two cameras, junk and a distractor; person 2 has no gallery picture by camera 1."""
    lines = [("train", 9, 1)]
    lines += [("query", 1, 1), ("query", 1, 2), ("query", 2, 1), ("query", 3, 2)]
    lines += [("gallery", pid, camera) for pid in (1, 3) for camera in (1, 2) for _ in range(2)]
    lines += [("gallery", 2, 2), ("gallery", -1, 1), ("gallery", 0, 2)]
    index = pd.DataFrame(lines, columns=["split", "pid", "camid"])
    index = index.assign(file=[f"{place}" for place in range(len(lines))], mesh=False)
    pictures = np.random.default_rng(3).integers(0, 256, (len(lines), 1, 1, 3), dtype=np.uint8)
    pictures = np.broadcast_to(pictures, (len(lines), 32, 32, 3)).copy()
    return PersonSet(index, pictures, np.zeros((len(lines), 8, 32, 32), np.uint8), fingerprint="by hand")


def naive(people: PersonSet, features: torch.Tensor, protocol: str) -> tuple[float, float, int]:
    pids, cameras = people.index["pid"].to_numpy(), people.index["camid"].to_numpy()
    precisions, firsts = [], []
    for query in people.rows("query"):
        mine, camera = pids[query], cameras[query]
        scores, right = [], []
        for each in people.rows("gallery"):
            same, near = bool(pids[each] == mine), bool(cameras[each] == camera)
            if pids[each] == -1:
                continue
            if protocol == "standard" and same and near:
                continue
            if (protocol == "other" and near) or (protocol == "within" and not near):
                continue
            scores.append(-float((features[query] - features[each]).square().sum()))
            right.append(same)
        if any(right):
            precisions.append(average_precision_score(right, scores))
            firsts.append(right[int(np.argmax(scores))])
    return float(np.mean(precisions)), float(np.mean(firsts)), len(precisions)


def test_each_protocol_ranks_what_it_leaves_in_the_gallery() -> None:
    people, encoder = a_set(), ByColour()
    pictures = torch.from_numpy(people.pictures).permute(0, 3, 1, 2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = (pictures.float() / 255 - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
    features = encoder.features(seen)
    found = protocol_accuracies(encoder, people, EvaluationSettings())
    assert list(found) == list(PROTOCOLS)
    assert {each: found[each]["queries"] for each in PROTOCOLS} == {"standard": 4, "other": 4, "within": 3}
    for protocol in PROTOCOLS:
        average, first, count = naive(people, features, protocol)
        assert found[protocol]["map"] == pytest.approx(average, abs=1e-6), protocol
        assert found[protocol]["rank1"] == pytest.approx(first), protocol
        assert found[protocol]["queries"] == count
    assert len({accuracy["map"] for accuracy in found.values()}) == 3


def test_a_protocol_in_which_nobody_has_a_match_says_so() -> None:
    people = a_set()
    index = people.index.assign(camid=np.where(people.index["split"] == "query", 5, people.index["camid"]))
    others = PersonSet(index, people.pictures, people.projections, fingerprint="5")
    found = protocol_accuracies(ByColour(), others, EvaluationSettings())
    assert np.isnan(found["within"]["map"])
    assert found["within"]["queries"] == 0
    assert found["other"]["map"] == found["standard"]["map"]
