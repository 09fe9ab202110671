"""The numbers in the README and in docs/FINDINGS.md are those of the committed figures."""

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.evaluation.effects import seed_effect
from gcl_core.files import RunError
from gcl_core.report.front_page import MARK, filled
from gcl_core.tables.formats import read_table

FINDINGS = "docs/FINDINGS.md"
INTERVALS = (  # told on that page with their interval over seeds, rounded once: of which table, comparison and metric
    *(("pooled", "gcl - tda", metric) for metric in ("mAP", "mAP, far - near views")),
    *(("pooled", compared, "mAP") for compared in ("drawn_once - tda", "gcl - drawn_once")),
    *(("evidence", "gcl - tda", metric) for metric in ("mAP", "mAP, far - near views")),
    *(("evidence", f"gcl - no_l_vi{loss}", "mAP") for loss in ("", "_prime", "_second")),
    *(("evidence", f"{name} - tda", "mAP") for name in ("true_views", "dose_blur_2", "dose_blur_4")),
    ("evidence_light", "gcl - tda", "mAP"),
    *(("evidence_light", "gcl_light - tda", metric) for metric in ("mAP", "rank-1")),
    *(("evidence2", f"surface - {name}", "mAP") for name in ("tda", "copy", "surface_unturned", "gcl", "drawn_once")),
    *(("evidence2", f"gcl - {name}", "mAP") for name in ("tda", "copy", "drawn_once")),
    *(("evidence2", f"drawn_once - {name}", "mAP") for name in ("tda", "copy")),
    ("evidence2", "gcl - tda", "mAP, far - near views"),
    ("evidence_light", "gcl - drawn_once", "mAP"),
    *(("evidence2", f"{name} - tda", "mAP") for name in ("surface_known", "true_views", "copy")),
    ("evidence2", "surface_cluster - surface", "mAP"),
    *(("evidence2_worn", f"surface - {name}", "mAP") for name in ("tda", "copy", "surface_unturned")),
    *(("evidence2_worn", *each, "mAP") for each in (("true_views - tda",), ("surface_cluster - surface",))),
    *(("evidence2", f"surface_30 - {name}_30", "mAP") for name in ("tda", "copy")),
    *(("evidence3", f"gcl - no_l_vi{loss}", "mAP") for loss in ("", "_prime", "_second")),
    *(("evidence3", "gcl - tda", metric) for metric in ("mAP", "mAP, far - near views")),
    ("evidence3", "tda - gcl", "clusters off, % of people"),
    ("evidence3", "gcl - no_vi", "PSNR on the person (dB)"),
    ("evidence3", "gcl, published order of views", "Spearman's rho"),
    *(("real_small", f"{name} - tda", "mAP") for name in ("gcl", "surface", "copy")),
    *(("real_small", name, "mAP") for name in ("gcl - copy", "surface - gcl")),
)
EFFECTS = (
    ("evidence_background", "true_views - tda"),
    ("evidence_background", "true_views_tda - tda"),
    *(("evidence_settings", f"{name} - drawn_once") for name in ("rho_01", "tau_20", "tau_10")),
)


