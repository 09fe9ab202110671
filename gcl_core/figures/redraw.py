"""Plots drawn anew from the tables that a profile's folder holds: no run, no data and no GPU is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.figure_manifest import renew_hashes
from gcl_core.figures import style
from gcl_core.figures.claims import claims_figure
from gcl_core.figures.dose import dose_figure
from gcl_core.figures.sensitivity import sensitivity_figure
from gcl_core.figures.three_datasets import dataset_accuracy_figure
from gcl_core.files import RunError
from gcl_core.tables.formats import read_table

PLOTS: dict[str, Callable[[Study, pd.DataFrame], Figure]] = {  # plot, named as its table is
    "accuracy_three_datasets": lambda _, table: dataset_accuracy_figure(table),
    "claims": lambda _, table: claims_figure(table),
    "dose": dose_figure,
    "sensitivity": sensitivity_figure,
}


def redraw(study: Study, folder: Path, out: Path | None = None, look: Path | None = None) -> list[Path]:
    """Draw the plots of a folder's tables and return the files written, to `out` or in place.

    `look` is a matplotlib style file, applied over the study's own; it needs `out`. Raises RunError for a folder
    without tables or a style that cannot be read.
    """
    if look is not None and out is None:
        raise RunError("redraw: another style needs --out DIR, so that the study's own figures stay as they are")
    found = [name for name in PLOTS if (folder / f"{name}.csv").is_file()]
    if not found:
        raise RunError(f"{folder} holds none of the tables {', '.join(PLOTS)}.csv; run the study of that profile first")
    files: list[Path] = []
    with style.restyled(_style(look)):
        for name in found:
            files += style.write_figure(PLOTS[name](study, read_table(folder / f"{name}.csv")), out or folder, name)
    if out is None:
        renew_hashes(folder, files)
    return files


def _style(path: Path | None) -> dict[Any, Any]:
    try:
        return {} if path is None else dict(mpl.rc_params_from_file(path, use_default_template=False))
    except OSError as error:
        raise RunError(f"cannot read the style {path}: {error.strerror or error}") from error
