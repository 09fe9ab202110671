"""Tables and plots made anew from the records that a profile's folder holds: no run, no data and no GPU is needed."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont

from gcl_core.config import Study
from gcl_core.figure_manifest import given_words, gone_or_changed, read_manifest, renew_hashes
from gcl_core.figures import style
from gcl_core.figures.ablations import ablation_figure
from gcl_core.figures.by_epoch import by_epoch_figure
from gcl_core.figures.claims import claims_figure
from gcl_core.figures.cluster_count import cluster_count_figure
from gcl_core.figures.clusterers import clusterer_figure
from gcl_core.figures.clusters import clustering_figure
from gcl_core.figures.dose import dose_figure
from gcl_core.figures.fid import fid_figure
from gcl_core.figures.gallery import write_gallery
from gcl_core.figures.sensitivity import sensitivity_figure
from gcl_core.figures.three_datasets import dataset_accuracy_figure
from gcl_core.files import RunError
from gcl_core.measure.artifacts import where
from gcl_core.measure.averaged_views import averaged_table
from gcl_core.measure.clustered import recorded_split
from gcl_core.measure.evidence import Evidence
from gcl_core.measure.recorded import as_run, recorded_evidence, recorded_fid, recorded_floor
from gcl_core.measure.view_quality import view_quality_table
from gcl_core.measure.view_ways import way_table
from gcl_core.outputs import OUTPUTS, Output
from gcl_core.records import FOLDER, read_record, record_path
from gcl_core.tables.ablations import ablation_table
from gcl_core.tables.accuracy import accuracy_table, recorded_joint
from gcl_core.tables.by_epoch import by_epoch_table
from gcl_core.tables.claim_readings import claims_page
from gcl_core.tables.claim_words import titles
from gcl_core.tables.claims import claims_table
from gcl_core.tables.cluster_count import cluster_count_table
from gcl_core.tables.controls import controls_table
from gcl_core.tables.dose import dose_reading, dose_table
from gcl_core.tables.fid import fid_table, ordering_table
from gcl_core.tables.formats import read_table, write_table
from gcl_core.tables.protocols import protocols_table
from gcl_core.tables.sensitivity import sensitivity_table
from gcl_core.tables.three_datasets import dataset_accuracy_table
from gcl_core.tables.three_datasets_fid import dataset_fid_table, dataset_orderings


class Kept:
    """What a profile's figures keep of its runs: records, and tables made of them or, without records, read."""

    def __init__(self, study: Study, folder: Path, suffix: str = ""):
        """`suffix` is that of a seed whose own records these are. Variants that were never run are left out."""
        self.study, self.folder, self.suffix = as_run(study, folder), folder, suffix
        self.record, self.table = cache(self._record), cache(self._table)

    def _record(self, name: str) -> pd.DataFrame:
        return read_record(self.folder, name, self.suffix)

    def _table(self, name: str) -> pd.DataFrame:
        if name in TABLES and self.has(next(each for each in OUTPUTS if (each.kind, each.name) == ("table", name))):
            return TABLES[name](self)
        return read_table(self.folder / f"{name}{self.suffix}.csv")

    def has(self, output: Output) -> bool:
        """Return whether all records that an output is made of are there."""
        return _has(self.folder, output, self.suffix)

    def evidence(self) -> list[Evidence]:
        """Return the evidence for the claims, none where it was not recorded."""
        if not record_path(self.folder, "evidence", self.suffix).is_file():
            return []
        return recorded_evidence(self.study, self.record("evidence"), self.record("precision"))

    def fid(self) -> dict[str, list[dict[str, Any]]]:
        """Return FID of every variant and seed, none where it was not recorded."""
        there = record_path(self.folder, "fid", self.suffix).is_file()
        return recorded_fid(self.record("fid")) if there else {}

    def people(self) -> int:
        """Return the number of training people."""
        if (self.folder / "dataset.csv").is_file():
            return int(where(self.table("dataset"), split="train")["people"].iloc[0])
        return self.evidence()[0].people


