"""On which processor, and by which kernels of the libraries, numbers come out as they do.

The same program rounds differently on another kind of processor: libraries choose their kernels by it.
"""

import platform
import re
from pathlib import Path

from threadpoolctl import threadpool_info

CPUINFO = Path("/proc/cpuinfo")  # of Linux; elsewhere the platform's own name is all that is known
FACTS = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")  # x86; ARM
LIBRARIES = {"MKL": r"Math Kernel Library Version ([\d.]+)", "oneDNN": r"MKL-DNN v([\d.]+)"}


def processor_kind() -> str:
    """Return this machine's kind of processor, as `AMD EPYC (vendor_id AuthenticAMD, cpu family 25, model 17)`."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.is_file() else ""
    known = dict(re.findall(r"^([\w ]+?)\s*: (.+)$", text.partition("\n\n")[0], re.MULTILINE))
    name = known.get("model name") or platform.processor() or platform.machine()
    facts = ", ".join(f"{fact} {known[fact]}" for fact in FACTS if fact in known)
    return f"{name} ({facts})" if facts else name


def library_kernels() -> str:
    """Return which kernels the libraries take here, as `torch AVX512, MKL 2024.2, oneDNN 3.13.3, OpenBLAS 0.3.31 Zen`.

    Of torch it is the instruction set, of NumPy's OpenBLAS the architecture that it was tuned for: other
    packages bring their own when they are imported.
    """
    import torch

    build = torch.__config__.show()
    found = {name: re.search(pattern, build) for name, pattern in LIBRARIES.items()}
    told = [f"torch {torch.backends.cpu.get_cpu_capability()}"]
    told += [f"{name} {match[1]}" for name, match in found.items() if match]
    blas = {
        f"OpenBLAS {each['version']} {each['architecture']}"
        for each in threadpool_info()
        if each["internal_api"] == "openblas" and "numpy" in Path(each["filepath"]).parent.name
    }
    return ", ".join([*told, *sorted(blas)])
