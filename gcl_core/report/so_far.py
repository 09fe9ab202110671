"""What a study's finished trainings say of the claims while the others are still to come."""

from dataclasses import replace

from gcl_core.figures.by_epoch import EXPLAINED as BANDS
from gcl_core.figures.by_epoch import by_epoch_figure
from gcl_core.figures.claims import claims_caption, claims_figure
from gcl_core.figures.cluster_count import EXPLAINED, cluster_count_figure
from gcl_core.figures.dose import dose_caption, dose_figure
from gcl_core.figures.style import save_figure
from gcl_core.files import RunError
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_runs, headline_words, records, repeated, run_problem
from gcl_core.measure.collected import collected_evidence
from gcl_core.measure.protocols import protocol_lines
from gcl_core.measure.recorded import evidence_lines, precision_lines, recorded_evidence
from gcl_core.outputs import written_by
from gcl_core.records import read_record, record_path, save_record
from gcl_core.tables.by_epoch import by_epoch_table
from gcl_core.tables.claim_readings import caveat, claims_page
from gcl_core.tables.claim_words import titles
from gcl_core.tables.claims import claims_table
from gcl_core.tables.cluster_count import COMPARED, cluster_count_table
from gcl_core.tables.controls import controls_table
from gcl_core.tables.dose import dose_reading, dose_table
from gcl_core.tables.formats import save_table
from gcl_core.tables.protocols import protocols_table

CONTROL = "tda"  # what nearly everything is compared with


def finished_variants(layout: Layout) -> list[str]:
    """Return the variants whose trainings have all finished on every seed, in the order of the profile."""
    study = layout.study
    return [
        name
        for name in study.variants
        if not any(
            run_problem(layout, name, seed, repeat) for seed in range(study.seeds) for repeat in study.repeats_of(name)
        )
    ]


def claims_so_far(layout: Layout) -> list[str]:
    """Make the tables, figures and records of notebook 11 from what has finished; return the variants they have.

    A variant counts when it has finished on every seed of the study; comparisons with others have no row. Where GCL is
    among them the clusters per epoch are made too, for real people the table of retrieval protocols. Once all have run,
    the notebooks write the same files anew. Raises RunError unless TDA and another variant have finished, where the
    notebook of all variants has written these files, and where they hold a variant that would be left out now.
    """
    names = finished_variants(layout)
    if len(names) == len(layout.study.variants) and (layout.runs / "steps" / "11_claims.done").is_file():
        raise RunError(
            f"profile {layout.study.profile} has run whole: {layout.figures} holds the tables of all its variants, and "
            f"nothing there changed. `python -m gcl_core redraw {layout.study.profile}` makes them anew"
        )
    recorded = record_path(layout.figures, "evidence")
    held = set(read_record(layout.figures, "evidence")["variant"]) if recorded.is_file() else set()
    if lost := sorted(held - set(names)):
        raise RunError(
            f"{layout.figures} holds results of {', '.join(lost)}, and there is no finished run of today's code and "
            "settings for them; nothing there changed. Train them again, or move this folder away first"
        )
    if CONTROL not in names or len(names) == 1:
        raise RunError(
            f"finished on all seeds of {layout.study.profile} ({layout.study.seeds}): {', '.join(names) or 'none'}; "
            f"the claims take {CONTROL} and another one. Wait, or ask for fewer seeds by seeds=N"
        )
    study = layout.study.model_copy(update={"variants": {name: layout.study.variants[name] for name in names}})
    layout = replace(layout, study=study)
    stages = ["baseline", *names]
    runs = finished_runs(layout, stages)
    found = collected_evidence(layout)
    measured = save_record(evidence_lines(found), layout, "evidence", runs=runs)
    precision = save_record(precision_lines(found), layout, "precision", runs=runs)
    evidence = recorded_evidence(study, measured, precision)
    epochs = save_record(records(layout, stages), layout, "epochs", runs=runs)
    repeats = save_record(repeated(layout), layout, "repeats", runs=runs)
    words = f"profile {study.profile}, seeds: {study.seeds}, variants that have finished on all of them"
    caption = f"Controls and variants, {headline_words(study)}, mean and half the range over seeds; {words}."
    save_table(controls_table(study, epochs, repeats), layout, "controls", runs=runs, caption=caption)
    table, written = claims_table(evidence), written_by("11_claims", study)
    dose = dose_table(evidence, table)
    caption = f"The paper's claims: effects, 95 % intervals, verdicts; {words}. {caveat(study)}".strip()
    page = claims_page(study, table, dose_reading(dose, titles(study)))
    save_table(table, layout, "claims", runs=runs, caption=caption, reading=page)
    figure, caption = claims_figure(study, table, evidence), claims_caption(study, words)
    save_figure(figure, layout, "claims", runs=runs, caption=caption)
    caption, curves = f"mAP after the measured epochs of stage 3, {words}.", by_epoch_table(study, epochs)
    save_table(curves, layout, "by_epoch", runs=runs, caption=caption)
    save_figure(by_epoch_figure(study, curves), layout, "by_epoch", runs=runs, caption=f"{caption} {BANDS}")
    if set(COMPARED) <= set(names):
        counts, compared = cluster_count_table(epochs), finished_runs(layout, COMPARED)
        caption = f"Clusters per epoch of joint training, GCL and TDA control, {words}, {found[0].people} people."
        save_table(counts, layout, "figure2_cluster_count", runs=compared, caption=caption)
        figure = cluster_count_figure(study, counts, found[0].people)
        save_figure(figure, layout, "figure2_cluster_count", runs=compared, caption=f"{caption} {EXPLAINED}")
    if "dose.csv" in written:
        caption = f"Gain in mAP over TDA by the quality of the views given, with 95 % intervals, {words}."
        save_table(dose, layout, "dose", runs=runs, caption=caption)
        save_figure(dose_figure(study, dose), layout, "dose", runs=runs, caption=dose_caption(dose, words))
    if "protocols.csv" in written_by("07_ablations", study):
        asked = save_record(protocol_lines(layout), layout, "protocols", runs=runs)
        caption = f"Retrieval by three protocols in percent, {headline_words(study)}, means over seeds; {words}."
        save_table(protocols_table(study, asked), layout, "protocols", runs=runs, caption=caption)
    return names
