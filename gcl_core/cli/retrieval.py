"""The commands that use a trained encoder on pictures of one's own: embed, search, export-onnx."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcl_core.cli.words import Add, count, local_path
from gcl_core.files import RunError, atomic, require_place

if TYPE_CHECKING:
    import pandas as pd


def add_retrieval_commands(add: Add) -> None:
    """Add the commands to `python -m gcl_core`."""
    embed = add("embed", _embed, "write the features of pictures, or of folders of pictures (docs/RETRIEVAL.md)")
    search = add("search", _search, "rank a folder of pictures by their similarity to pictures of a person")
    export = add("export-onnx", _export, "write a run's identity encoder as an ONNX file")
    for each in (embed, search, export):
        each.add_argument(
            "--run",
            type=local_path,
            required=True,
            metavar="DIR",
            help="run folder, as runs/mini/gcl/seed0, or given weights, as weights/mini/gcl",
        )
    for each in (embed, search):
        each.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: the GPU, if any")
    embed.add_argument("--out", type=local_path, required=True, metavar="FILE", help="features.parquet or features.npz")
    embed.add_argument("places", type=local_path, nargs="+", metavar="PICTURE", help="pictures, or folders of them")
    search.add_argument("--gallery", type=local_path, required=True, metavar="DIR", help="folder that is searched")
    search.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder for ranked.csv and ranked.png"
    )
    search.add_argument("--top", type=count, default=10, metavar="N", help="pictures per query (default: 10)")
    search.add_argument("pictures", type=local_path, nargs="+", metavar="PICTURE", help="pictures of whom to find")
    export.add_argument("--out", type=local_path, required=True, metavar="FILE", help="file to write, ending in .onnx")


def _embed(chosen: argparse.Namespace) -> None:
    if chosen.out.suffix not in (".parquet", ".npz"):
        raise RunError(f"--out {chosen.out}: features are written to a file that ends in .parquet or .npz")
    from gcl_core.retrieval.folder import embed_pictures, write_features

    require_place(chosen.out)
    files = _find(chosen.places, [chosen.out])
    write_features(chosen.out, files, embed_pictures(_run(chosen.run, chosen.device), files))
    print(f"{chosen.out}: features of {len(files)} pictures")


def _search(chosen: argparse.Namespace) -> None:
    from gcl_core.figures.search import ROWS, search_figure
    from gcl_core.retrieval.folder import RANKED, embed_pictures, rank_gallery

    table, picture = (chosen.out / name for name in RANKED)
    if chosen.out.is_dir() and chosen.gallery.resolve() in chosen.out.resolve().parents:
        print(f"{chosen.out} lies in the gallery: the pictures in this folder are left out")
    for each in (table, picture):
        require_place(each)
    own = (chosen.out, table, picture)
    run, gallery, queries = _run(chosen.run, chosen.device), _find([chosen.gallery], own), _find(chosen.pictures, own)
    found = rank_gallery(embed_pictures(run, queries), embed_pictures(run, gallery), queries, gallery, top=chosen.top)
    if found.empty:
        raise RunError(f"{chosen.gallery} holds nothing but the query's own picture; give a folder with others")
    figure = search_figure(found, height=run.height, width=run.width)
    with atomic(table) as new_table, atomic(picture) as new_picture:  # both or none
        found.to_csv(new_table, index=False, lineterminator="\n")
        figure.savefig(new_picture, format="png")
    _tell_first(chosen.gallery, queries, found)
    print(f"{table}, {picture}: queries: {len(queries)}, pictures searched: {len(gallery)}")
    if (drawn := len(set(found["query"]))) > ROWS:
        print(f"{picture} shows the first {ROWS} of {drawn} queries, {table} all")


def _tell_first(gallery: Path, queries: Sequence[Path], found: "pd.DataFrame") -> None:
    """Print each query's most similar picture, or that it has none."""
    first = found.drop_duplicates("query").set_index("query")
    for query in map(str, queries):
        if query in first.index:
            file, similarity = first.at[query, "file"], first.at[query, "similarity"]
            print(f"{query}: most similar is {file} (cosine similarity {similarity:.3f})")
        else:
            print(f"{query}: {gallery} holds nothing but this very picture, so it has no line in ranked.csv")


def _export(chosen: argparse.Namespace) -> None:
    if chosen.out.suffix != ".onnx":
        raise RunError(f"--out {chosen.out}: the network is written to a file that ends in .onnx")
    from gcl_core.retrieval.onnx_file import export_onnx

    export_onnx(_run(chosen.run, "cpu"), chosen.out)
    print(f"{chosen.out}: input `pictures` (RGB in [0, 1]), output `features` (L2-normalised)")


def _find(places: Sequence[Path], without: Iterable[Path]) -> list[Path]:
    """Return the pictures in some places, and print of each folder how many other files were passed over."""
    from gcl_core.retrieval.folder import SUFFIXES, find_pictures

    files, others = find_pictures(places, without)
    for folder, number in others.items():
        print(f"{folder}: other files passed over: {number}; pictures end in {', '.join(sorted(SUFFIXES))}")
    return files


def _run(folder: Path, device: str):
    from gcl_core.device import resolve_device
    from gcl_core.retrieval.encoder import load_run_encoder

    return load_run_encoder(folder, resolve_device(device))