TABLES: Mapping[str, Callable[[Kept], pd.DataFrame]] = {  # tables that are made of records
    "ablations": lambda kept: ablation_table(kept.study, kept.record("epochs"), kept.record("repeats")),
    "accuracy_three_datasets": lambda kept: dataset_accuracy_table(kept.study, kept.record("dataset_runs")),
    "by_epoch": lambda kept: by_epoch_table(kept.study, kept.record("epochs")),
    "claims": lambda kept: claims_table(kept.evidence()),
    "controls": lambda kept: controls_table(kept.study, kept.record("epochs"), kept.record("repeats")),
    "dose": lambda kept: dose_table(kept.evidence(), kept.table("claims")),
    "figure2_cluster_count": lambda kept: cluster_count_table(kept.record("epochs")),
    "orderings_three_datasets": lambda kept: dataset_orderings(kept.record("dataset_fid")),
    "protocols": lambda kept: protocols_table(kept.study, kept.record("protocols")),
    "reid_accuracy": lambda kept: accuracy_table(
        kept.study, kept.record("epochs"), recorded_joint(kept.record("jvtc_plus"))
    ),
    "sensitivity": lambda kept: sensitivity_table(kept.evidence()),
    "table1_fid_per_view": lambda kept: fid_table(
        kept.study, recorded_fid(kept.record("fid")), recorded_floor(kept.record("fid_floor"))
    ),
    "table1_orderings": lambda kept: ordering_table(kept.study, recorded_fid(kept.record("fid"))),
    "table1_three_datasets": lambda kept: dataset_fid_table(
        kept.study, kept.record("dataset_runs"), kept.record("dataset_fid")
    ),
    "test_time_views": lambda kept: averaged_table(kept.study, kept.record("test_time_views")),
    "view_quality": lambda kept: view_quality_table(kept.study, kept.record("view_quality")),
    "view_ways": lambda kept: way_table(kept.record("view_ways")),
}
PLOTS: Mapping[str, Callable[[Kept], Figure]] = {
    "ablations": lambda kept: ablation_figure(kept.study, kept.record("epochs"), kept.record("repeats")),
    "accuracy_three_datasets": lambda kept: dataset_accuracy_figure(kept.table("accuracy_three_datasets")),
    "by_epoch": lambda kept: by_epoch_figure(kept.study, kept.table("by_epoch")),
    "claims": lambda kept: claims_figure(kept.study, kept.table("claims"), kept.evidence()),
    "clusterers": lambda kept: clusterer_figure(kept.record("clustered_pictures"), kept.table("clusterers")),
    "clustering_analysis": lambda kept: clustering_figure(
        kept.record("clustered_pictures"),
        kept.record("clustered_distances"),
        recorded_split(kept.record("clustered_split")),
        eps=kept.table("clustering_analysis")["eps"].iloc[0],
    ),
    "dose": lambda kept: dose_figure(kept.study, kept.table("dose")),
    "fid_per_view": lambda kept: fid_figure(kept.study, kept.table("table1_fid_per_view"), kept.fid()),
    "figure2_cluster_count": lambda kept: cluster_count_figure(
        kept.study, kept.table("figure2_cluster_count"), kept.people()
    ),
    "sensitivity": lambda kept: sensitivity_figure(kept.study, kept.table("sensitivity")),
}
READINGS: Mapping[str, Callable[[Kept], str]] = {  # what stands above a table
    "claims": lambda kept: claims_page(
        kept.study, kept.table("claims"), dose_reading(kept.table("dose"), titles(kept.study))
    )
}
SUFFICES = {  # plots that can be drawn without records, and the table that it takes
    **{name: name for name in ("accuracy_three_datasets", "by_epoch", "claims", "dose", "sensitivity")},
    **{"fid_per_view": "table1_fid_per_view", "figure2_cluster_count": "dataset"},
}


def redraw(study: Study, folder: Path, out: Path | None = None, look: Path | None = None) -> list[Path]:
    """Make the tables and plots of a profile's folder anew and return the files written, to `out` or in place.

    What has records is made of them, by the functions that the notebooks call; of a table without records, Markdown and
    LaTeX are made of its CSV. Captions are those of the manifest. Pictures of people, and plots whose records were
    never kept, stay as they are (`not_redrawn`); nothing is removed. In place, the gallery is written anew. `look` is a
    matplotlib style file, applied over the study's own; it needs `out`.
    Raises RunError for a folder without figures, one that another profile made, records or tables that were changed
    after they were made, or a style that cannot be read or drawn with; nothing is written then.
    """
    if look is not None and out is None:
        raise RunError("redraw: another style needs --out DIR, so that the study's own figures stay as they are")
    entries = read_manifest(folder)
    if not entries:
        raise RunError(
            f"{folder} holds no figures with a manifest.json; run the study of that profile first, or take "
            "the committed figures by --reference"
        )
    _require_as_made(study, folder, entries)
    files: list[Path] = []
    with style.restyled(_style(look)):
        if look is not None:
            _require_drawable(look)
        seen: dict[str, Kept] = {}
        for output, suffix in _redrawable(study, folder, entries):
            kept, name = seen.setdefault(suffix, Kept(study, folder, suffix)), f"{output.name}{suffix}"
            if output.kind == "figure":
                figure = PLOTS[output.name](kept)
                style.write_foot(figure, given_words(study))
                files += style.write_figure(figure, out or folder, name)
            else:
                caption = entries[f"{name}.csv"]["caption"]
                reading = _reading(kept, output, caption)
                files += write_table(kept.table(output.name), out or folder, name, caption=caption, reading=reading)
    if out is None:
        renew_hashes(folder, files)
        files.append(write_gallery(study, folder))
    return files


