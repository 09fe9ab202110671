"""The commands that README and docs name, line by line."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RUN, MODULE = "./run_all.sh", "-m gcl_core "
STARTS = re.compile(rf"{re.escape(RUN)}|(\S*python|torchrun .*) {MODULE}")
TESTED = {"EXTEND.md"}  # its changes to the code, and the commands after them, are run by test_extend.py


def commands() -> list[tuple[str, str]]:
    """Return (file, command) of every line in a block of code that starts the study or a command of the package."""
    found = []
    for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))):
        blocks = re.findall(r"^```\w*\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for block in blocks:
            lines = block.replace("\\\n", " ").splitlines()
            found += [(path.name, line) for line in lines if STARTS.match(line)]
    return [each for each in found if each[0] not in TESTED]
