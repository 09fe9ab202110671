"""A body mesh for every picture of a dataset: fitted to keypoints or posed by SMPL parameters, rendered as released."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from gcl_core.data.index import PICTURE_SUFFIXES, DataError, read_index, some_of
from gcl_core.files import hash_file
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import GOOD, FittedBodies, judge, load_table, save_table
from gcl_core.mesh.keypoints import Keypoints, add_depths, read_coco
from gcl_core.mesh.render import Bodies, Picture, claimed, render_bodies
from gcl_core.mesh.smpl import SmplModelBodies
from gcl_core.mesh.smpl_files import read_smpl
from gcl_core.mesh.stick_figure import StickFigure, load_family
from gcl_core.mesh.transfer import TransferredBodies
from gcl_core.provenance import fingerprint

FORMAT = 1  # raise it when the same inputs come to be fitted or drawn differently
TABLE = "bodies.csv"


@dataclass(frozen=True)
class Made:
    """What became of a dataset's pictures."""

    mesh_root: Path
    pictures: int
    named: int  # of them the estimator names
    bodies: int  # of them have projections now
    table: pd.DataFrame | None = None  # of fitted bodies

    def text(self) -> str:
        """Return a few lines that tell it."""
        share = self.bodies / self.pictures
        lines = [
            f"pictures     {self.pictures}, of which {self.named} have an estimate",
            f"bodies       {self.bodies} ({share:.1%} of all pictures)",
            f"projections  {self.mesh_root}",
        ]
        if self.table is not None:
            counts = self.table["quality"].value_counts()
            lines.append("fits         " + ", ".join(f"{counts[name]} {name}" for name in sorted(counts.index)))
            good = self.table.loc[self.table["quality"] == GOOD, "error"]
            if len(good):
                lines.append(
                    f"error        {good.median():.2f} pixels in the median of good fits, 90 % are below "
                    f"{good.quantile(0.9):.2f}; each stands in {TABLE}"
                )
        if self.bodies < self.pictures:
            lines.append("Pictures without projections are clustered and evaluated, but no views are drawn of them.")
        return "\n".join(lines)


def fit_bodies(
    root: Path,
    keypoints: Path,
    *,
    depths: Path | None = None,
    dataset: str = "folder",
    out: Path | None = None,
    height: int = 256,
) -> Made:
    """Fit the free body to keypoints (COCO JSON; `depths`: BlazePose's `.npz`) and render its eight projections.

    Writes `out` (default: `root`/meshes) in the released layout, height x height / 2 pixels, and bodies.csv with each
    fit's angles, error and quality; only good fits are rendered. A killed run goes on where it was.

    Raises DataError: no such dataset, or keypoints that name none of its pictures. MeshError: keypoints that cannot be
    read, a folder that holds other meshes or is in use.
    """
    index, mesh_root = read_index(dataset, root), out or root / "meshes"
    found = read_coco(keypoints) if depths is None else add_depths(read_coco(keypoints), depths)
    places = _match(found.files, index, keypoints)
    source = {"keypoints": hash_file(keypoints), "depths": hash_file(depths) if depths is not None else None}
    with claimed(mesh_root, {"format": FORMAT, "height": height, **source}):
        family = load_family()
        if not (mesh_root / TABLE).is_file():
            chosen = found.take(list(places.values()), list(places))
            save_table(_fit(StickFigure(family), chosen), mesh_root / TABLE)
        table = load_table(mesh_root / TABLE)
        rows = {str(file): row for row, file in enumerate(table["file"])}
        count = render_bodies(FittedBodies(family, table), _pictures(index, rows), mesh_root, height=height)
    return Made(mesh_root, len(index), len(places), count, table)


def pose_bodies(
    root: Path,
    parameters: Path,
    *,
    model: Path | None = None,
    dataset: str = "folder",
    out: Path | None = None,
    height: int = 256,
) -> Made:
    """Render projections of the bodies that an estimator of the HMR family wrote as SMPL parameters (`read_smpl`).

    With `model`, a user's SMPL model, the surface is SMPL's; without, the pose is carried to the free body. Else, and
    what it raises, as `fit_bodies`.
    """
    index, mesh_root = read_index(dataset, root), out or root / "meshes"
    found = read_smpl(parameters)
    places = _match(found.files, index, parameters)
    bodies: Bodies = TransferredBodies(found) if model is None else SmplModelBodies(found, model)
    contents = hashlib.sha256(found.rotations.tobytes() + found.betas.tobytes()).hexdigest()
    source = {"smpl": fingerprint([found.files, contents]), "model": hash_file(model) if model is not None else None}
    with claimed(mesh_root, {"format": FORMAT, "height": height, **source}):
        count = render_bodies(bodies, _pictures(index, places), mesh_root, height=height)
    return Made(mesh_root, len(index), len(places), count)


def match_files(named: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Return for each wanted picture (path below a dataset's root) the place of the name that means it, if one does.

    A name means a picture by its path below the root, whatever stands before that, or by its base name alone; endings
    such as .jpg may be missing. Raises DataError for a base name that could mean several pictures.
    """
    keys = {file: _parts(file) for file in wanted}
    depths = {len(parts) for parts in keys.values()}
    ends: dict[tuple[str, ...], int] = {}
    for place, parts in enumerate(map(_parts, named)):
        for depth in {*depths, 1} if len(parts) == 1 else depths:
            if depth <= len(parts):
                ends.setdefault(parts[-depth:], place)
    found, alone = {}, {}
    for file, parts in keys.items():
        if parts in ends:
            found[file] = ends[parts]
        elif (place := ends.get(parts[-1:])) is not None:
            if place in alone:
                raise DataError(
                    f"{named[place]} could mean {alone[place]} or {file}; name pictures by their whole path"
                )
            alone[place] = file
            found[file] = place
    return found


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name.replace("\\", "/"))
    return (path.with_suffix("") if path.suffix.lower() in PICTURE_SUFFIXES else path).parts


def _fit(figure: StickFigure, keypoints: Keypoints) -> pd.DataFrame:
    fit = fit_figures(figure, keypoints.points, keypoints.weights, keypoints.depths, keypoints.heights, progress=True)
    return judge(keypoints, fit)


def _match(named: Sequence[str], index: pd.DataFrame, source: Path) -> dict[str, int]:
    """Return for each picture of a dataset that an estimator's file names its place there; at least one must be."""
    places = match_files(named, index["file"].tolist())
    if not places:
        raise DataError(
            f"{source} names none of the dataset's pictures: it has {some_of(named)}, the dataset "
            f"{some_of(index['file'])}; names must be paths below the dataset's folder, or base names"
        )
    return places


def _pictures(index: pd.DataFrame, places: Mapping[str, int]) -> list[Picture]:
    lines = zip(index["file"], index["split"], strict=True)
    return [
        Picture(file, "train" if split == "train" else "test", places[file]) for file, split in lines if file in places
    ]
