"""What single settings of joint training change (C7): mAP with each of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gcl_core.measure.evidence import MAP, PARAMETERS, UNCHANGED, Evidence, family, value_of

CURVES = {  # parameter → what stands below its panel
    "angles": "novel angles",
    "alpha": "$\\alpha$: share of the\nold memory row kept",
    "tau": "temperature $\\tau$",
    "negatives": "negatives $K$",
    "rho": "$\\rho$: share of the\nsmallest distances",
}


def sensitivity_table(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return mAP (%) of UNCHANGED and of each variant of PARAMETERS: a column per seed, mean, and spread, their range.

    A seed that lacks a variant is blank, and spread too where there is one seed. What no seed has run has no row.
    """
    rows = []
    for name in (UNCHANGED, *(name for parameter in PARAMETERS for name in family(evidence, parameter))):
        read = [value_of(each, name, MAP) for each in evidence]
        values = {f"seed {seed} mAP": each.mean() for seed, each in enumerate(read) if each is not None}
        if maps := list(values.values()):
            spread = max(maps) - min(maps) if len(maps) > 1 else np.nan
            rows.append({"variant": name, **values, "mAP": np.mean(maps), "spread": spread})
    columns = ["variant", *(f"seed {seed} mAP" for seed in range(len(evidence))), "mAP", "spread"]
    return pd.DataFrame(rows).reindex(columns=columns)
