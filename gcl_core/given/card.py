"""The README.md of a folder of weights, a model card: what they are, what they are for and what they are not for."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gcl_core.config import Study
from gcl_core.layout import REFERENCE
from gcl_core.tables.formats import markdown_table

CARD = """\
# Trained networks of profile `{profile}`

These are the networks of one finished run of profile `{profile}`, seed {seed}: identity encoders, which give a
picture of a person a feature by which pictures of the same person are found, and generators, which draw a person from
other sides. They were trained on {data}, by the code at revision `{revision}`.

```bash
./run_all.sh {profile} --from-weights      # measures and draws everything with these weights and trains nothing
```

The runs and figures of that study lie under the name `{profile}_given`, so a training of your own is never touched.
Every saved figure says at its foot that weights were given, and so does every caption.

## What is here

Matrices and convolutions are kept in the bits below, each output channel with a scale of its own, all else in 32.
`manifest.json` has the SHA-256 of every file and, for each run, its settings, epochs, library versions and processor;
`study.yaml` holds the settings of the study that takes the weights. mAP and rank-1 are in percent, on the test
people of seed {seed}.

{networks}

{files}

{left_out}
The optimisers are not here: training cannot go on from these files as if it had never stopped. The numbers of all
variants are in [figures/{reference}/{profile}](../../figures/{reference}/{profile}).

## What they are for

Research on unsupervised person re-identification: to look at what the method does before spending time on training, to
check a change of the code against known networks, and to teach.

## What not to do with them

- Do not use them to find, follow or identify real people. Encoders of this kind serve surveillance, and people in
  pictures were not asked.
- Do not take their numbers for those of the method at full size: the pictures are {height}x{width}, the networks are
  small, and this is one seed.
- Do not expect them to work on other pictures. {limits}
"""
SYNTHETIC = "They have seen {people} synthetic people alone, in synthetic streets."
REAL = "They have seen the pictures of one dataset alone, under whose terms they stand."


def model_card(study: Study, manifest: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """Return the text of a folder's README.md; `sizes` are the bytes of its files by name."""
    runs, without = manifest["runs"], manifest["without"]
    titles = {name: variant.title for name, variant in study.variants.items()}
    networks = pd.DataFrame(
        {
            "encoder": titles.get(stage, stage),
            "bits": facts["encoder"]["bits"],
            "mAP as trained": f"{facts['encoder']['map_trained']:.2f}",
            "mAP as given": f"{facts['encoder']['map']:.2f}",
            "rank-1 as given": f"{facts['encoder']['rank1']:.2f}",
        }
        for stage, facts in runs.items()
        if "encoder" in facts
    )
    files = pd.DataFrame({"file": f"`{name}`", "bytes": f"{sizes[name]:,}"} for name in manifest["files"])
    made = study.dataset == "synthetic"
    return CARD.format(
        profile=study.profile,
        seed=manifest["seed"],
        data=f"{study.people.train_identities} synthetic people"
        if made
        else f"the training pictures of {study.dataset}",
        revision=runs["baseline"]["trained"]["git_revision"],
        networks=markdown_table(networks),
        files=markdown_table(files),
        left_out=f"There are no weights of the other variants, and a study with given weights leaves their rows out: "
        f"{', '.join(f'`{name}`' for name in without)}.\n"
        if without
        else "",
        reference=REFERENCE,
        height=study.picture.height,
        width=study.picture.width,
        limits=SYNTHETIC.format(people=study.people.train_identities) if made else REAL,
    )
