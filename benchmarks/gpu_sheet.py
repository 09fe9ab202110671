"""What one part of the check on a GPU has found, written to its file after every measurement."""

import math
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gcl_core.files import read_json, write_json


class Sheet:
    """Measurements by name. A second call measures what is missing or failed; one that fails leaves the others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, Any]] = read_json(path) if path.is_file() else {}

    def measure(self, name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Keep what `work` returns and the seconds that it took; of an error, which is printed, its first two lines."""
        if not self.problem(name) and name in self.found:
            return
        start = time.perf_counter()
        print(f"{name} ...", flush=True)
        try:
            result = work()
        except Exception as error:  # of a driver, a compiler, a card: whatever it is, it is a finding
            traceback.print_exc()
            told = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = "; ".join(told[:2])[:300].replace("|", "/")  # it stands in a table; advice of CUDA's comes last
            result = {"error": f"{type(error).__name__}: {said}"}
        self.found[name] = {**_plain(result), "took": round(time.perf_counter() - start, 3)}
        print(f"{name}: {self.found[name]}", flush=True)
        write_json(self.path, self.found)

    def leave_out(self, name: str, reason: str) -> None:
        """Keep why something is not measured."""
        self.found[name] = {"left out": reason}
        write_json(self.path, self.found)

    def problem(self, name: str) -> str:
        """Return what is wrong with a measurement, an empty text if nothing is."""
        found = self.found.get(name, {})
        if "error" in found:
            return found["error"]
        return "" if found.get("within", True) else f"outside its bound: {found}"

    @property
    def problems(self) -> list[str]:
        """What is wrong with any measurement, with its name."""
        return [f"{name}: {self.problem(name)}" for name in self.found if self.problem(name)]


def _plain(value: Any) -> Any:
    """Return the value with a word in the place of numbers that are not finite, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
