"""A body mesh for every picture of a dataset: fitted to keypoints or posed by SMPL parameters, rendered as released."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from gcl_core.data.index import read_index
from gcl_core.data.names import match_names, mesh_names
from gcl_core.data.pictures import BadPictureError, picture_size
from gcl_core.files import hash_file
from gcl_core.layout import BODIES
from gcl_core.mesh.depths import add_depths, read_depths
from gcl_core.mesh.errors import MeshError
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import GOOD, FittedBodies, join_tables, judge, load_table, save_table
from gcl_core.mesh.keypoints import Keypoints, read_coco
from gcl_core.mesh.render import Bodies, Picture, claimed, note_made, remove_projections, render_bodies
from gcl_core.mesh.smpl import SmplBodies, SmplModelBodies
from gcl_core.mesh.smpl_files import read_smpl
from gcl_core.mesh.smpl_poses import add_poses
from gcl_core.mesh.stick_figure import StickFigure, load_family
from gcl_core.mesh.transfer import TransferredBodies

FORMAT = 2  # raise it when the same inputs come to be fitted or drawn differently
TABLE, POSES = BODIES
STRETCH = 1.05  # how far stated proportions may be from the picture's: a resized one has whole pixels


@dataclass(frozen=True)
class Made:
    """What became of a dataset's pictures."""

    mesh_root: Path
    pictures: int
    named: int  # of them the estimator names
    bodies: int  # of them have projections now
    kept: int  # of those named, as they were after an earlier call
    notes: tuple[str, ...]  # how the files were read
    table: pd.DataFrame | None = None  # of fitted bodies

    def text(self) -> str:
        """Return a few lines that tell it."""
        share = self.bodies / self.pictures
        lines = [f"read         {note}" for note in self.notes]
        lines += [
            f"pictures     {self.pictures}, of which {self.named} have an estimate",
            f"made         {self.named - self.kept} anew, {self.kept} kept from before",
            f"bodies       {self.bodies} ({share:.1%} of all pictures)",
            f"projections  {self.mesh_root}",
        ]
        if self.table is not None:
            lines.append(f"fits         {_qualities(self.table)}")
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
    fit's angles, error and quality; only good fits are rendered. A killed run goes on where it was. A later call fits
    the pictures that are new or whose keypoints changed, and keeps the others.

    Raises DataError: no such dataset, keypoints or depths that name none of its pictures, or one of them twice.
    MeshError: keypoints that cannot be read or state other proportions than the pictures have, a folder that holds
    other meshes or is in use, no good fit at all.
    """
    index, mesh_root = read_index(dataset, root), out or root / "meshes"
    files, found = index["file"].tolist(), read_coco(keypoints)
    matches = match_names(found.files, files, keypoints)
    chosen = found.take(list(matches.places.values()), list(matches.places))
    _check_sizes(chosen, root, keypoints)
    notes = (*found.notes, *matches.notes(keypoints))
    if depths is not None:
        given = read_depths(depths)
        told = match_names(given.files, files, depths)
        chosen, notes = add_depths(chosen, given, told.places), (*notes, *told.notes(depths))
    facts = {"format": FORMAT, "height": height, "from": "keypoints"}
    with claimed(mesh_root, facts) as made:
        family, sources, earlier = load_family(), _keypoint_sources(chosen), made.get("sources", {})
        table = load_table(mesh_root / TABLE) if (mesh_root / TABLE).is_file() else None
        there = set(table["file"]) if table is not None else set()
        changed = [file for file in sources if earlier.get(file) != sources[file]]
        new = [row for row, file in enumerate(chosen.files) if file not in there or file in changed]
        if new or table is None:
            names = [chosen.files[row] for row in new]
            note_made(mesh_root, facts, {"sources": _without(earlier, names)})
            remove_projections(_pictures(index, dict.fromkeys(changed, 0)), mesh_root)
            fitted = _fit(StickFigure(family), chosen.take(new, names))
            table = _joined(table, fitted, index)
            save_table(table, mesh_root / TABLE)
        note_made(mesh_root, facts, {"sources": {**earlier, **sources}})
        rows = {str(file): row for row, file in enumerate(table["file"])}
        count = render_bodies(FittedBodies(family, table), _pictures(index, rows), mesh_root, height=height)
    if not count:
        raise MeshError(
            f"{keypoints}: no body could be fitted ({_qualities(table)}; {'; '.join(notes) or 'read as it is'}); "
            f"{mesh_root / TABLE} says what became of each picture"
        )
    return Made(mesh_root, len(index), len(sources), count, len(sources) - len(new), notes, table)


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

    The parameters are kept beside them in poses.npz, with the bodies' cameras where the file gives them.
    With `model`, a user's SMPL model, the surface is SMPL's; without, the pose is carried to the free body. How far the
    cameras look down is kept from the first call. Else, and what it raises, as `fit_bodies`.
    """
    index, mesh_root = read_index(dataset, root), out or root / "meshes"
    found = read_smpl(parameters)
    matches = match_names(found.files, index["file"].tolist(), parameters)
    bodies = _make(found, model)
    facts = {
        "format": FORMAT,
        "height": height,
        "from": "smpl",
        "model": hash_file(model) if model is not None else None,
    }
    with claimed(mesh_root, facts) as made:
        elevation, earlier = made.get("elevation", found.elevation), made.get("sources", {})
        sources = {file: _smpl_source(found, place) for file, place in matches.places.items()}
        new = [file for file in sources if earlier.get(file) != sources[file]]
        if elevation != found.elevation:
            bodies = _make(replace(found, known_elevation=elevation), model)
        remove_projections(_pictures(index, dict.fromkeys(new, 0)), mesh_root)
        note_made(mesh_root, facts, {"elevation": elevation, "sources": {**earlier, **sources}})
        add_poses(mesh_root / POSES, replace(found, known_elevation=elevation), matches.places)
        count = render_bodies(bodies, _pictures(index, matches.places), mesh_root, height=height)
    notes = matches.notes(parameters)
    if abs(elevation - found.elevation) > 2:
        notes += (
            f"the cameras look down by {found.elevation:.0f} degrees as this file has it; all bodies are drawn for "
            f"{elevation:.0f}, as those made first",
        )
    return Made(mesh_root, len(index), len(sources), count, len(sources) - len(new), notes)


