"""Claims in words: what a table of claims says to somebody who knows no variant by its code."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gcl_core.config import load_study
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import where
from gcl_core.tables.claim_readings import (
    POOL,
    REPORTING,
    claims_page,
    claims_summary,
    reported_claims,
    told_comparisons,
)
from gcl_core.tables.claim_words import FOUND, MEANINGS, UNITS, claim_rows, found_words, own_rows
from gcl_core.tables.claims import CLAIMS, COLUMNS, claims_table, judged
from gcl_core.tables.formats import NOT_RUN
from tests.tables.made_evidence import gains, seeds


def test_claims_in_words_say_what_was_found_and_name_no_variant_by_its_code():
    frame = claims_table(seeds(gcl=gains(0.03, 0.031, 0.03), tda=gains(0, 0, 0), no_l_vi=gains(0.06, 0.06, 0.06)))
    rows = {row["claim"]: row for row in claim_rows(frame).to_dict("records")}
    assert list(rows) == ["C2", "C5", "C6"]
    assert rows["C2"]["the paper says"] == "Drawn views make a better contrast than TDA"
    assert rows["C2"]["found here"] == "GCL's mAP is 3.0 points higher than TDA's"
    assert rows["C2"]["verdict"] == "reproduced"
    assert rows["C5"]["found here"] == "mAP is 3.0 points lower with L_vi (below zero)"
    assert rows["C5"]["verdict"] == "contradicted"  # one loss that harms is enough, at the level for three
    assert rows["C5"]["effect (95 % interval)"].startswith("\u22123.0 mAP for L_vi (\u22123.")
    assert rows["C6"]["found here"].endswith("(no difference of note)")
    for row in rows.values():
        assert not {"gcl", "tda", "no_l_vi"} & set(" ".join(row.values()).replace("'", " ").split())


def test_what_is_said_of_an_effect_follows_its_sign():
    up, down = (
        claims_table(seeds(gcl=gains(*values), tda=gains(0, 0, 0)))
        for values in ((0.03, -0.01, 0.02), (-0.03, 0, 0.01))
    )
    assert found_words(up, "C2") == "GCL's mAP is 1.3 points higher than TDA's (open)"
    assert found_words(down, "C2") == "GCL's mAP is 0.7 points lower than TDA's (open)"
    same = claims_table(seeds(gcl=gains(0.01, -0.01), tda=gains(0, 0)))
    assert found_words(same, "C2") == "no difference at the digits shown (mAP) (open)"


def test_every_quantity_that_decides_a_claim_has_words():
    needed = {(key, metric) for key, claim in CLAIMS.items() for metric in claim.smallest}
    assert set(FOUND) == needed
    assert {metric for _, metric in needed} <= set(UNITS)
    assert {metric for _, metric in needed} <= set(MEANINGS)


def test_comparisons_as_the_report_tells_them_are_those_that_decide_or_are_settings():
    frame = claims_table(seeds(gcl=gains(0.03, 0.031, 0.03), tda=gains(0, 0, 0)))
    [text] = told_comparisons(frame, "C2")
    assert text.startswith("gcl - tda: mAP +3.03 (")
    assert text.endswith("3 seeds), reproduced")


def test_the_page_answers_first_and_tells_rules_and_names_last():
    study = load_study("evidence")
    frame = claims_table(seeds(gcl=gains(0.03, 0.031, 0.03), tda=gains(0, 0, 0), copy=gains(0.05, 0.05, 0.05)))
    page = claims_page(study, frame, "How good views must be.")
    assert page.startswith(
        "Of the paper's 7 claims, 2 were tested here on 3 seeds: 1 reproduced, 0 contradicted, 1 with no difference of "
        "note and 0 open. Of 2 comparisons of our own: 1 above zero and 1 below zero."
    )
    order = [
        "| C2 |",
        "Not tested here: C1 (",
        "| GCL against copies, no new view |",
        "How good views must be.",
        "### What the",
    ]
    places = [page.index(words) for words in [*order, "### Rules", "### Full table"]]
    assert places == sorted(places)
    assert all(f"`{name}`: {variant.title}" in page for name, variant in study.variants.items())
    for outcome in ("*Reproduced*", "*Contradicted*", "*No difference of note*", "*Open*", "*above zero*"):
        assert outcome in page
    assert "docs/RUNNING.md says which profile tests what" in page
    assert NOT_RUN not in page
    tuned = claims_page(load_study("real_small", ["data_root=."]), frame, "")
    assert tuned.startswith("**A description, no test.**")
    assert "verdict (decides nothing) |" in tuned
    assert "reproduced, 0 contradicted" not in tuned  # what decides nothing is not counted


def test_comparisons_of_ours_are_told_by_titles_and_by_the_side_on_which_they_lie():
    frame = claims_table(seeds(gcl=gains(0.03, 0.031, 0.03), tda=gains(0, 0, 0), copy=gains(0.05, 0.05, 0.05)))
    rows = own_rows(load_study("evidence"), frame).set_index("comparison")["it is"].to_dict()
    assert rows["copies, no new view against TDA control"] == "above zero"
    assert len(own_rows(load_study("evidence"), claims_table([]))) == 0


def test_what_reporting_profiles_say_is_read_as_it_lies_without_the_details_and_missing_ones_named(tmp_path: Path):
    layout = Layout(load_study("mini"), root=tmp_path)
    for folder, words in ((POOL, "all of them"), ("evidence", "what runs gave")):
        there = replace(layout, reference=True).figures.parent / folder / "claims.md"
        there.parent.mkdir(parents=True)
        there.write_text(f"{words}\n\n### Claims\n\n### What the numbers mean\n\n### Rules\n")
    told = re.split("^### ", reported_claims(layout), flags=re.MULTILINE)[1:]
    pooled = told.pop(REPORTING.index("evidence"))  # before the round that it pools, after the later ones
    title = "All seeds of `evidence` and `evidence_light`"
    rest = "All numbers, and the rules: `figures/reference/{}/claims.md`."
    assert pooled.strip() == f"{title}\n\nall of them\n\n#### Claims\n\n{rest.format(POOL)}"
    found = told.pop(REPORTING.index("evidence"))
    assert found.strip() == f"Profile `evidence`\n\nwhat runs gave\n\n#### Claims\n\n{rest.format('evidence')}"
    assert [each.split("\n")[0] for each in told] == [
        f"Profile `{profile}`" for profile in REPORTING if profile != "evidence"
    ]
    assert all("not run" in each and "claims.md is not there" in each for each in told)


def test_what_the_page_says_of_rows_is_what_they_say():
    """A quantity of several: below zero, above zero and large enough, above zero and too small, within the margin."""
    small, tiny = (-0.003, -0.004, -0.013), (-0.003, -0.0032, -0.0034)
    variants = {"no_l_vi": gains(0.03, 0.03, 0.031), "no_l_vi_prime": gains(*small), "no_l_vi_second": gains(*tiny)}
    harmed = claims_table(seeds(gcl=gains(0, 0, 0), **variants))
    helped = claims_table(seeds(gcl=gains(0.03, 0.03, 0.031), no_l_vi=gains(0, 0, 0)))
    rows = where(harmed, claim="C5").to_dict("records")
    assert [row["verdict"] for row in rows] == ["below zero", "open", "no difference of note"]
    assert where(helped, claim="C5")["verdict"].tolist() == ["above zero"]
    rows[1] |= {"low over seeds": 0.1, "high over seeds": 1.2}  # above zero, and smaller than worth having
    assert judged(pd.DataFrame(rows, columns=COLUMNS))["verdict"].tolist()[1] == "open"
    page = claims_page(load_study("evidence"), harmed, "")
    assert "a row that would be *reproduced* or *contradicted* alone says *above zero* or *below zero*" in page
    assert "below the smallest worth having stays *open* or *no difference of note*" in page
    assert "a row says only on which side of zero" not in page


def test_how_many_seeds_is_said_of_the_claims_and_of_each_row_that_has_another_number():
    study = load_study("evidence")
    ten = [0.001 * seed for seed in range(10)]
    few = claims_table(seeds(gcl=gains(0.03, 0.031, 0.03), tda=gains(*ten), copy=gains(*ten)))
    assert "2 were tested here on 3 seeds:" in claims_summary(few)
    assert not claim_rows(few)["effect (95 % interval)"].str.contains("seeds").any()
    effects = dict(zip(*(own_rows(study, few)[name] for name in ("comparison", "effect (95 % interval)")), strict=True))
    assert effects["copies, no new view against TDA control"].endswith(", 10 seeds)")
    assert effects["GCL against copies, no new view"].endswith(")")
    assert "seeds" not in effects["GCL against copies, no new view"]
    mixed = claims_table(seeds(gcl=gains(*ten), tda=gains(*ten[:4]), no_l_vi=gains(*ten)))
    assert "tested here on 4 to 10 seeds (said with each effect):" in claims_summary(mixed)
    told = {row["claim"]: row["effect (95 % interval)"] for row in claim_rows(mixed).to_dict("records")}
    assert told["C2"].endswith(", 4 seeds)")
    assert told["C5"].endswith(", 10 seeds)")
