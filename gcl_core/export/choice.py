"""Which views are exported, of which run, and under which names: checked, and laid out as a manifest."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import Int64

from gcl_core.config import ConfigError
from gcl_core.data.index import MARKET_FOLDERS, MARKET_NAME, SPLITS, some_of
from gcl_core.data.names import mesh_names
from gcl_core.data.person_set import PersonSet
from gcl_core.files import RunError, hash_file, read_json
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.mesh.projection import NOVEL, YAWS
from gcl_core.surface.bodies import Way
from gcl_core.surface.carrier import Carrier, Side

NAMINGS = ("nv", "market")
NETWORKS = ("encoder", "generator")
SOURCES = "sources"  # folder of the pictures that say where each pixel of a carried view comes from
DIGITS = 16  # of a checkpoint's SHA-256 in the manifest; recipe.json has all 64


@dataclass(frozen=True)
class Choice:
    """Views of a split's pictures, drawn by the run of a variant and seed: some yaws, some people (None: all)."""

    variant: str = "gcl"
    seed: int = 0
    split: str = "train"
    yaws: tuple[int, ...] = NOVEL
    people: tuple[int, ...] | None = None
    each: int | None = None  # at most so many pictures per person, the first ones listed
    surface: Way | None = None  # not drawn by a run: carried over the surface of bodies had in this way
    naming: str = "nv"  # <side>/nv/<yaw>/<name>.png, or market: <Market-1501's folder>/<name>_nv<yaw>.png

    @property
    def folder(self) -> str:
        """Folder of the pictures in an export; its path says whether they are for training or for testing.

        Hugging Face's loader looks for the words train, test and val in names and drops the rest; where a folder holds
        one of them it does not look at the pictures' own names.
        """
        folder = MARKET_FOLDERS[self.split]
        if self.naming == "nv":
            return f"{self.side}/nv"
        return folder if self.side in folder else f"{self.side}/{folder}"

    @property
    def side(self) -> Side:
        """The side of the set that the pictures are of."""
        return "train" if self.split == "train" else "test"

    @property
    def places(self) -> list[int]:
        """Places of the yaws among a picture's eight projections, ascending."""
        return sorted({YAWS.index(yaw) for yaw in self.yaws})


def chosen_rows(people: PersonSet, choice: Choice, carrier: Carrier | None = None) -> Int64[np.ndarray, " n"]:
    """Return the rows of the pictures that get views, in listing order: of those chosen, all with a mesh.

    With a `carrier` instead all of which it has views. Raises ConfigError that lists what is known: an unknown split,
    yaw, naming or identity, or no picture that can have views.
    """
    if choice.split not in SPLITS:
        raise ConfigError(f"no split {choice.split!r}; known: {', '.join(SPLITS)}")
    if choice.naming not in NAMINGS:
        raise ConfigError(f"no naming {choice.naming!r}; known: {', '.join(NAMINGS)}")
    unknown = [yaw for yaw in choice.yaws if yaw not in NOVEL]
    if unknown or not choice.yaws:
        raise ConfigError(f"no views at yaw {some_of(unknown) or 'none'}; there are meshes at {some_of(NOVEL, 7)}")
    rows = people.rows(choice.split)
    pids = people.index["pid"].to_numpy()[rows]
    if choice.people is not None:
        strangers = sorted(set(choice.people) - set(pids.tolist()))
        if strangers or not choice.people:
            raise ConfigError(
                f"no picture of {some_of(strangers) or 'nobody'} in {choice.split}; its people: "
                f"{some_of(np.unique(pids).tolist(), 12)}"
            )
        rows = rows[np.isin(pids, choice.people)]
    rows = people.with_mesh(rows) if carrier is None else carrier.with_views(rows)
    if choice.each is not None:
        if choice.each < 1:
            raise ConfigError(f"{choice.each} pictures of each person cannot be drawn; choose 1 or more")
        rows = rows[people.index["pid"].iloc[rows].groupby(people.index["pid"]).cumcount().to_numpy() < choice.each]
    if not len(rows):
        lacking = "mesh projections, so none can be drawn" if carrier is None else "a body that is to be trusted"
        raise ConfigError(f"none of the chosen pictures in {choice.split} has {lacking}")
    return rows


