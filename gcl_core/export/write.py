"""An export of drawn views: batch by batch, gone on with after a kill, ended with checksums of every file."""

import io
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL
from jaxtyping import Int64, UInt8
from PIL import Image
from tqdm import tqdm

from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.device import resolve_device
from gcl_core.export.choice import Choice, chosen_rows, drawing_run, view_manifest, weights_of
from gcl_core.export.datasheet import datasheet
from gcl_core.export.read import RECIPE, SUMS, compare_views, file_hashes, verify_views
from gcl_core.files import RunError, atomic, hash_file, held, read_json, write_json, write_text
from gcl_core.layout import Layout
from gcl_core.machine import cores
from gcl_core.mesh.projection import YAWS
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_encoder, load_generator
from gcl_core.provenance import code_of, fingerprint, provenance
from gcl_core.run_folder import set_aside
from gcl_core.surface.bodies import fits_hash
from gcl_core.surface.carrier import Carrier
from gcl_core.surface.sources import sources_png

PARTS = ".parts"  # a file a finished batch, while an export is under way

# of some rows, the pictures in the order of their files: each row's views and, of carried ones, then their sources
Draw = Callable[[Int64[np.ndarray, " b"]], Sequence[np.ndarray]]


def export_views(
    layout: Layout,
    out: Path,
    choice: Choice,
    *,
    words: str = "",
    pixels: bool = False,
    renew: bool = False,
) -> Path:
    """Write the chosen views of a finished run into `out` as a dataset (docs/NOVEL_VIEWS.md), and return `out`.

    With `choice.surface` views are carried over the surface of bodies instead, and need no run; a picture beside each
    says where its pixels come from.
    Of real people the recipe and the manifest alone, unless `pixels` are asked for; of synthetic ones the pictures too.
    `words` are the profile and settings as one types them: the datasheet repeats them. A broken export goes on behind
    its last whole batch and ends with the same bytes; a finished one is left as it is or, where files of it were
    changed or lost, made whole again. An export of other weights, data or choice there is refused or, with `renew`, set
    aside as `<out>.superseded-<fingerprint>`.
    Raises ConfigError as `chosen_rows`, RunError as `drawing_run` or `body_source`, and when `out` holds something
    else, a damaged recipe or files that no export wrote, is at work, or the disk is full.
    """
    layout = layout.of_seed(choice.seed)
    people = load_person_set(layout)
    carrier = None if choice.surface is None else Carrier(layout, people, choice.surface, choice.side)
    run = drawing_run(layout, choice) if carrier is None else None
    rows, weights = chosen_rows(people, choice, carrier), {} if run is None else weights_of(run)
    manifest = view_manifest(people, rows, choice, run, weights)
    recipe = _recipe(layout, people, choice, run, weights, words)
    recipe["pixels"] = pixels or layout.study.dataset == "synthetic"
    with held(out.parent / f".{out.name}.lock", f"another export is at work in {out}", "; nothing there changed"):
        asked, recipe = recipe, _enter(out, recipe, renew=renew)
        whole, ended = {}, (out / SUMS).is_file()
        if ended:
            recipe, whole = _reopen_damaged(out, recipe, asked)
        if not (out / SUMS).is_file():
            if recipe["pixels"]:
                if run is not None:
                    draw = _artist(layout, people, choice, run)
                else:
                    assert carrier is not None
                    draw = partial(_carry, carrier, choice)
                columns = ["file", "sources"] if carrier else ["file"]
                files = manifest[columns].to_numpy().reshape(len(rows), -1, len(columns)).swapaxes(1, 2)
                size = layout.study.evaluation.batch_size
                hashes = _draw_all(rows, draw, files.ravel().tolist(), out, size, whole)
                told = np.array(hashes).reshape(files.shape).swapaxes(1, 2).reshape(len(manifest), -1)
                manifest[["sha256", "sources_sha256"][: len(columns)]] = told
            _finish(out, manifest, recipe, choice)
            shutil.rmtree(out / PARTS, ignore_errors=True)
            if ended:
                verify_views(out)  # which names what no export wrote
    return out


