"""Claims from committed tables alone: verdicts given anew, and the seeds of several profiles pooled."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gcl_core.config import described_study, load_study
from gcl_core.evaluation.effects import pooled_effect
from gcl_core.figure_manifest import gone_or_changed, read_manifest, renew_hashes
from gcl_core.files import RunError
from gcl_core.measure.recorded import as_run
from gcl_core.tables.claim_readings import POOL, claims_page
from gcl_core.tables.claim_words import titles
from gcl_core.tables.claims import COLUMNS, LIMITS, judged, over_seeds, read_claims
from gcl_core.tables.dose import GAIN, dose_reading, judged_doses
from gcl_core.tables.formats import of_runs, read_table, write_table

POOLED_PROFILES = ("evidence", "evidence_light")  # other seeds of the same settings
KEYS = ["claim", "compared", "metric"]


def pooled_claims(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the claims table of the seeds of several tables together: the comparisons that at least two of them have.

    The interval over queries, which holds the seeds of one study fixed, is blank; rank correlations (C3) are left out.
    """
    lines = [{tuple(line[key] for key in KEYS): line for line in table.to_dict("records")} for table in tables]
    rows = []
    for key in dict.fromkeys(key for each in lines for key in each if key[0] != "C3"):
        found = [each[key] for each in lines if key in each]
        if len(found) > 1:
            parts = [(float(line["effect"]), over_seeds(line), int(line["seeds"])) for line in found]
            effect, interval, seeds = pooled_effect(parts)
            row = {**dict(zip(KEYS, key, strict=True)), "effect": effect, "seeds": seeds}
            rows.append(row | dict(zip(LIMITS[2:], interval or (), strict=False)))
    types = {"seeds": "Int64", **dict.fromkeys(LIMITS, "float64")}
    return judged(pd.DataFrame(rows, columns=COLUMNS).astype(types))


def pooled_page(frame: pd.DataFrame) -> str:
    """Return what stands above the pooled table, and that pooling was decided after the results were known."""
    names = " and ".join(f"`{profile}`" for profile in POOLED_PROFILES)
    about = (
        "The second round (`evidence2`), with ten other sets of people and rules fixed before, supersedes this page: "
        "there the gain of views drawn once over TDA did not come again. All seeds of profiles "
        f"{names} are pooled here; they train with the same settings on other people. This was decided after the "
        "results of both were known (post hoc). What each shows alone is in its own `claims`. Comparisons of our own "
        "are adjusted for the few that both profiles happen to share, in each profile's own `claims` for all that it "
        "has."
    )
    study = load_study(POOLED_PROFILES[0])
    compared = {name for words in frame["compared"] for name in words.split(",")[0].split(" - ")}
    variants = {name: each for name, each in study.variants.items() if name in compared}
    # under the pool's own name: each of the profiles is another that may test what is not tested here
    return claims_page(study.model_copy(update={"profile": POOL, "variants": variants}), frame, "", about=about)


def write_verdicts(figures: Path, profiles: Sequence[str]) -> list[Path]:
    """Give the claims and doses in `figures`/PROFILE their verdicts by today's rules; return the files written.

    Effects and intervals stay as they were measured: only the verdicts and what the tables say in words are made anew,
    from the CSV files. Where all of POOLED_PROFILES are there, `pooled/claims` is made of them too. Raises RunError for
    a profile without these tables, or with one that was changed after it was made.
    """
    files: list[Path] = []
    for profile in profiles:
        folder = figures / profile
        study, captions = as_run(described_study(profile), folder), read_manifest(folder)
        if "claims.csv" not in captions:
            raise RunError(
                f"{folder / 'claims.csv'} is not there, or no manifest.json says where it is from; run the study of "
                "that profile first (notebook 11 writes it)"
            )
        if changed := gone_or_changed(folder, captions, ("claims.csv", "dose.csv"))[1]:
            raise RunError(
                f"{folder}: {', '.join(changed)} changed after they were made, so their verdicts would not be of what "
                "was measured. Take them from where they were made, or run notebook 11 again"
            )
        claims, doses, own = judged(read_claims(folder)), "", []
        if "dose.csv" in captions:
            dose = judged_doses(of_runs(read_table(folder / "dose.csv"), GAIN), claims)
            doses = dose_reading(dose, titles(study))
            own += write_table(dose, folder, "dose", caption=captions["dose.csv"]["caption"])
        page = claims_page(study, claims, doses)
        own += write_table(claims, folder, "claims", caption=captions["claims.csv"]["caption"], reading=page)
        renew_hashes(folder, own)
        files += own
    sources = [figures / profile / "claims.csv" for profile in POOLED_PROFILES]
    if all(path.is_file() for path in sources):
        pooled = pooled_claims([read_claims(path.parent) for path in sources])
        caption = f"The paper's claims over all seeds of profiles {' and '.join(POOLED_PROFILES)}, pooled post hoc."
        files += write_table(pooled, figures / POOL, "claims", caption=caption, reading=pooled_page(pooled))
    return files
