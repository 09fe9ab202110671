"""The protocol of the second round was committed before any of its runs began."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = REPOSITORY / "figures" / "reference"
SECOND_ROUND = [name for name in ("evidence2", "evidence2_worn", "people_750") if (REFERENCE / name).is_dir()]


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
def protocol() -> str:
    """The commit of the second round's protocol."""
    return named_commit("This part of the page is that of commit")


@pytest.fixture(scope="module")
def committed(protocol: str) -> dict[str, str]:
    """The commit that fixed each profile of the second round: the protocol's, or a later correction before its runs."""
    corrected = named_commit("corrected before any of its variants ran**, at commit")
    return {"evidence2": protocol, "evidence2_worn": protocol, "people_750": corrected}


def paragraphs(page: str) -> list[str]:
    """The part of the second round, without what the page says was added later."""
    part = page.partition("## The second round")[2].partition("## The first round")[0]
    added = ("This part of the page is that of commit", "**Order within `evidence2`**", "**`people_750`, corrected")
    return [each for each in part.strip().split("\n\n") if not each.startswith(added)]


def test_the_page_says_what_the_commit_says_and_the_profiles_are_as_they_were(
    protocol: str, committed: dict[str, str]
) -> None:
    then = paragraphs(git("show", f"{protocol}:docs/PROTOCOL.md").stdout)
    assert len(then) > 10
    assert paragraphs((REPOSITORY / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")) == then
    for name, commit in committed.items():
        now = (REPOSITORY / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
        assert git("show", f"{commit}:configs/{name}.yaml").stdout == now, name


@pytest.mark.skipif(not SECOND_ROUND, reason="no profile of the second round has committed figures yet")
def test_every_run_began_after_the_protocol_and_with_its_code_or_later(committed: dict[str, str]) -> None:
    for profile in SECOND_ROUND:
        commit = committed[profile]
        fixed = datetime.fromtimestamp(int(git("show", "-s", "--format=%ct", commit).stdout), UTC)
        runs = pd.read_csv(REFERENCE / profile / "records" / "runs.csv")
        trained = [run for run in runs.to_dict("records") if "/data/" not in run["folder"]]
        assert trained
        for run in trained:
            assert datetime.fromisoformat(run["started"]) > fixed, run["folder"]
            assert git("merge-base", "--is-ancestor", commit, run["git_revision"]).returncode == 0, run["folder"]
