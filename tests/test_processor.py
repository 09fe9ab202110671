"""The kind of processor, by which the libraries choose their kernels, is told apart from another kind."""

from pathlib import Path

import pytest
import torch

from gcl_core import processor

X86 = """processor\t: {core}
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: {model}
model name\t: AMD EPYC
cpu MHz\t\t: {clock}
"""
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


def kind_of(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    return processor.processor_kind()


def test_processors_of_one_name_and_other_kinds_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A name may stand for several kinds, as on rented machines; clock and core tell none."""
    first, same, other = (
        kind_of(X86.format(core=core, model=model, clock=clock) + "\n", tmp_path, monkeypatch)
        for core, model, clock in ((0, 17, 2596), (1, 17, 3000), (0, 49, 2596))
    )
    assert first == same == "AMD EPYC (vendor_id AuthenticAMD, cpu family 25, model 17)"
    assert other != first
    assert kind_of(ARM, tmp_path, monkeypatch).endswith("(CPU implementer 0x41, CPU part 0xd40)")


def test_where_the_system_tells_nothing_the_platforms_name_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "absent")
    assert processor.processor_kind()


def test_kernels_name_the_instruction_set_and_the_libraries():
    told = processor.library_kernels()
    assert told.startswith(f"torch {torch.backends.cpu.get_cpu_capability()}")
    assert ("MKL " in told) == torch.backends.mkl.is_available()
    assert ("oneDNN " in told) == torch.backends.mkldnn.is_available()
