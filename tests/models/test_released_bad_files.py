"""Files that are no checkpoint of the network asked for: each is named with what was expected and what was found."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from gcl_core.files import RunError
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.released import export_discriminator, export_encoder, read_released_discriminator
from gcl_core.models.released import read_released_encoder as read


def encoder(**changes):
    torch.manual_seed(0)
    return IdentityEncoder(**{"layers": (1, 1, 1, 1), "width": 4, "embedding": 6, **changes})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "id_1.pt"


@pytest.fixture
def tensors(file):
    export_encoder(encoder(), file)
    return torch.load(file, weights_only=True)["id"]


class Runs:
    """Would create a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html><body>Google Drive - Virus scan warning", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
        (b"PK\x03\x04 truncated", "damaged or no file of torch.save"),
        (b"\0" * 1000, "damaged or no file of torch.save"),
        (pickle.dumps({"state_dict": [1, 2]}, protocol=2), "damaged or no file of torch.save"),
    ],
)
def test_other_bytes(file, content, reason):
    file.write_bytes(content)
    with pytest.raises(RunError, match=f"id_1.pt.*{reason}.*xpected a checkpoint of the identity encoder.*'id'"):
        read(file, encoder())


def test_the_advice_to_run_a_files_code_is_not_passed_on(file, tmp_path):
    for content in (b"\x80\x02garbage", pickle.dumps(Runs(tmp_path / "ran"), protocol=2)):
        file.write_bytes(content)
        with pytest.raises(RunError) as caught:
            read(file, encoder())
        assert "weights_only" not in str(caught.value)


def test_missing(file):
    with pytest.raises(RunError, match=r"id_1\.pt is missing; expected a checkpoint"):
        read(file, encoder())


@pytest.mark.parametrize("zipped", [True, False])
def test_no_cut_of_a_file_passes_or_escapes_as_another_error(file, tensors, zipped):
    torch.save({"id": tensors}, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        file.write_bytes(whole[:length])
        with pytest.raises(RunError, match="cannot be read"):
            read(file, encoder())


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_not_run(file, tensors, tmp_path, zipped):
    torch.save({"id": tensors, "more": Runs(tmp_path / "ran")}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RunError, match=r"more than tensors \(_?io\.open\), and no code .* is run\. .*state_dict\(\)"):
        read(file, encoder())
    torch.save(nn.Linear(2, 2), file, _use_new_zipfile_serialization=zipped)  # a whole network
    with pytest.raises(RunError, match=r"more than tensors \(torch\.nn\.modules\.linear\.Linear\)"):
        read(file, encoder())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, "an empty dictionary"),
        (torch.zeros(3), "a Tensor"),
        ([torch.zeros(3)], "a list"),
        ({"epoch": 3, "best": 0.5}, "an int as 'epoch'"),
        ({"id": {}}, "an empty dictionary under 'id'"),
        ({"id": 3}, "an int under 'id'"),
        ({"gen": {"dec": torch.zeros(1)}}, "a dictionary with 'dec' as 'gen'"),
        ({"state_dict": {"conv1.weight": [1.0]}}, "a list as 'conv1.weight' under 'state_dict'"),
        ({"state_dict": {3: torch.zeros(1)}}, "a Tensor as 3 under 'state_dict'"),
    ],
)
def test_other_contents(file, content, found):
    torch.save(content, file)
    with pytest.raises(RunError, match=f"holds .*{found}.*; expected a checkpoint of the identity encoder"):
        read(file, encoder())


@pytest.mark.parametrize("prefix", ["module.", "base.", "encoder.trunk."])
def test_unknown_prefix(file, tensors, prefix):
    named = {name if prefix == "base." and "feat" in name else prefix + name: value for name, value in tensors.items()}
    torch.save({"id": named}, file)
    with pytest.raises(RunError) as caught:
        read(file, encoder())
    text = str(caught.value)
    assert f"found first {prefix}conv1.weight, {prefix}bn1.weight" in text
    assert "expected conv1.weight, feat.weight, feat_bn.weight (jvtc), or conv1.weight, feat_bn.weight" in text
    assert ("DataParallel" in text) == (prefix == "module.")


