"""Import and export of the authors' checkpoints: id_*.pt, gen_*.pt, dis_*.pt and stage-1 encoders (METHOD.md §2, D17).

Everything about a file is checked before a network is touched, so that a refused file leaves it as it was.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from gcl_core.files import RunError, atomic
from gcl_core.models.describe import mismatches, some
from gcl_core.models.discriminator import Discriminator
from gcl_core.models.generator import Generator
from gcl_core.models.identity_encoder import IdentityEncoder
from gcl_core.models.released_names import (
    ENCODER_LAYOUTS,
    EncoderLayout,
    Names,
    discriminator_names,
    encoder_names,
    generator_names,
)
from gcl_core.models.torch_files import TorchFile, read_torch_file

CLASSIFIERS = ("classifier.", "fc.")  # of a labelled source set or of ImageNet; no part of E_id


class Imported(NamedTuple):
    """What a file was: a name in ENCODER_LAYOUTS or "gcl", and what of it was not used."""

    layout: str
    ignored: tuple[str, ...]


def read_released_encoder(path: Path, encoder: IdentityEncoder) -> Imported:
    """Load E_id from GCL's id_*.pt, a JVTC .pth or a BN-2048 checkpoint, plain or under `id` or `state_dict`.

    Classifiers and whatever lies beside the weights are ignored, and named in the result. Raises RunError: no readable
    checkpoint, names of no known layout, another architecture than `encoder`, values not finite or not float32.
    """
    file = read_torch_file(path, "the identity encoder", ("id", "state_dict"))
    found = [name for name, layout in ENCODER_LAYOUTS.items() if _is_in(layout, file.tensors)]
    if not found:
        raise RunError(
            f"{path} names its tensors as no known encoder does: found first {_first(file.tensors)}; expected "
            + ", or ".join(f"{', '.join(_marks(layout))} ({name})" for name, layout in ENCODER_LAYOUTS.items())
            + _prefix_hint(file.tensors)
        )
    layout = ENCODER_LAYOUTS[found[0]]
    if layout.embedding is not None and isinstance(encoder.embedding, nn.Identity):
        size = file.tensors[f"{layout.embedding}.weight"].shape[0]
        raise RunError(
            f"{path} has an embedding of {size} entries ({layout.embedding}.weight), the study's encoder has none; set "
            f"identity_encoder.embedding={size}"
        )
    if layout.embedding is None and isinstance(encoder.embedding, nn.Linear):
        raise RunError(
            f"{path} has no embedding (no feat.weight), the study's encoder has one of "
            f"{encoder.embedding.out_features} entries; set identity_encoder.embedding=null"
        )
    return Imported(
        found[0], _load(encoder, encoder_names(encoder, layout), file, path, "identity_encoder", CLASSIFIERS)
    )


def read_released_generator(path: Path, generator: Generator, *, code_layout: Literal["part", "released"]) -> Imported:
    """Load G, E_str and MLPs from GCL's gen_*.pt; `code_layout` is that of the study's encoder.

    AdaIN's running statistics are ignored (§2.3). Raises RunError as `read_released_encoder`, and for code_layout
    "part": the MLPs of the release read the code in another order, and cannot be converted (D3).
    """
    if code_layout != "released":
        raise RunError(
            f"{path}: the released generator reads the appearance code channel by channel, this study's encoder gives "
            "it part by part (identity_encoder.code_layout: part), and the weights cannot be converted; put "
            "`fidelity: [D3]` or `fidelity: released` into the profile, or give identity_encoder.code_layout=released"
        )
    file = read_torch_file(path, "the generator", ("gen",))
    return Imported("gcl", _load(generator, generator_names(generator), file, path, "generator"))


def read_released_discriminator(path: Path, discriminator: Discriminator) -> Imported:
    """Load D from GCL's dis_*.pt. Raises RunError as `read_released_encoder`."""
    file = read_torch_file(path, "the discriminator", ("dis",))
    return Imported("gcl", _load(discriminator, discriminator_names(discriminator), file, path, "discriminator"))


def export_encoder(encoder: IdentityEncoder, path: Path, layout: str | None = None) -> None:
    """Write E_id as GCL's id_*.pt; `layout` is a name in ENCODER_LAYOUTS, by default the first that fits.

    Raises RunError for a layout with an embedding where the encoder has none, and the other way round.
    """
    if (kind := encoder.settings["kind"]) != "resnet":
        raise RunError(f"cannot write {path}: GCL's files hold a ResNet, this encoder's trunk is of kind {kind}")
    embedded = isinstance(encoder.embedding, nn.Linear)
    fitting = [name for name, each in ENCODER_LAYOUTS.items() if (each.embedding is not None) == embedded]
    if layout is not None and layout not in fitting:
        raise RunError(f"cannot write {path} in layout {layout!r}: this encoder fits {', '.join(fitting)}")
    _save(encoder, encoder_names(encoder, ENCODER_LAYOUTS[layout or fitting[0]]), path, "id")


