"""Settings of stage 3 one by one: the table over seeds, and curves over their values."""

import numpy as np
import pandas as pd
import pytest

from gcl_core.config import load_study
from gcl_core.figures.sensitivity import sensitivity_figure
from gcl_core.measure.evidence import PARAMETERS, Evidence, Measured
from gcl_core.outputs import written_by
from gcl_core.settings.training import CURVED
from gcl_core.tables.sensitivity import CURVES, sensitivity_table

PIDS = np.repeat(np.arange(30), 2)
NAMES = ("tau_02", "tau_20", "rho_04", "angles_three")


def scored(share: float, *changes: str) -> Measured:
    queries = pd.DataFrame({"pid": PIDS, "ap": np.full(len(PIDS), share)})
    return Measured(queries, purpose="setting" if changes else "control", changes=changes)


def test_settings_have_a_column_a_seed_and_a_spread():
    tau, unlike = ("contrast.temperature",), ("contrast.temperature", "clustering.rho")
    shares = {"drawn_once": ((0.4, 0.4, 0.4), ()), "cold": ((0.37, 0.37, 0.37), tau), "warm": ((0.43, 0.37, 0.41), tau)}
    shares |= {"tau_and_rho": ((0.5, 0.5, 0.5), unlike)}  # a name says nothing: it changes two settings
    evidence = [
        Evidence(100, {name: scored(each[seed], *changes) for name, (each, changes) in shares.items()})
        for seed in range(3)
    ]
    table = sensitivity_table(evidence).set_index("variant")
    assert table.loc["warm", ["seed 0 mAP", "seed 1 mAP", "mAP", "spread"]].tolist() == pytest.approx(
        [43, 37, 40 + 1 / 3, 6]
    )
    assert table.loc["drawn_once", "spread"] == 0
    assert table.index.tolist() == ["drawn_once", "cold", "warm"]  # what nobody has run has no row


def test_curves_stand_over_the_values_that_the_variants_train_with():
    changes = ({"contrast.temperature": 0.02}, {"contrast.temperature": 0.2}, {"clustering.rho": 0.04})
    study = load_study("smoke", "contrast.temperature=0.05 clustering.rho=0.03")
    tree = study.model_dump() | {"variants": {name: each.model_dump() for name, each in study.variants.items()}}
    for name, change in zip(NAMES, (*changes, {"angles": [90, 180, 270]}), strict=True):
        tree["variants"][name] = {"view": "drawn_once", "purpose": "setting", "changes": change}
    tree["variants"]["drawn_once"] = {"view": "drawn_once", "purpose": "control"}
    study = type(study).model_validate(tree)
    shares = {"drawn_once": 0.5, "tau_02": 0.4, "tau_20": 0.6, "rho_04": 0.3}
    evidence = [
        Evidence(9, {name: scored(share + seed / 100, *study.variants[name].changes) for name, share in shares.items()})
        for seed in (0, 2)
    ]
    figure = sensitivity_figure(study, sensitivity_table(evidence))
    temperature, rho = figure.axes  # angles_three was not run, and drawn_once alone is no curve
    assert [text.get_text() for text in temperature.get_xticklabels()] == ["0.02", "0.05", "0.2"]
    assert [text.get_text() for text in rho.get_xticklabels()] == ["0.03", "0.04"]
    first, second, mean, ring = temperature.lines
    assert temperature.get_legend_handles_labels()[1] == ["one seed", "mean", "as everywhere else"]
    assert np.asarray(first.get_ydata()) == pytest.approx([40, 50, 60])
    assert np.asarray(second.get_ydata()) == pytest.approx([42, 52, 62])
    assert np.asarray(mean.get_ydata()) == pytest.approx([41, 51, 61])
    assert (ring.get_xdata(), ring.get_ydata()) == ([0.05], pytest.approx([51]))
    assert np.asarray(mean.get_xdata()) == pytest.approx([0.02, 0.05, 0.2])
    assert (temperature.get_xscale(), rho.get_xscale()) == ("log", "linear")  # a factor of ten, of a third


def test_without_runs_the_table_has_no_row_and_no_curve_can_be_drawn():
    for evidence, rows in (([], 0), ([Evidence(100, {})], 0), ([Evidence(100, {"drawn_once": scored(0.5)})], 1)):
        table = sensitivity_table(evidence)
        assert len(table) == rows
        with pytest.raises(ValueError, match="no curve to draw"):
            sensitivity_figure(load_study("smoke"), table)


def test_every_curve_is_of_a_setting_that_variants_may_change():
    study = load_study("evidence_settings")
    changed = [tuple(each.changes) for each in study.variants.values() if each.purpose == "setting"]
    assert {(PARAMETERS[parameter],) for parameter in CURVES} == set(changed) == {(setting,) for setting in CURVED}


def test_a_study_without_a_curve_promises_none():
    """Of a setting that is not drawn, or without the variant that has it as everywhere else."""
    once = "variants.drawn_once={title: once, view: drawn_once, purpose: control}"
    cold = "variants.cold={view: drawn_once, purpose: setting, changes: {contrast.temperature: 0.02}}"
    long = "variants.long={view: drawn_once, purpose: setting, changes: {joint.epochs: 2}}"
    promised = [
        "sensitivity.png" in written_by("11_claims", load_study("smoke", words))
        for words in ([once, cold], [once, cold, long], [cold], [once, long], [once])
    ]
    assert promised == [True, True, False, False, False]
