"""The commands of weights: `give-weights`, and `import-weights` and `export-weights`, which the authors' code reads."""

import argparse
from collections.abc import Sequence

from gcl_core.cli.words import Add, local_path, read_study, repetition, run_folder, split_name


def add_weight_commands(add_study: Add) -> None:
    """Add the commands to `python -m gcl_core`; all take the words `PROFILE key=value`, which `read_study` reads."""
    importing = add_study(
        "import-weights",
        _import_weights,
        "[PROFILE] [key=value ...]",
        "make a run of the authors' published weights (docs/WEIGHTS.md)",
    )
    importing.add_argument(
        "--encoder",
        type=local_path,
        required=True,
        metavar="FILE",
        help="id_*.pt, a stage-1 .pth, or ours (.safetensors)",
    )
    importing.add_argument("--generator", type=local_path, metavar="FILE", help="gen_*.pt; needs fidelity: [D3]")
    importing.add_argument("--discriminator", type=local_path, metavar="FILE", help="dis_*.pt")
    importing.add_argument("--to", required=True, metavar="RUN", help="name of the run, as in `evaluate PROFILE RUN`")

    exporting = add_study(
        "export-weights",
        _export_weights,
        "[PROFILE] RUN [key=value ...]",
        "write a run's networks as the authors' code reads them",
    )
    exporting.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder of id_*.pt, gen_*.pt, dis_*.pt"
    )
    exporting.add_argument("--encoder-only", action="store_true", help="leave generator and discriminator out")
    giving = add_study(
        "give-weights",
        _give_weights,
        "[PROFILE] [key=value ...]",
        "write a finished profile's networks, small, for `run_all.sh PROFILE --from-weights` (docs/WEIGHTS.md)",
    )
    giving.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder to write, as weights/mini")
    importing.add_argument("--seed", type=repetition, default=0, metavar="K", help="whose run folder (default: 0)")
    exporting.add_argument("--seed", type=repetition, metavar="K", help="whose run (default: 0, or that of the folder)")


def _import_weights(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words)[0]
    from gcl_core.exchange import import_run
    from gcl_core.files import read_json
    from gcl_core.layout import Layout

    folder = import_run(
        Layout(study),
        chosen.to,
        chosen.seed,
        encoder=chosen.encoder,
        generator=chosen.generator,
        discriminator=chosen.discriminator,
    )
    for kind, facts in read_json(folder / "manifest.json")["imported"].items():
        ignored = facts["ignored"]
        more = f", … ({len(ignored)} in all)" if len(ignored) > 3 else ""
        print(
            f"{kind}: {facts['file']} ({facts['layout']}), sha256 {facts['sha256'][:16]}…"
            + (f"; not used: {', '.join(ignored[:3])}{more}" if ignored else "")
        )
    print(f"run: {folder}; measure it by `evaluate`, with the same profile and settings")


def _give_weights(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study = read_study(chosen, words)[0]
    from gcl_core.given.give import give_weights
    from gcl_core.layout import Layout

    files = give_weights(Layout(study), chosen.out)
    for path in files:
        print(path)
    print(f"together {sum(path.stat().st_size for path in files):,} bytes")


def _export_weights(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    advice = "export-weights: say whose networks, as in `export-weights mini gcl --out weights`"
    name, others = split_name(words, advice)
    study = read_study(chosen, others)[0]
    from gcl_core.exchange import export_run
    from gcl_core.layout import Layout

    layout = Layout(study)
    folder, _ = run_folder(layout, name, chosen.seed)
    for path in export_run(layout, folder, chosen.out, encoder_only=chosen.encoder_only):
        print(path)