def export_generator(generator: Generator, path: Path, *, code_layout: Literal["part", "released"]) -> None:
    """Write G, E_str and MLPs as GCL's gen_*.pt; `code_layout` is that of the encoder it was trained with.

    Raises RunError for "part": the released code would feed its MLPs in another order (D3).
    """
    if code_layout != "released":
        raise RunError(
            f"cannot write {path}: this generator was trained with identity_encoder.code_layout: part, and the "
            "released code would feed it the appearance code in another order (D3); only one trained with "
            "`fidelity: [D3]` or `fidelity: released` can be exported. The encoder alone can"
        )
    _save(generator, generator_names(generator), path, "gen")


def export_discriminator(discriminator: Discriminator, path: Path) -> None:
    """Write D as GCL's dis_*.pt."""
    _save(discriminator, discriminator_names(discriminator), path, "dis")


def _marks(layout: EncoderLayout) -> list[str]:
    embedding = [] if layout.embedding is None else [f"{layout.embedding}.weight"]
    return [f"{layout.trunk}conv1.weight", *embedding, f"{layout.neck}.weight"]


def _is_in(layout: EncoderLayout, tensors: dict[str, Tensor]) -> bool:
    return set(_marks(layout)) <= set(tensors) and (layout.embedding is not None or "feat.weight" not in tensors)


def _load(
    network: nn.Module, names: Names, file: TorchFile, path: Path, section: str, more: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Load what `names` maps after checking all of it; return the names that were not used.

    Tensors whose names begin as one of `more` may be there besides; `section` of the settings describes the network.
    """
    state = network.state_dict()
    expected = {released: state[ours] for released, ours in names.items() if ours is not None}
    unused = [name for name in file.tensors if name not in expected and (name in names or name.startswith(more))]
    found = {name: value for name, value in file.tensors.items() if name not in unused}
    if not set(expected) & set(found):
        raise RunError(
            f"{path} names its tensors as no {section.replace('_', ' ')} of GCL does: found first "
            f"{_first(file.tensors)}; expected first {_first(expected)}{_prefix_hint(file.tensors)}"
        )
    if wrong := mismatches(expected, found):
        raise RunError(
            f"{path} holds another network than the study's settings describe: {some(wrong)}; set {section} in the "
            "profile to the network of the file (the published ones are the defaults)"
        )
    _check_values(expected, found, path)
    network.load_state_dict({ours: found[released] for released, ours in names.items() if ours is not None})
    return (*unused, *file.beside)


def _check_values(expected: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    wrong = []
    for name, value in found.items():
        wanted = expected[name].dtype
        if value.dtype != wanted or value.layout != torch.strided or value.device.type != "cpu":
            kind = value.dtype if value.layout == torch.strided else value.layout
            wrong.append(f"{name}: expected {wanted}, found {kind}")
    if wrong:
        raise RunError(f"{path} holds other types of numbers: {some(wrong)}; save it again after model.float()")
    broken = [name for name, value in found.items() if not torch.isfinite(value).all()]
    if broken:
        raise RunError(
            f"{path} holds weights that are NaN or infinite, expected finite ones: {some(broken)}; its training broke "
            "down or the file is damaged, use an earlier one"
        )


def _save(network: nn.Module, names: Names, path: Path, key: str) -> None:
    state = network.state_dict()
    tensors: dict[str, Tensor] = {}
    for released, ours in names.items():
        if ours is not None:
            tensors[released] = state[ours].to("cpu", copy=True, memory_format=torch.contiguous_format)
        else:  # one entry a channel of the convolution beside it, at the value a fresh released network has
            channels = len(state[names[re.sub(r"norm\.running_\w+$", "conv.bias", released)] or ""])
            tensors[released] = torch.zeros(channels) if released.endswith("mean") else torch.ones(channels)
    # PyTorch 1.2, which the release pins (§5.2), reads the older format only; a stream keeps the file's name out of it
    with atomic(path) as temporary, temporary.open("wb") as stream:
        torch.save({key: tensors}, stream, _use_new_zipfile_serialization=False)


def _first(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:3])


def _prefix_hint(names: Iterable[str]) -> str:
    if all(name.startswith("module.") for name in names):
        return ". It was saved from DataParallel: save it again from model.module, or without the prefix `module.`"
    return ". Save it again under these names"