def drawing_run(layout: Layout, choice: Choice) -> Path:
    """Return the finished run that draws. Raises RunError: as `finished_run`, or of what draws no views."""
    drawing = [name for name, variant in layout.study.variants.items() if variant.view == "drawn"]
    told = f"draws no views; those that do: {some_of(drawing)}"
    if choice.variant in {*layout.study.variants, "baseline", "warm_up"} - {*drawing}:
        raise RunError(f"{choice.variant} {told}")
    run = finished_run(layout, choice.variant, choice.seed)
    if not all((run / f"{name}.safetensors").is_file() for name in NETWORKS):
        raise RunError(f"{run} holds no {' and '.join(NETWORKS)}, so it {told}")
    return run


def weights_of(run: Path) -> dict[str, str]:
    """Return the SHA-256 of the networks that draw."""
    return {name: hash_file(run / f"{name}.safetensors") for name in NETWORKS}


def view_manifest(
    people: PersonSet, rows: Int64[np.ndarray, " n"], choice: Choice, run: Path | None, weights: dict[str, str]
) -> pd.DataFrame:
    """Return one line per view, all yaws of a picture together; `sha256`, of the file, is missing until it is drawn.

    Columns: file, source (the picture's file in its dataset), split, yaw (degrees), pseudo_label (of the clustering
    before the kept epoch, -1 an outlier; missing outside training), height, width (pixels), seed, encoder, generator
    (first digits of SHA-256), sha256. Of carried views, which no run draws, there are no weights and no pseudo labels,
    but bodies (how they were had), sources (the file that says where each pixel's colour comes from) and
    sources_sha256. Raises RunError when two pictures would share a name.
    """
    chosen, side = people.index.iloc[rows], people.index.loc[people.index["split"] == choice.split, "file"]
    owners, whole = Counter(PurePosixPath(file).stem for file in side), mesh_names(people.index)
    yaws = [YAWS[place] for place in choice.places]
    named = zip(chosen["file"].tolist(), chosen["pid"].tolist(), chosen["camid"].tolist(), strict=True)
    stems = [
        _stem(file if owners[PurePosixPath(file).stem] == 1 else _flat(whole[file]), pid, camid, choice.naming)
        for file, pid, camid in named
    ]
    if twice := sorted(stem for stem, count in Counter(stems).items() if count > 1):
        raise RunError(f"several pictures of {choice.split} are named {some_of(twice)}; rename all but one of each")
    frame = pd.DataFrame(
        {
            "file": [_file(choice, stem, yaw) for stem in stems for yaw in yaws],
            "source": np.repeat(chosen["file"].to_numpy(), len(yaws)),
            "split": choice.split,
            "yaw": np.tile(yaws, len(rows)),
        }
    )
    labels = pseudo_labels(run) if run and choice.split == "train" else None
    given = None if labels is None else np.repeat(labels[np.searchsorted(people.rows("train"), rows)], len(yaws))
    height, width = people.pictures.shape[1:3]
    short = {name: digest[:DIGITS] for name, digest in weights.items()}
    frame = frame.assign(
        pseudo_label=pd.array([None] * len(frame) if given is None else given, dtype="Int64"),
        **{"height": height, "width": width, "seed": choice.seed, **short},
        sha256=pd.array([None] * len(frame), dtype="str"),
    )
    if choice.surface is None:
        return frame
    return frame.assign(
        bodies=choice.surface,
        # outside the folders in whose names Hugging Face's loader finds a split: it would take them for more views
        sources=[f"{SOURCES}/{file.removeprefix(f'{choice.folder}/')}" for file in frame["file"]],
        sources_sha256=pd.array([None] * len(frame), dtype="str"),
    )


def pseudo_labels(run: Path) -> Int64[np.ndarray, " n"] | None:
    """Return the clusters of all training pictures in the epoch whose weights a run kept; None where it kept none."""
    kept = read_json(run / "manifest.json").get("kept_epoch")
    path = run / "labels" / f"epoch_{kept:03d}.npy" if kept else None
    return np.load(path).astype(np.int64) if path and path.is_file() else None


def _stem(file: str, pid: int, camid: int, naming: str) -> str:
    """Return a picture's name without its suffix; identity and camera before it where Market-1501's has them."""
    stem = PurePosixPath(file).stem
    return stem if naming == "nv" or MARKET_NAME.match(stem) else f"{pid:04d}_c{camid}_{stem}"


def _flat(name: str) -> str:
    """Return the name of a picture's meshes, which no other picture has, as one file's, with a suffix to take off."""
    return f"{name.replace('/', '_')}.png"


def _file(choice: Choice, stem: str, yaw: int) -> str:
    name = f"{yaw}/{stem}" if choice.naming == "nv" else f"{stem}_nv{yaw:03d}"
    return f"{choice.folder}/{name}.png"