def _recipe(
    layout: Layout, people: PersonSet, choice: Choice, run: Path | None, weights: dict[str, str], words: str
) -> dict[str, Any]:
    """Return all that decides an export's bytes, as `made_of`, and what else one wants to know of it."""
    study, facts = layout.study, read_json(run / "manifest.json") if run else {}
    made = provenance(resolve_device(study.device))
    made["packages"]["pillow"] = PIL.__version__
    return {
        "made_of": {
            "dataset": study.dataset,
            "data": people.fingerprint,
            "variant": choice.variant if run else None,
            "seed": choice.seed,
            "split": choice.split,
            "yaws": [YAWS[place] for place in choice.places],
            "people": None if choice.people is None else sorted(set(choice.people)),
            "each": choice.each,
            "naming": choice.naming,
            "weights": weights,
            "batch": study.evaluation.batch_size,  # sums of other batches may round differently
            "code": fingerprint(code_of("gcl_core.models.drawing" if run else "gcl_core.surface.carrier")),
            **({} if choice.surface is None else {"bodies": choice.surface, "fits": fits_hash(layout, choice.surface)}),
        },
        "words": shlex.join(map(_without_path, shlex.split(words))) or study.profile,
        "run": {key: facts.get(key) for key in ("fingerprint", "git_revision", "settings")},
        "made": made,
    }


def _without_path(word: str) -> str:
    """Return a word of a command without this machine's folders: the file's name, or DIR for a setting's value."""
    key, equals, value = word.partition("=")
    path = Path(value if equals else key)
    return word if not path.is_absolute() else f"{key}=DIR" if equals else path.name


def _enter(out: Path, recipe: dict[str, Any], *, renew: bool) -> dict[str, Any]:
    """Begin an export in `out` or go on with the one there; return its recipe."""
    if not (out / RECIPE).is_file():
        if out.exists() and (not out.is_dir() or any(not _is_leftover(path) for path in out.iterdir())):
            raise RunError(f"{out} holds something else than an export of views; nothing there changed. Name a new one")
        write_json(out / RECIPE, recipe)
        return recipe
    earlier = _read_recipe(out / RECIPE, recipe.keys())
    before, now = earlier["made_of"], recipe["made_of"]
    other = sorted(key for key in now if before.get(key) != now[key])
    if other and not renew:
        raise RunError(
            f"{out} holds an export made of other {', '.join(other)}, and two are never mixed; nothing there changed. "
            "Name a new folder, or delete that one"
        )
    if other:
        aside = set_aside(out, fingerprint(before))
        print(f"{out}: made of other {', '.join(other)}; set aside as {aside.name}, exporting anew")
        return _enter(out, recipe, renew=False)
    if recipe["pixels"] and not earlier["pixels"]:  # the recipe was there, now its pictures are drawn
        (out / SUMS).unlink(missing_ok=True)
        write_json(out / RECIPE, recipe)
        return recipe
    return earlier


