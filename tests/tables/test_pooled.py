"""Claims from tables alone: verdicts anew, seeds of two profiles together, and what is committed is what that gives."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcl_core.cli import main
from gcl_core.config import load_study
from gcl_core.evaluation.effects import seed_effect
from gcl_core.figure_manifest import read_manifest
from gcl_core.files import RunError, hash_file
from gcl_core.measure.artifacts import where
from gcl_core.measure.evidence import MAP
from gcl_core.tables.claims import COLUMNS, OURS, claims_table, read_claims
from gcl_core.tables.formats import read_table
from gcl_core.tables.pooled import POOLED_PROFILES, pooled_claims, write_verdicts
from tests.tables.made_evidence import gains, seeds

FIGURES = Path(__file__).resolve().parents[2] / "figures" / "reference"
PROFILES = ["mini", "evidence", "evidence_background", "evidence_light", "evidence_settings"]


@pytest.mark.parametrize("profile", PROFILES)
def test_committed_verdicts_are_those_of_todays_rules(profile: str, tmp_path: Path):
    shutil.copytree(FIGURES / profile, tmp_path / profile, ignore=shutil.ignore_patterns("*.png", "*.pdf"))
    for path in write_verdicts(tmp_path, [profile]):
        assert path.read_bytes() == (FIGURES / profile / path.name).read_bytes(), path
        assert read_manifest(tmp_path / profile)[path.name]["sha256"] == hash_file(path)


def test_a_table_that_was_changed_by_hand_gets_no_verdicts(tmp_path: Path):
    shutil.copytree(FIGURES / "mini", tmp_path / "mini", ignore=shutil.ignore_patterns("*.png", "*.pdf"))
    claims = tmp_path / "mini" / "claims.csv"
    claims.write_text(claims.read_text().replace("-", "", 1))
    before = claims.read_bytes()
    with pytest.raises(RunError, match=r"claims\.csv changed after they were made"):
        write_verdicts(tmp_path, ["mini"])
    assert claims.read_bytes() == before


def test_rows_of_an_older_table_that_say_not_run_are_passed_over(tmp_path: Path):
    claims = (FIGURES / "mini" / "claims.csv").read_text()
    (tmp_path / "claims.csv").write_text(f"{claims}ours,gcl_light - tda,mAP,not run,,,,,0,not run\n")
    now = read_claims(FIGURES / "mini")
    pd.testing.assert_frame_equal(read_claims(tmp_path), now)


@pytest.mark.parametrize(
    ("old", "new", "told"), [(",", ";", "it lacks claim"), ("0.", "x.", "hold texts, not numbers")]
)
def test_a_table_that_another_program_saved_anew_is_named(tmp_path: Path, old: str, new: str, told: str):
    claims = tmp_path / "claims.csv"
    claims.write_text((FIGURES / "mini" / "claims.csv").read_text().replace(old, new))
    with pytest.raises(RunError, match=rf"claims\.csv is no table of claims any more: .*{told}"):
        read_claims(tmp_path)


def test_the_committed_pool_is_made_of_the_committed_tables(tmp_path: Path):
    for profile in POOLED_PROFILES:
        shutil.copytree(FIGURES / profile, tmp_path / profile, ignore=shutil.ignore_patterns("*.png", "*.pdf"))
    written = [path for path in write_verdicts(tmp_path, [POOLED_PROFILES[0]]) if path.parent.name == "pooled"]
    assert [path.suffix for path in written] == [".csv", ".md", ".tex"]
    assert all(path.read_bytes() == (FIGURES / "pooled" / path.name).read_bytes() for path in written)
    page = (FIGURES / "pooled" / "claims.md").read_text(encoding="utf-8")
    assert "(post hoc)" in page
    assert "Not tested here: C3 " in page  # nor C4 and C5: pooling leaves them out


def test_a_study_pooled_from_two_halves_says_what_the_whole_would():
    values = [0.01, 0.03, 0.02, -0.01, 0.04, 0.05]
    whole, *halves = (
        claims_table(seeds(gcl=gains(*part), tda=gains(*[0] * len(part)))) for part in (values, values[:2], values[2:])
    )
    pooled = pooled_claims(halves)
    assert list(pooled.columns) == COLUMNS
    ours, theirs = (where(each, claim="C2", metric=MAP).to_dict("records")[0] for each in (pooled, whole))
    names = ["effect", "low over seeds", "high over seeds", "seeds"]
    assert [ours[name] for name in names] == pytest.approx([theirs[name] for name in names])
    assert ours["verdict"] == theirs["verdict"] == "reproduced"
    assert np.isnan(ours["low over queries"])


def test_what_only_one_profile_has_is_not_pooled():
    first = claims_table(seeds(gcl=gains(0, 0.01), tda=gains(0, 0), copy=gains(0.01, 0.02)))
    second = claims_table(seeds(gcl=gains(0), tda=gains(0)))
    pooled = pooled_claims([first, second])
    assert OURS not in set(pooled["claim"])
    assert set(pooled["seeds"]) == {3}
    assert len(pooled_claims([second])) == 0


def test_the_headline_is_what_the_seeds_of_both_profiles_give():
    line = where(read_table(FIGURES / "pooled" / "claims.csv"), claim="C2", metric=MAP).to_dict("records")[0]
    parts = [
        where(read_table(FIGURES / profile / "claims.csv"), claim="C2", metric=MAP).to_dict("records")[0]
        for profile in POOLED_PROFILES
    ]
    assert line["seeds"] == sum(part["seeds"] for part in parts) == 8
    assert line["effect"] == pytest.approx(sum(part["seeds"] * part["effect"] for part in parts) / 8)
    # docs/LOG.md has the five seeds of evidence_light; three with the mean and interval of evidence stand for its own
    light = np.subtract([67.7, 76.3, 76.2, 84.6, 77.8], [66.3, 79.1, 74.9, 83.7, 78.4])
    mean, error = parts[0]["effect"], (parts[0]["high over seeds"] - parts[0]["low over seeds"]) / 2 / 4.302653
    other = mean + np.sqrt(3) * error * np.array([-1, 0, 1])  # standard deviation: that of the three
    whole = seed_effect([*other.tolist(), *light.tolist()], [0] * 8)
    assert (line["low over seeds"], line["high over seeds"]) == pytest.approx(whole.over_seeds, abs=0.05)


def test_pooled_profiles_train_what_they_share_with_the_same_settings_on_other_people():
    studies = [load_study(profile) for profile in POOLED_PROFILES]
    trees = [study.model_dump(exclude={"profile", "seeds", "variants"}) for study in studies]
    starts = [tree["people"].pop("seed") for tree in trees]
    for tree in trees:
        del tree["evaluation"]["fid_variants"]
    assert trees[0] == trees[1]
    assert not set(range(starts[0], starts[0] + 10)) & set(range(starts[1], starts[1] + 10))
    for name in ("gcl", "tda", "drawn_once"):
        assert studies[0].variants[name] == studies[1].variants[name]


def test_a_profile_without_tables_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RunError, match=r"claims\.csv is not there.*; run the study of that profile first"):
        write_verdicts(tmp_path, ["evidence"])
    with pytest.raises(SystemExit) as ended:
        main(["verdicts", "market1501"])
    assert ended.value.code == 1  # where its pictures lie is not asked
    assert "market1501/claims.csv is not there" in capsys.readouterr().err


def test_claims_of_real_people_get_their_verdicts_without_their_pictures(repository: Path, tmp_path: Path):
    shutil.copytree(repository / "figures" / "reference" / "real_small", tmp_path / "real_small")
    before = (tmp_path / "real_small" / "claims.csv").read_bytes()
    assert tmp_path / "real_small" / "claims.csv" in write_verdicts(tmp_path, ["real_small"])
    assert (tmp_path / "real_small" / "claims.csv").read_bytes() == before


def test_types_of_a_table_without_rows():
    empty = pooled_claims([pd.DataFrame(columns=COLUMNS)])
    assert list(empty.columns) == COLUMNS