def test_another_network_of_the_right_kind_is_told_by_its_first_names(tmp_path):
    export_encoder(encoder(), tmp_path / "id.pt")
    torch.save({"dis": torch.load(tmp_path / "id.pt")["id"]}, tmp_path / "dis.pt")
    with pytest.raises(
        RunError, match=r"no discriminator of GCL.*found first conv1\.weight.*expected first cnns\.0\.0"
    ):
        read_released_discriminator(tmp_path / "dis.pt", Discriminator(dim=4))
    export_discriminator(Discriminator(dim=4, scales=2), tmp_path / "dis.pt")
    with pytest.raises(RunError, match=r"cnns\.2\.0\.conv\.weight: expected 4x3x1x1, found none.* and 25 more"):
        read_released_discriminator(tmp_path / "dis.pt", Discriminator(dim=4))


def refused(file, network):
    """Return the error of an import, after checking that the network is as it was."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(RunError) as caught:
        read(file, network)
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    return str(caught.value)


def test_another_depth_or_width(file, tensors):
    text = refused(file, encoder(block="basic"))
    assert "layer1.0.conv1.weight: expected 4x4x3x3, found 4x4x1x1" in text
    assert text.count("expected") == 3
    assert "more; set identity_encoder" in text
    assert "conv1.weight: expected 8x3x7x7, found 4x3x7x7" in refused(file, encoder(width=8))
    assert "layer2.1.conv1.weight: expected 8x32x1x1, found none" in refused(file, encoder(layers=(1, 2, 1, 1)))
    torch.save({"id": {**tensors, "layer9.weight": torch.zeros(2, 3)}}, file)
    assert "layer9.weight: expected none, found 2x3; set" in refused(file, encoder())
    torch.save({"id": {name: value for name, value in tensors.items() if name != "bn1.bias"}}, file)
    assert "bn1.bias: expected 4, found none; set" in refused(file, encoder())


def test_another_embedding(file, tensors):
    assert "set identity_encoder.embedding=6" in refused(file, encoder(embedding=None))
    assert "feat.weight: expected 7x128, found 6x128; feat.bias: expected 7, found 6" in refused(
        file, encoder(embedding=7)
    )
    export_encoder(encoder(embedding=None), file)
    assert "set identity_encoder.embedding=null" in refused(file, encoder())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(file, tensors, value):
    tensors["layer4.0.bn2.running_var"][0] = value
    torch.save(tensors, file)
    assert "NaN or infinite, expected finite ones: layer4.0.bn2.running_var; its" in refused(file, encoder())


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_other_types(file, tensors):
    torch.save({name: value.half() if value.ndim == 4 else value for name, value in tensors.items()}, file)
    text = refused(file, encoder())
    assert "conv1.weight: expected torch.float32, found torch.float16" in text
    assert "and 14 more; save it again after model.float()" in text
    tensors["feat.weight"] = tensors["feat.weight"].to_sparse()
    torch.save(tensors, file)
    assert "feat.weight: expected torch.float32, found torch.sparse_coo" in refused(file, encoder())


def test_numbers_beside_the_weights_are_no_obstacle(file, tensors):
    best = {"epoch": 45, "best_mAP": np.float64(0.41), "rank": np.float32(0.7), "n": np.int64(3), "ok": np.bool_(True)}
    torch.save({"state_dict": tensors, **best}, file)
    assert read(file, encoder()).ignored == tuple(best)
    file.write_bytes(file.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    torch.save({"state_dict": tensors, **best}, file, _use_new_zipfile_serialization=False)
    old = file.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")  # as NumPy 1 wrote it
    file.write_bytes(old)
    assert b"numpy.core" in old
    assert read(file, encoder()).layout == "jvtc"