def _reopen_damaged(out: Path, recipe: dict[str, Any], asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Make a finished export unfinished where its files are not as they were written.

    Return its recipe, made again as `asked` where its file is not whole, and the SHA-256 of its whole files.
    """
    shutil.rmtree(out / PARTS, ignore_errors=True)  # a kill after the end leaves them
    try:
        whole, faults = compare_views(out)
        if not faults:
            return recipe, whole
    except RunError:  # nothing says any more which files are whole
        whole = {}
    print(f"{out}: not as it was exported; making it whole again")
    (out / SUMS).unlink()
    if RECIPE not in whole:
        recipe = {**asked, "pixels": recipe["pixels"]}
        write_json(out / RECIPE, recipe)
    return recipe, whole


def _read_recipe(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """Return the recipe of an export. Raises RunError for a file that is none."""
    try:
        recipe, told = read_json(path), "it is no recipe of an export of views"
    except RunError as error:
        recipe, told = {}, str(error.__cause__ or error)
    if not set(keys) <= set(recipe) or not isinstance(recipe["made_of"], dict):
        raise RunError(f"{path} is damaged or none of ours ({told}); nothing there changed. Name a new folder")
    return recipe


def _is_leftover(path: Path) -> bool:
    """Whether a path is what a killed atomic write leaves behind."""
    return path.name.startswith(".") and path.suffix == ".tmp"


def _artist(layout: Layout, people: PersonSet, choice: Choice, run: Path) -> Draw:
    device = resolve_device(layout.study.device)
    encoder, generator = load_encoder(layout.study, run, device), load_generator(layout.study, run, device)

    def draw(rows: Int64[np.ndarray, " b"]) -> Sequence[np.ndarray]:
        meshes = people.projections[rows][:, choice.places]
        drawn = draw_views(encoder, generator, people.pictures[rows], meshes, batch_size=len(rows))
        return list(drawn.reshape(-1, *drawn.shape[2:]))

    return draw


def _carry(carrier: Carrier, choice: Choice, rows: Int64[np.ndarray, " b"]) -> Sequence[np.ndarray]:
    carried = [carrier.carry(row, [YAWS[place] for place in choice.places]) for row in rows]
    return [picture for each in carried for picture in (*each.views, *each.sources)]


def _draw_all(
    rows: Int64[np.ndarray, " n"],
    draw: Draw,
    files: Sequence[str],
    out: Path,
    size: int,
    whole: Mapping[str, str],
) -> list[str]:
    """Draw every view into its file, `size` pictures at a time; return the files' SHA-256 in the manifest's order.

    A batch is drawn anew unless its part, or `whole`, names the hashes of its files and they have them.
    """
    views = len(files) // len(rows)
    hashes: list[str] = []
    with ThreadPoolExecutor(cores()) as pool, tqdm(total=len(files), desc="views", mininterval=2) as bar:
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            names = files[start * views : (start + size) * views]
            paths = [out / name for name in names]
            part = out / PARTS / f"{start // size:05d}.txt"
            kept = [whole.get(name, "") for name in names]
            if part.is_file():
                kept = part.read_text(encoding="utf-8", errors="replace").split()
            if kept != list(pool.map(_hash, paths)):
                kept = list(pool.map(write_picture, draw(batch), paths))
                write_text(part, "\n".join(kept) + "\n")
            hashes += kept
            bar.update(len(paths))
    return hashes


def write_picture(picture: UInt8[np.ndarray, "h w *c"], path: Path) -> str:
    """Write a picture, or sources of pixels (h, w), as PNG, whole or not at all; return the file's SHA-256."""
    if picture.ndim == 2:
        content = sources_png(picture)
    else:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, format="png")
        content = stream.getvalue()
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return sha256(content).hexdigest()


def _hash(path: Path) -> str | None:
    return hash_file(path) if path.is_file() else None


def _finish(out: Path, manifest: pd.DataFrame, recipe: dict[str, Any], choice: Choice) -> None:
    """Write what describes the pictures, and SHA256SUMS last: an export that has it is finished."""
    write_text(out / "manifest.csv", manifest.to_csv(index=False, lineterminator="\n"))
    with atomic(out / "manifest.parquet") as temporary:
        manifest.to_parquet(temporary, index=False)
    write_text(out / "README.md", datasheet(manifest, recipe))
    sums = {}
    if recipe["pixels"]:
        metadata = manifest.rename(columns={"file": "file_name"})
        metadata["file_name"] = [file.removeprefix(f"{choice.folder}/") for file in manifest["file"]]
        write_text(out / choice.folder / "metadata.csv", metadata.to_csv(index=False, lineterminator="\n"))
        sums = file_hashes(manifest)
        sums[f"{choice.folder}/metadata.csv"] = hash_file(out / choice.folder / "metadata.csv")
    for path in [path for path in out.rglob("*") if _is_leftover(path)]:
        path.unlink()
    sums |= {name: hash_file(out / name) for name in (RECIPE, "README.md", "manifest.csv", "manifest.parquet")}
    write_text(out / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
