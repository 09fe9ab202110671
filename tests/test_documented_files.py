"""Every file of the repository that README or docs name is there, and every link of a committed page leads to one."""

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


def test_every_link_of_a_page_leads_to_a_file_and_its_heading(repository: Path) -> None:
    folders = ("benchmarks", "docs", "figures/reference", "results", "samples", "weights")
    pages = [repository / "README.md", *(page for name in folders for page in (repository / name).rglob("*.md"))]
    links = [(page, link) for page in pages for link in linked(page.read_text(encoding="utf-8"))]
    assert len(links) > 500
    for page, link in links:
        name, _, heading = link.partition("#")
        assert (page.parent / name).exists(), (page, link)
        assert not heading or heading in headings(page.parent / name), (page, link)


def linked(text: str) -> list[str]:
    """Return what the links and pictures of a page lead to within the repository."""
    found = re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [one or other for one, other in found if not re.match(r"[a-z]+:|#", one or other)]


def headings(page: Path) -> set[str]:
    """Return the names under which a page's headings are linked."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
