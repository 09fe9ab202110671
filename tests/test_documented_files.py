"""Every file of the repository that README or docs name is there."""

import re
from pathlib import Path

NAMED = re.compile(r"\b(?:gcl_core|tests|benchmarks|scripts|configs|notebooks)/[\w./-]*\.(?:py|sh|yaml|ipynb)\b")
OTHERS = {  # of no file of this repository
    "gcl_core/models/plain_generator.py",  # docs/EXTEND.md: a reader's own
    "configs/latest.yaml",  # docs/METHOD.md: the authors'
}


def test_every_file_that_a_page_names_is_there(repository: Path) -> None:
    pages = [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]
    named = {(page.name, name) for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 50
    assert {each for each in named if each[1] not in OTHERS and not (repository / each[1]).is_file()} == set()
