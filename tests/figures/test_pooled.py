"""The picture of the pooled claims is drawn from their table, and only where there is one."""

import shutil
from pathlib import Path

from PIL import Image

from gcl_core.figures.pooled import draw_pooled_claims
from gcl_core.tables.claim_readings import POOL


def test_the_pooled_claims_are_drawn_where_there_is_a_table(repository: Path, tmp_path: Path):
    assert draw_pooled_claims(tmp_path) == []
    (tmp_path / POOL).mkdir()
    shutil.copy(repository / "figures" / "reference" / POOL / "claims.csv", tmp_path / POOL)
    files = draw_pooled_claims(tmp_path)
    assert {path.name for path in files} == {"claims.png", "claims.pdf"}
    drawn, committed = (
        Image.open(folder / POOL / "claims.png") for folder in (tmp_path, repository / "figures" / "reference")
    )
    assert drawn.size == committed.size
