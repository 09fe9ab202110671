"""All stages train on a trunk of timm as they do on the ResNet."""

from collections.abc import Callable

import pytest
import torch

from gcl_core.layout import Layout
from gcl_core.models.weights import build_encoder, load_encoder
from gcl_core.training.baseline import train_baseline
from gcl_core.training.joint import train_jointly
from gcl_core.training.warm_up import warm_up_generator

TIMM = "identity_encoder={kind: timm, model: resnet10t, stride: 16, embedding: null}"


def test_every_stage_trains_a_trunk_of_timm(boxes: Callable[..., Layout]):
    pytest.importorskip("timm", reason="timm, an optional extra, is not installed")
    layout = boxes(TIMM)
    started = build_encoder(layout.study, 0)
    folders = [train_baseline(layout, 0)]
    warm_up_generator(layout, 0)
    folders.append(train_jointly(layout, "gcl", 0))
    weight = "trunk.network.layer4.0.conv1.weight"
    found = [load_encoder(layout.study, folder, torch.device("cpu")).get_parameter(weight) for folder in folders]
    assert found[0].isfinite().all()
    assert not torch.equal(found[0], started.get_parameter(weight))
    assert not torch.equal(found[1], found[0])