def told_under(repository: Path, heading: str) -> dict[str, list[str]]:
    """The rows of five cells under a heading of the page, by their first cell; nothing is in bold."""
    _, _, section = (repository / FINDINGS).read_text(encoding="utf-8").partition(heading)
    lines = [line for line in re.split(r"\n##+ ", section)[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells if len(row) == 5 and re.match(r"\d", row[1])}


def test_table_of_mini_says_what_the_figures_say(repository: Path):
    told = told_under(repository, "## Profile `mini`")
    variants = pd.read_csv(repository / "figures" / "reference" / "mini" / "ablations.csv").set_index("variant")
    accuracy = pd.read_csv(repository / "figures" / "reference" / "mini" / "reid_accuracy.csv").set_index("method")
    assert set(told) >= {"GCL", "TDA control", "random start", "baseline (stage 1: TDA contrast)"}
    for name, (map_, rank1, clusters, ari) in told.items():
        source = variants if name in variants.index else accuracy[accuracy["source"] == "ours"]
        line = source.loc[name].to_dict()
        assert (map_, rank1) == (f"{line['mAP']:.1f}", f"{line['rank-1']:.1f}"), name
        if clusters:
            line = line if name in variants.index else variants.loc["start"].to_dict()  # all start with its clusters
            assert (clusters, ari) == (f"{line['clusters']:.0f}", f"{line['ARI']:.3f}"), name


def test_table_of_evidence_says_what_the_figures_say(repository: Path):
    told = {name.split("`")[1]: row for name, row in told_under(repository, "## The first round").items()}
    controls = pd.read_csv(repository / "figures" / "reference" / "evidence" / "controls.csv").set_index("variant")
    titles = {each.title: name for name, each in load_study("evidence").variants.items()}
    controls.index = [titles.get(name, name.split()[0]) for name in controls.index]
    assert set(told) >= {"baseline", "gcl", "tda", "tda_long", "copy", "drawn_once", "true_views"}
    for name, cells in told.items():
        line = controls.loc[name].to_dict()
        assert cells == [f"{line['mAP']:.1f} ± {line['± mAP']:.1f}", *beside(line, ".1f")], name


@pytest.mark.parametrize(
    ("heading", "profile"),
    [
        ("## The second round", "evidence2"),
        ("### People whose left and right", "evidence2_worn"),
        ("## The third round", "evidence3"),
    ],
)
def test_tables_of_the_later_rounds_say_what_the_figures_say(repository: Path, heading: str, profile: str):
    told = told_under(repository, heading)
    controls = own_controls(repository, profile)
    assert set(told) == set(controls.index) - {"random start"}
    for name, cells in told.items():
        line = controls.loc[name].to_dict()
        assert cells == [f"{line['mAP']:.1f} ± {line['± mAP']:.1f}", *beside(line, ".1f")], name


def test_table_of_750_people_says_what_the_figures_say(repository: Path):
    told = told_under(repository, "## The number of clusters with 750 people")
    controls = own_controls(repository, "people_750")
    assert set(told) == set(controls.index) - {"random start"}
    for name, cells in told.items():
        line = controls.loc[name].to_dict()
        assert cells == [f"{line['mAP']:.1f}", *beside(line, ",.0f")], name
    table = read_table(repository / "figures" / "reference" / "people_750" / "figure2_cluster_count.csv")
    left_out = table[table["epoch"] == table["epoch"].max()].set_index("run")["outliers"]
    assert f"left out ({left_out['gcl']:,.0f} with GCL, {left_out['tda']:,.0f} with TDA)" in findings(repository)


def test_table_of_real_photographs_says_what_the_figures_say(repository: Path):
    _, _, section = (repository / FINDINGS).read_text(encoding="utf-8").partition("## Real photographs")
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    told = {row[0]: row[1:] for row in cells if re.match(r"\d", row[1])}
    protocols = read_table(repository / "figures" / "reference" / "real_small" / "protocols.csv").set_index("encoder")
    controls = own_controls(repository, "real_small")
    assert set(told) == set(protocols.index)
    for name, (*found, clusters, ari) in told.items():
        line = protocols.loc[name].to_dict()
        columns = [f"mAP, {protocol}" for protocol in ("standard", "other", "within")]
        assert found == [f"{line[column]:.1f} ± {line[f'± {column}']:.1f}" for column in columns], name
        if clusters:
            assert [clusters, ari] == beside(controls.loc[name].to_dict(), ",.0f")[1:], name


def beside(line: Mapping[Hashable, Any], clusters: str) -> list[str]:
    """What stands beside a variant's mAP."""
    return [f"{line['rank-1']:.1f}", f"{line['clusters']:{clusters}}", f"{line['ARI']:.3f}"]


def own_controls(repository: Path, profile: str) -> pd.DataFrame:
    """The committed table of controls by the variants' names, the baseline's cut short."""
    controls = read_table(repository / "figures" / "reference" / profile / "controls.csv").set_index("variant")
    controls.index = ["baseline" if name.startswith("baseline") else name for name in controls.index]
    return controls


def test_table_of_views_at_test_time_says_what_the_figures_say(repository: Path):
    lines = (repository / FINDINGS).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    told = {row[0]: [float(cell) for cell in row[1:]] for row in cells if len(row) == 7 and row[1][0].isdigit()}
    table = read_table(repository / "figures" / "reference" / "mini" / "test_time_views.csv")
    known = table.loc[table["measure"] == "mAP"].drop(columns="measure").set_index("stage").round(1)
    assert told == {name: row.tolist() for name, row in known.iterrows()}


def findings(repository: Path) -> str:
    """Return what docs/FINDINGS.md says, in one line."""
    return " ".join((repository / FINDINGS).read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("folder", "compared", "metric"), INTERVALS)
def test_an_effect_is_told_with_its_interval_over_seeds(repository: Path, folder: str, compared: str, metric: str):
    lines = read_table(repository / "figures" / "reference" / folder / "claims.csv").to_dict("records")
    (line,) = [each for each in lines if (each["compared"], each["metric"]) == (compared, metric)]
    told = f"{line['effect']:+.1f} {line['low over seeds']:+.1f} to {line['high over seeds']:+.1f}"
    assert told in re.sub(
        r"[(),]| mAP| over TDA| dB| % of the people in the number of clusters", "", findings(repository)
    )


@pytest.mark.parametrize(("folder", "compared"), EFFECTS)
def test_an_effect_is_told_rounded_once(repository: Path, folder: str, compared: str):
    lines = read_table(repository / "figures" / "reference" / folder / "claims.csv").to_dict("records")
    (line,) = [each for each in lines if (each["compared"], each["metric"]) == (compared, "mAP")]
    assert f"{line['effect']:+.1f}" in findings(repository)


def test_what_fid_said_is_told_whole(repository: Path):
    table = read_table(repository / "figures" / "reference" / "evidence" / "table1_fid_per_view.csv").to_dict("records")
    fid = {(each["method"], each["encoding"]): each["mean"] for each in table if each["measure"] == "FID"}
    with_, without = fid["GCL", "PNG"], fid["without the three losses", "PNG"]
    assert f"better *without* them, {without:.0f} against {with_:.0f}" in findings(repository)
    assert f"as JPEG moves it by {with_ - fid['GCL', 'JPEG 75']:.0f}." in findings(repository)


def test_the_readmes_numbers_are_those_of_the_tables(repository: Path):
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(MARK.findall(text)) >= 10
    assert not re.search(r"^\s*<!--", text, re.MULTILINE)  # a line that begins so is HTML up to the next blank one
    assert filled(text, repository / "figures" / "reference") == text, "run `python -m gcl_core readme`"
    assert len(text.splitlines()) <= 120


def test_marks_are_filled_from_one_row_each(tmp_path: Path):
    (tmp_path / "pooled").mkdir()
    columns = (
        "claim,compared,metric,effect,low over queries,high over queries,low over seeds,high over seeds,seeds,verdict"
    )
    line = "C2,gcl - tda,mAP,-1.04,,,-3.21,1.16,8,open"
    (tmp_path / "pooled" / "claims.csv").write_text(f"{columns}\n{line}\n")
    page = "it is <!--=pooled; C2; gcl - tda; mAP-->+9<!--/-->, <!--=pooled; C2; verdict-->?<!--/-->"
    made = filled(page, tmp_path)
    assert "-->\u22121.0 (\u22123.2 to +1.2)<!--/-->" in made
    assert "verdict-->open<!--/-->" in made
    for words, told in (
        ("pooled; C2; tda - gcl; mAP", "fits 0 rows"),
        ("pooled; C2; mAP", "needs profile"),
        ("pooled; ours; verdict", "needs profile"),
    ):
        with pytest.raises(RunError, match=told):
            filled(f"<!--={words}--><!--/-->", tmp_path)


def recorded_maps(folder: Path) -> dict[str, dict[int, float]]:
    """The mAP in % of each variant's seeds, the mean over repeats."""
    maps: dict[str, dict[int, list[float]]] = {}
    for line in pd.read_csv(folder / "records" / "repeats.csv").to_dict("records"):
        maps.setdefault(line["variant"], {}).setdefault(int(line["seed"]), []).append(100 * line["map"])
    return {variant: {seed: fmean(each) for seed, each in seeds.items()} for variant, seeds in maps.items()}


def effect_words(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """An effect with its interval over seeds as the pages print it."""
    effect = seed_effect(ours, theirs)
    assert effect.over_seeds is not None
    low, high = effect.over_seeds
    return f"{effect.mean:+.1f} ({low:+.1f} to {high:+.1f})"


def test_what_the_third_round_did_not_plan_is_told_as_the_records_have_it(repository: Path):
    reference = repository / "figures" / "reference"
    ten, five = (recorded_maps(reference / profile) for profile in ("evidence2", "evidence3"))
    together = effect_words(*([*ten[name].values(), *five[name].values()] for name in ("gcl", "tda")))
    assert together in findings(repository)
    epochs = pd.read_csv(reference / "evidence3" / "records" / "epochs.csv").to_dict("records")
    start = {line["seed"]: 100 * line["map"] for line in epochs if (line["stage"], line["epoch"]) == ("no_vi", 0)}
    fall = effect_words(list(five["no_vi"].values()), [start[seed] for seed in five["no_vi"]])
    assert fall in findings(repository)
    ways = read_table(reference / "evidence3" / "view_ways.csv").to_dict("records")
    turned, own = (
        {line["way"]: f"{line['mean']:.0f}" for line in ways if line["measure"] == measure}
        for measure in ("turned as asked (%)", "own person nearest (%)")
    )
    assert f"{turned['drawn']} % are nearest to the true view at the angle asked for" in findings(repository)
    assert f"{own['drawn']} % to a true view of their own person" in findings(repository)
    both = [f"{turned[way]} and {own[way]} %" for way in ("copied", "surface, fitted", "surface, known")]
    assert f"copies have {both[0]}, surface views over fitted bodies {both[1]}, over known ones {both[2]}" in findings(
        repository
    )


def test_what_was_not_planned_is_told_as_the_records_have_it(repository: Path):
    folder = repository / "figures" / "reference" / "evidence2"
    maps = recorded_maps(folder)
    readme = (repository / "README.md").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")

    def told(ours: str, theirs: str, seeds: range = range(10)) -> str:
        return effect_words(*([maps[name][seed] for seed in seeds] for name in (ours, theirs)))

    for pair in (("surface_unturned", "tda"), ("true_views", "copy")):
        assert told(*pair) in readme, pair
    for pair in (
        *(("surface_unturned", name) for name in ("tda", "copy", "gcl")),
        *(("true_views", "copy"), ("surface_known", "surface"), ("tda_30", "surface"), ("tda_30", "true_views")),
    ):
        assert told(*pair) in findings(repository), pair
    last = [told("surface", name, range(6, 10)).split()[0] for name in ("tda", "copy", "surface_unturned")]
    assert f"on the last four alone {last[0]}, {last[1]} and {last[2]}," in findings(repository)
    own = [line for line in read_table(folder / "by_epoch.csv").to_dict("records") if line["variant"] == "gcl"][1:]
    *first, end = [f"{line['mAP minus TDA']:+.1f}" for line in own]
    assert f"over TDA GCL has {', '.join(first)} and {end} points" in findings(repository)
    assert [line["low, TDA"] > 0 for line in own] == [True] * 4 + [False] * 2  # ahead for four epochs
    assert all(line["high, copies"] < 0 for line in own)  # behind throughout


def test_what_ran_after_the_third_round_is_told_as_its_table_has_it(repository: Path):
    """The trainings of docs/LOG_evidence3.csv, which README and LOG quote."""
    table = read_table(repository / "docs" / "LOG_evidence3.csv")
    ends = table.loc[table.groupby(["variant", "seed"])["epoch"].idxmax()]
    maps = {name: 100 * each.set_index("seed")["map"] for name, each in ends.groupby("variant")}
    long = effect_words(maps["gcl_30"].tolist(), maps["tda_30"].tolist())
    known = recorded_maps(repository / "figures" / "reference" / "evidence3")["gcl"]
    both = effect_words([known[seed] for seed in maps["no_drawn_pairs"].index], maps["no_drawn_pairs"].tolist())
    log, readme = ((repository / name).read_text(encoding="utf-8") for name in ("docs/LOG.md", "README.md"))
    assert f"GCL is {long[1:].replace(' ', ' below ', 1)}, and below on every seed" in log
    assert f"GCL ended {long[1:].replace(' ', ' below TDA ', 1)}".replace("-", "\u2212")[:-1] in readme
    assert f"GCL is {both[1:].replace(' ', ' above that ', 1)}" in log
    assert both.replace(" (", ", ").replace("-", "\u2212")[:-1] in readme


def test_the_levels_that_readme_names_are_those_of_the_table(repository: Path):
    levels = own_controls(repository, "evidence2")["mAP"].round(1).to_dict()
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert (
        f"baseline (stage 1) {levels['baseline']}, GCL {levels['GCL']}, TDA {levels['TDA control']}, "
        f"copies {levels['copies, no new view']}, surface views {levels['surface views']}, "
        f"true views {levels['true views']} (" in readme
    )
    assert f"it is above copies too ({levels['TDA, 30 epochs']} and {levels['copies, 30 epochs']})" in readme
