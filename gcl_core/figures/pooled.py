"""The claims over the seeds of several profiles as a picture, from their pooled table."""

from pathlib import Path

from gcl_core.config import load_study
from gcl_core.figures.claims import claims_figure
from gcl_core.figures.style import write_figure
from gcl_core.tables.claim_readings import POOL
from gcl_core.tables.formats import read_table
from gcl_core.tables.pooled import POOLED_PROFILES


def draw_pooled_claims(figures: Path) -> list[Path]:
    """Draw `figures`/pooled/claims from its table, if it is there, and return the files written.

    The table holds no values of single seeds and no interval over queries, so neither is drawn.
    """
    folder = figures / POOL
    if not (folder / "claims.csv").is_file():
        return []
    figure = claims_figure(load_study(POOLED_PROFILES[0]), read_table(folder / "claims.csv"))
    return write_figure(figure, folder, "claims")
