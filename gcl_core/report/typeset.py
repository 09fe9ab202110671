"""A LaTeX document typeset by whichever TeX is installed."""

import shutil
import subprocess
from pathlib import Path

from gcl_core.files import RunError

ENGINES = {  # in order of preference; each leaves NAME.pdf in the folder that it is run in
    "tectonic": ["tectonic"],
    "latexmk": ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error"],
    "pdflatex": ["pdflatex", "-interaction=nonstopmode", "-halt-on-error"],
}
PASSES = {"pdflatex": 3}  # the others repeat by themselves until references are settled


def engine() -> str | None:
    """Return the TeX engine to use, None where none is installed."""
    return next((name for name in ENGINES if shutil.which(name)), None)


def typeset(source: Path, name: str) -> Path:
    """Typeset a LaTeX file in its own folder by the engine `name` and return the PDF.

    Raises RunError with the end of what TeX said when it fails.
    """
    for _ in range(PASSES.get(name, 1)):
        answer = subprocess.run(
            [*ENGINES[name], source.name], cwd=source.parent, capture_output=True, text=True, errors="replace"
        )
        if answer.returncode:
            said = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-20:])
            raise RunError(f"{name} could not typeset {source.name}:\n{said}")
    return source.with_suffix(".pdf")