def _require_as_made(study: Study, folder: Path, entries: Mapping[str, Any]) -> None:
    """Raise RunError where a record, or a table that has none, is not as it was made: numbers that nobody measured."""
    kept = [
        f"{output.name}{suffix}.csv"
        for output, suffix in _redrawable(study, folder, entries)
        if output.kind == "table" and not (output.records and _has(folder, output, suffix))
    ]
    records = [name for name in entries if name.startswith(f"{FOLDER}/")]
    if changed := gone_or_changed(folder, entries, [*records, *kept])[1]:
        raise RunError(
            f"{folder}: {', '.join(changed[:3])} changed after they were made, so nothing is made of them. Take them "
            "from where they were made, or run the notebooks that write them again"
        )


def not_redrawn(study: Study, folder: Path) -> list[str]:
    """Return the figures of a folder that `redraw` leaves as they are: pictures, and plots without their records."""
    entries = read_manifest(folder)
    drawn = {name for output, suffix in _redrawable(study, folder, entries) for name in output.files(suffix)}
    return [name for name in entries if name.endswith(".png") and name not in drawn]


def _redrawable(study: Study, folder: Path, entries: Mapping[str, Any]) -> Iterator[tuple[Output, str]]:
    """Yield the tables and plots of a manifest that can be made anew, each with the suffix of its seed."""
    run = as_run(study, folder)
    for output in (each for each in OUTPUTS if each.made_by(run)):
        first = re.escape(output.files()[0]).replace(output.name, rf"{output.name}((?:_seed\d+)?)")
        found = [match[1] for name in entries if (match := re.fullmatch(first, name))]
        yield from ((output, suffix) for suffix in found if _can_be_made(folder, output, suffix))


def _can_be_made(folder: Path, output: Output, suffix: str) -> bool:
    if output.kind != "figure" or output.name not in PLOTS:
        return output.kind == "table"
    table = folder / f"{SUFFICES.get(output.name, '')}.csv"
    return table.is_file() or (bool(output.records) and _has(folder, output, suffix))


def _has(folder: Path, output: Output, suffix: str) -> bool:
    return all(record_path(folder, name, suffix).is_file() for name in output.records)


def _reading(kept: Kept, output: Output, caption: str) -> str:
    """Return what stands above a table: made anew with it or, where only its CSV is kept, what was written then."""
    if output.name in READINGS and kept.has(output):
        return READINGS[output.name](kept)
    page = kept.folder / f"{output.name}{kept.suffix}.md"
    try:
        written = page.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"cannot read {page}: {error.strerror or error}; what stands above this table is kept there alone: "
            "take it back, or run the notebook that writes it"
        ) from error
    return written.rpartition(f"{caption}\n\n")[0].removesuffix("\n\n")


def _style(path: Path | None) -> dict[Any, Any]:
    try:
        if path is None:
            return {}
        return dict(mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False))
    except OSError as error:
        raise RunError(f"cannot read the style {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RunError(
            f"cannot read the style {path}: it is no text in UTF-8; give a matplotlib style file, saved as UTF-8"
        ) from error
    except ValueError as error:
        raise RunError(f"cannot read the style {path}: {error}; correct that line") from error


@style.styled()
def _require_drawable(path: Path) -> None:
    """Draw a little figure of a style. Raises RunError where matplotlib cannot."""
    figure = style.new_figure(1.0, 1.0)
    figure.subplots().set_title("title $x$")
    try:
        findfont(FontProperties(), fallback_to_default=False)  # else every text tells that it is not there
        for kind in ("pdf", "png"):
            figure.savefig(io.BytesIO(), format=kind)
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"cannot draw with the style {path}: {error}; nothing was written. Leave out what this machine lacks "
            "(a font, or LaTeX for text.usetex), or install it"
        ) from error
