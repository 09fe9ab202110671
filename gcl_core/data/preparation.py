"""From a folder of pictures and meshes to a prepared set: list, check, decode, store."""

from pathlib import Path

import numpy as np

from gcl_core.data.index import READERS, DataError
from gcl_core.data.people.make import make_people
from gcl_core.data.person_set import ARRAYS, PersonSet, load_person_set
from gcl_core.data.store import build_array, read_picture
from gcl_core.mesh.projection import YAWS, projection_folder
from gcl_core.run import Layout, fingerprint, hash_file, read_json, write_json, write_text


def prepare_data(layout: Layout, *, workers: int | None = None) -> PersonSet:
    """Make what is missing (synthetic people, index, decoded arrays) and return the prepared set.

    Training pictures must all have projections at eight yaw angles; test pictures may have none (§1.3).
    Raises DataError for wrong folders, names, pictures or missing training meshes.
    """
    study, root, mesh_root = layout.study, layout.data_root, layout.mesh_root
    height, width = study.picture.height, study.picture.width
    if study.dataset == "synthetic" and study.data_root is None:
        make_people(root, study.people, height=height, width=width, workers=workers)
    index = READERS[study.dataset](root)
    files, splits = index["file"].tolist(), index["split"].tolist()
    meshes = [_mesh_files(mesh_root, file, split) for file, split in zip(files, splits, strict=True)]
    sources = [[_stamp(root / file), *map(_stamp, paths)] for file, paths in zip(files, meshes, strict=True)]
    identity = fingerprint({"index": index.to_csv(index=False), "sources": sources, "size": [height, width]})
    described = layout.store / "store.json"
    if described.is_file() and read_json(described).get("fingerprint") == identity:
        return load_person_set(layout)

    described.unlink(missing_ok=True)  # until it is written again the arrays may not belong together

    def picture(row: int) -> np.ndarray:
        return read_picture(root / files[row], height, width)

    def projections(row: int) -> np.ndarray:
        if not meshes[row]:
            return np.zeros((len(YAWS), height, width), dtype=np.uint8)
        return np.stack([read_picture(path, height, width, mode="L") for path in meshes[row]])

    pictures_shape, projections_shape = (len(index), height, width, 3), (len(index), len(YAWS), height, width)
    build_array(layout.store / "pictures.npy", pictures_shape, picture, what="pictures", workers=workers)
    build_array(layout.store / "projections.npy", projections_shape, projections, what="meshes", workers=workers)
    write_text(layout.store / "index.csv", index.to_csv(index=False))
    contents = {name: hash_file(layout.store / name) for name in ARRAYS}
    write_json(described, {"fingerprint": identity, "pictures": len(index), "size": [height, width], **contents})
    return load_person_set(layout)


def _mesh_files(mesh_root: Path, file: str, split: str) -> list[Path]:
    """Return the eight projection files of a picture, or none for a test picture without."""
    side = "train" if split == "train" else "test"
    paths = [projection_folder(mesh_root, side, yaw) / Path(file).name for yaw in YAWS]
    absent = [path for path in paths if not path.is_file()]
    if side == "test" and len(absent) == len(paths):
        return []
    if absent:
        raise DataError(
            f"{absent[0]} is missing: every training picture needs its projections in <mesh_root>/train/render and "
            f"render_45 … render_315, each under the picture's own name; mesh_root is {mesh_root}"
        )
    return paths


def _stamp(path: Path) -> list[int]:
    """Size and time of a file: enough to notice that it was changed."""
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"{path} is listed but cannot be read ({error.strerror}); restore it") from error
    return [facts.st_size, facts.st_mtime_ns]