def _check_sizes(keypoints: Keypoints, root: Path, path: Path) -> None:
    """Raise MeshError where a stated size has other proportions than the picture; one that is unreadable has none."""
    unlike = []
    for file, width, height in zip(keypoints.files, keypoints.widths, keypoints.heights, strict=True):
        try:
            own_width, own_height = picture_size(root / file)
        except BadPictureError:  # which the preparation tells
            continue
        stretch = (width / height) / (own_width / own_height)
        if max(stretch, 1 / stretch) > STRETCH:
            unlike.append(f"{width:g} x {height:g} pixels for {file}, which has {own_width} x {own_height}")
    if unlike:
        raise MeshError(
            f"{path}: `images` states {unlike[0]}; width / height differs by more than {STRETCH - 1:.0%} in "
            f"{len(unlike)} of {len(keypoints.files)} pictures. State the size of the pictures that the points are "
            "measured in; points of a larger scene, or of stretched pictures, have to be brought to the dataset's "
            "pictures first"
        )


def _make(found: SmplBodies, model: Path | None) -> Bodies:
    return TransferredBodies(found) if model is None else SmplModelBodies(found, model)


def _joined(table: pd.DataFrame | None, fitted: pd.DataFrame, index: pd.DataFrame) -> pd.DataFrame:
    """Return earlier fits and new ones, which replace earlier ones of their pictures, in the index's order, as stored.

    Earlier fits of pictures that are not in the index, such as those of another dataset in this folder, come last.
    """
    kept = fitted.iloc[:0] if table is None else table.loc[~table["file"].isin(fitted["file"])]
    fitted = join_tables(kept, fitted)
    order = {file: row for row, file in enumerate(index["file"])}
    return fitted.sort_values("file", key=lambda files: files.map(order), kind="stable", ignore_index=True)


def _without(sources: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    gone = set(names)
    return {file: source for file, source in sources.items() if file not in gone}


def _fit(figure: StickFigure, keypoints: Keypoints) -> pd.DataFrame:
    fit = fit_figures(figure, keypoints.points, keypoints.weights, keypoints.depths, keypoints.heights, progress=True)
    return judge(keypoints, fit)


def _keypoint_sources(keypoints: Keypoints) -> dict[str, str]:
    """Return a hash of what each picture's fit is made from."""
    arrays = (keypoints.heights, keypoints.points, keypoints.weights, keypoints.depths)
    return {
        file: hashlib.sha256(b"".join(array[row].tobytes() for array in arrays)).hexdigest()[:16]
        for row, file in enumerate(keypoints.files)
    }


def _smpl_source(bodies: SmplBodies, place: int) -> str:
    return hashlib.sha256(bodies.rotations[place].tobytes() + bodies.betas[place].tobytes()).hexdigest()[:16]


def _qualities(table: pd.DataFrame) -> str:
    counts = table["quality"].value_counts()
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts.index))


def _pictures(index: pd.DataFrame, places: Mapping[str, int]) -> list[Picture]:
    """Return the pictures that `places` names, with their projections' names, in the index's order."""
    names = mesh_names(index)
    lines = zip(index["file"], index["split"], strict=True)
    return [
        Picture(names[file], "train" if split == "train" else "test", places[file])
        for file, split in lines
        if file in places
    ]
