"""ImageNet weights: what becomes of a broken download, a damaged cache and a file of another network."""

import io
import re
from email.message import Message
from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet50_Weights, resnet50

from gcl_core.files import RunError
from gcl_core.models.identity_encoder import IdentityEncoder, load_imagenet

NAME = ResNet50_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The place of the weights' file in an empty hub cache, without network."""

    def refuse(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / NAME


@pytest.fixture
def encoder():
    with torch.device("meta"):  # nothing here may get as far as its weights
        return IdentityEncoder()


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return resnet50().state_dict()


def answer(body, monkeypatch):
    """Let every address answer with `body`."""

    class Response(io.BytesIO):
        def info(self):
            return Message()

    monkeypatch.setattr(torch.hub, "urlopen", lambda *args, **kwargs: Response(body))


def test_offline_says_where_the_file_belongs_and_what_to_do(cached, encoder):
    with pytest.raises(RunError, match="no route to host") as caught:
        load_imagenet(encoder)
    text = str(caught.value)
    assert all(part in text for part in (ResNet50_Weights.IMAGENET1K_V1.url, str(cached), "weights to null"))
    assert not list(cached.parent.iterdir())


@pytest.mark.parametrize("body", [b"", b"<html>please log in</html>", b"PK\x03\x04 cut off"])
def test_a_download_with_another_checksum_is_refused_and_not_kept(cached, encoder, monkeypatch, body):
    answer(body, monkeypatch)
    with pytest.raises(RunError, match=r'invalid hash value.*expected "0676ba61"') as caught:
        load_imagenet(encoder)
    assert str(cached) in str(caught.value)
    assert not list(cached.parent.iterdir())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_in_the_cache_is_named(cached, encoder, theirs, share):
    torch.save({name: value for name, value in theirs.items() if not name.startswith("layer")}, cached)
    whole = cached.read_bytes()
    cached.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RunError, match=rf"{re.escape(str(cached))} cannot be read .*delete the file"):
        load_imagenet(encoder)


def test_a_web_page_in_the_cache_is_named(cached, encoder):
    cached.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(RunError, match=rf"{re.escape(str(cached))} cannot be read .*delete the file"):
        load_imagenet(encoder)


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_loading_is_strict(cached, theirs, change):
    state = dict(theirs)
    if change == "missing":
        del state["layer3.2.bn1.running_var"]
    elif change == "more":
        state["layer5.0.conv1.weight"] = torch.zeros(1)
    else:
        state["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(state, cached)
    with pytest.raises(RunError, match="ResNet-50"):
        load_imagenet(IdentityEncoder())
