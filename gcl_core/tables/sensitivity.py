"""What single settings of joint training change (C7): mAP with each of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gcl_core.measure.evidence import MAP, PARAMETERS, UNCHANGED, Evidence, family, value_of
from gcl_core.tables.formats import NOT_RUN

CURVES = {  # parameter → what stands below its panel
    "angles": "novel angles",
    "alpha": "$\\alpha$: share of the\nold memory row kept",
    "tau": "temperature $\\tau$",
    "negatives": "negatives $K$",
    "rho": "$\\rho$: share of the\nsmallest distances",
}


def sensitivity_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return mAP (%) of UNCHANGED and of each variant of PARAMETERS: a column a seed, mean, and spread, their range.

    `not run` stands where nothing was; a seed that lacks a variant is blank, and spread too where there is one seed.
    """
    rows = []
    for name in (UNCHANGED, *(name for parameter in PARAMETERS for name in family(evidence, parameter))):
        read = [value_of(each, name, MAP) for each in evidence]
        values = {f"seed {seed} mAP": each.mean() for seed, each in enumerate(read) if each is not None}
        maps = list(values.values())
        spread = {"spread": max(maps) - min(maps)} if len(maps) > 1 else {}
        rows.append({"variant": name, **values, "mAP": np.mean(maps) if maps else NOT_RUN, **spread})
    return pd.DataFrame(rows).reindex(
        columns=["variant", *(f"seed {seed} mAP" for seed in range(len(evidence))), "mAP", "spread"]
    )
