"""The protocols of the second and the third round were committed before any of their runs began."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = REPOSITORY / "figures" / "reference"
COMMITS = {  # of a round, by the words before them in docs/PROTOCOL.md
    "second": "This part of the page is that of commit",
    "third": "This round's part of the page is that of commit",
}


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True)


def named_commit(words: str) -> str:
    """The commit that docs/PROTOCOL.md names behind these words."""
    text = (REPOSITORY / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    (commit,) = re.findall(rf"{re.escape(words)} ([0-9a-f]{{7,40}})", text)
    if git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        pytest.skip(f"this copy has no history with commit {commit}: it is a shallow clone or an archive")
    return commit


@pytest.fixture(scope="module")
def committed() -> dict[str, str]:
    """The commit that fixed each profile: its round's protocol, or a later correction before its runs."""
    second = named_commit(COMMITS["second"])
    corrected = named_commit("corrected before any of its variants ran**, at commit")
    return {
        **{"evidence2": second, "evidence2_worn": second, "people_750": corrected},
        "evidence3": named_commit(COMMITS["third"]),
    }


def paragraphs(page: str, name: str) -> list[str]:
    """The part of a round, without what the page says was added later."""
    part = re.split(r"^## ", page.partition(f"## The {name} round\n")[2], flags=re.MULTILINE)[0]
    added = (*COMMITS.values(), "**Order within `evidence2`**", "**`people_750`, corrected")
    return [each for each in part.strip().split("\n\n") if not each.startswith(added)]


@pytest.mark.parametrize(("name", "several"), [("second", 10), ("third", 3)])
def test_the_page_says_what_the_commit_says(name: str, several: int) -> None:
    then = paragraphs(git("show", f"{named_commit(COMMITS[name])}:docs/PROTOCOL.md").stdout, name)
    assert len(then) > several
    assert paragraphs((REPOSITORY / "docs" / "PROTOCOL.md").read_text(encoding="utf-8"), name) == then


def test_the_profiles_are_as_they_were(committed: dict[str, str]) -> None:
    for name, commit in committed.items():
        now = (REPOSITORY / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
        assert git("show", f"{commit}:configs/{name}.yaml").stdout == now, name


def test_every_run_began_after_the_protocol_and_with_its_code_or_later(committed: dict[str, str]) -> None:
    for profile, commit in committed.items():
        fixed = datetime.fromtimestamp(int(git("show", "-s", "--format=%ct", commit).stdout), UTC)
        runs = pd.read_csv(REFERENCE / profile / "records" / "runs.csv")
        trained = [run for run in runs.to_dict("records") if "/data/" not in run["folder"]]
        assert trained
        for run in trained:
            assert datetime.fromisoformat(run["started"]) > fixed, run["folder"]
            assert git("merge-base", "--is-ancestor", commit, run["git_revision"]).returncode == 0, run["folder"]
