"""The command `python -m gcl_core`: what people do outside notebooks."""

import argparse
import errno
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from gcl_core.cli.article import add_article_command
from gcl_core.cli.data import add_data_commands
from gcl_core.cli.ending import heeding_sigterm, print_no_more
from gcl_core.cli.figures import COMMITTED, add_figure_commands, show_comparison
from gcl_core.cli.gpu import add_gpu_commands
from gcl_core.cli.repeats import add_repeat_command
from gcl_core.cli.retrieval import add_retrieval_commands
from gcl_core.cli.runs import add_run_commands
from gcl_core.cli.views import add_view_commands
from gcl_core.cli.weights import add_weight_commands
from gcl_core.cli.words import count, local_path, read_study, repetition, run_folder, split_name
from gcl_core.config import ConfigError, Study, known_profiles
from gcl_core.machine import settle_caches, settle_streams

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = {  # what the system says of a place that somebody named, by its number
    *(errno.EACCES, errno.EPERM, errno.EROFS, *FULL),
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP),
}

Command = Callable[[argparse.Namespace, Sequence[str]], None]
GO_ON = {  # commands whose work is kept when they are stopped
    *("run", "train", "make-people", "repeat", "so-far"),
    *("keypoints", "fit-bodies", "pose-bodies", "export-views", "gpu-check"),
}
KEPT = "stopped; what was computed is kept, the same command goes on from there"
BEGINS = "stopped; the same command starts from the beginning"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exits with 2 for wrong words or settings, 1 for what failed, 130 or 143 when it was stopped."""
    settle_streams()
    try:
        Path.cwd()
    except FileNotFoundError:
        sys.exit(_tell("the current folder is gone; change to another one (cd), then give the command again", 1))
    parser = _parser()
    chosen, more = parser.parse_known_args(arguments)
    unknown = [word for word in more if word.startswith("-")]
    if unknown:
        parser.error(f"unknown option {unknown[0]}; see --help")
    words = getattr(chosen, "words", None)
    if words is None and more:
        parser.error(f"unexpected word {more[0]!r}; see --help")
    try:
        settle_caches()
        with heeding_sigterm():
            chosen.command(chosen, *([] if words is None else [[*words, *more]]))
        sys.stdout.flush()
    except ConfigError as error:
        sys.exit(_tell(error, 2))
    except KeyboardInterrupt as stop:
        status = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        kept = chosen.name in GO_ON and not getattr(chosen, "dry_run", False)
        sys.exit(_tell(KEPT if kept else BEGINS, status))
    except BrokenPipeError:  # who read our words, such as `head`, has enough of them
        print_no_more()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.filename is None and error.errno in FULL:
            print_no_more()
            sys.exit(_tell(f"cannot write: {error.strerror}; free space there, then give the command again", 1))
        if error.filename is None or error.errno not in REFUSED:
            raise  # a fault of ours keeps its traceback
        sys.exit(_tell(f"{error.filename}: {error.strerror}; give another place, or mend this one", 1))
    except (RuntimeError, ValueError) as error:
        if type(error).__module__.partition(".")[0] != "gcl_core":
            raise  # a fault of ours keeps its traceback
        sys.exit(_tell(error, 1))


def _tell(message: object, status: int) -> int:
    print(f"\n{message}" if status > 128 else message, file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcl_core",
        description="A reproducible study of GCL (CVPR 2021). PROFILE is a name in configs/ or a YAML file, mini when "
        "left out; key=value words override its settings, as in joint.epochs=3.",
        epilog=f"profiles: {', '.join(known_profiles())}",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="name", required=True)

    def add(name: str, command: Callable[..., None], summary: str) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        each.set_defaults(command=command)
        return each

    def add_study(name: str, command: Command, words: str, summary: str) -> argparse.ArgumentParser:
        each = add(name, command, summary)
        each.add_argument("words", nargs="*", metavar=words, help="profile and settings")
        return each

    study = "[PROFILE] [key=value ...]"
    run = add_study(
        "run", _run, study, "run every step that is missing or out of date (this is what ./run_all.sh does)"
    )
    run.add_argument("--dry-run", action="store_true", help="only say what would run, how long and in how much memory")
    run.add_argument("--jobs", type=count, metavar="N", help="use at most N CPU cores (default: all)")
    run.add_argument(
        "--cluster",
        type=local_path,
        metavar="DIR",
        help="run the steps where this Snakemake profile says (docs/CLUSTER.md)",
    )
    plan = add_study("plan", _plan, study, "say what a study consists of and what would run")
    for each in (run, plan):
        each.add_argument("--seeds", type=count, metavar="N", help="repeat the study with N seeds (setting `seeds`)")
        each.add_argument(
            "--from-weights", action="store_true", help="take the trained networks of weights/PROFILE and train nothing"
        )
    add_study("summary", _summary, study, "show each training's last epoch, or the one it keeps")
    report = add_study(
        "report",
        _report,
        study,
        "write figures/PROFILE/report.html, one page with all it found, how-to-cite.md and README.md, a gallery",
    )
    report.add_argument("--reference", action="store_true", help=COMMITTED)
    report.add_argument(
        "--runs", type=local_path, metavar="DIR", help="the profile's run folders (default: runs/PROFILE)"
    )
    book = add_study(
        "book", _book, study, "make a book of a profile's executed notebooks that a browser opens from disk"
    )
    book.add_argument("--out", type=local_path, metavar="DIR", help="folder to write (default: runs/PROFILE/book)")
    evaluate = add_study(
        "evaluate", _evaluate, "[PROFILE] RUN [key=value ...]", "measure mAP and CMC of a trained encoder"
    )
    evaluate.add_argument("--seed", type=repetition, metavar="K", help="whose run (default: 0, or that of the folder)")
    train = add_study(
        "train",
        _train,
        "[PROFILE] STAGE [key=value ...]",
        "do one stage: data, baseline, warm_up or a variant; goes on",
    )
    train.add_argument("--seed", type=repetition, default=0, metavar="K", help="which repetition (default: 0)")
    people = add_study(
        "make-people", _make_people, study, "write a set of synthetic people in the layout of Market-1501"
    )
    people.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder to write")
    switches = add("switches", _switches, "show where paper and release differ, and the setting for each")
    switches.add_argument(
        "--out", type=local_path, metavar="FILE", help="write it there instead (docs/FIDELITY.md is that)"
    )
    add_article_command(add_study)
    add_run_commands(add)
    add_repeat_command(add_study)
    add_figure_commands(add, add_study)
    add_data_commands(add)
    add_view_commands(add, add_study)
    add_weight_commands(add_study)
    add_retrieval_commands(add)
    add_gpu_commands(add)
    return parser


def _run(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    if chosen.dry_run:
        return _plan(chosen, words)
    study, profile, overrides = read_study(chosen, words)
    from gcl_core.layout import Layout
    from gcl_core.workflow.study import run_study

    layout = Layout(study)
    print(
        f"profile {study.profile}; executed notebooks and their messages: {_short(layout.runs)}/notebooks/", flush=True
    )
    if study.given_weights is not None:
        from gcl_core.given.folder import told

        print(told(study.given_weights), flush=True)
    cluster = chosen.cluster and chosen.cluster.resolve()
    if not run_study(layout, profile, overrides, jobs=chosen.jobs, cluster=cluster):
        print("nothing to do: every step is up to date")
    print()
    _show_trainings(layout)
    if replace(layout, reference=True).figures.is_dir():
        print(f"\nBeside the committed reference (python -m gcl_core compare {study.profile}):\n")
        show_comparison(layout)
    print(f"\nfigures and tables: {_short(layout.figures)}/")


def _plan(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    from gcl_core.cli.plan import show_plan

    show_plan(*read_study(chosen, words), costs=getattr(chosen, "dry_run", False))


def _summary(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study, _, _ = read_study(chosen, words)
    from gcl_core.layout import Layout

    _show_trainings(Layout(study))


def _report(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study, _, _ = read_study(chosen, words, pictures=False)
    from gcl_core.figures.gallery import write_gallery
    from gcl_core.layout import Layout
    from gcl_core.report.page import write_report

    layout = Layout(study, reference=chosen.reference)
    for path in (*write_report(layout, chosen.runs), write_gallery(study, layout.figures)):
        print(_short(path))


def _book(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study, _, _ = read_study(chosen, words)
    from gcl_core.layout import Layout
    from gcl_core.report.book import build_book

    layout = Layout(study)
    print(_short(build_book(layout, chosen.out or layout.runs / "book")))


def _show_trainings(layout) -> None:
    """Print each training's last epoch, or the one it keeps: accuracy in percent, clusters found, its run folder.

    Raises RunError, after all of them, for those that are damaged.
    """
    from gcl_core.files import RunError, read_json
    from gcl_core.measure.artifacts import repeats_of
    from gcl_core.measure.found_runs import headline_today
    from gcl_core.run_folder import read_metrics

    print(f"{'training':<16}{'seed':>5}{'epoch':>8}{'mAP':>7}{'rank-1':>8}{'clusters':>10}  run folder")
    problems = []
    for stage in ("baseline", *layout.study.variants):
        for seed, repeat in product(range(layout.study.seeds), repeats_of(layout.study, stage)):
            folder = layout.stage(stage, seed, repeat)
            try:
                lines = read_metrics(folder)
                begun = bool(lines) or (folder / "manifest.json").is_file()
                finished = begun and "finished" in read_json(folder / "manifest.json")
                last = headline_today(layout.of_seed(seed), folder) if finished else lines[-1] if lines else {}
            except RunError as error:  # a damaged run hides no other
                problems.append(str(error))
                print(f"{stage:<16}{seed:>5}{'damaged':>33}  {folder.relative_to(layout.root)}")
                continue
            print(
                f"{stage:<16}{seed:>5}{last.get('epoch', '-'):>8}{_percent(last.get('map')):>7}"
                f"{_percent(last.get('rank1')):>8}{last.get('clusters') or '-':>10}  {folder.relative_to(layout.root)}"
            )
    if problems:
        raise RunError("\n".join(problems))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _evaluate(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    name, others = split_name(
        words, "evaluate: say whose encoder, as in `evaluate mini gcl` or `evaluate mini runs/mini/gcl/seed0`"
    )
    study, _, _ = read_study(chosen, others)
    from gcl_core.data.person_set import load_person_set
    from gcl_core.device import resolve_device
    from gcl_core.evaluation.accuracy import evaluate_encoder
    from gcl_core.layout import Layout
    from gcl_core.models.weights import load_encoder

    layout = Layout(study)
    folder, seed = run_folder(layout, name, chosen.seed)
    encoder = load_encoder(study, folder, resolve_device(study.device))
    result = evaluate_encoder(encoder, load_person_set(layout.of_seed(seed)), study.evaluation)
    print(f"{_short(folder)}: mAP {_percent(result.map)}", *(f"rank-{k} {_percent(v)}" for k, v in result.cmc.items()))


def _train(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    name, others = split_name(
        words, "train: say which stage, as in `train mini gcl`: data, baseline, warm_up or a variant"
    )
    study, _, _ = read_study(chosen, others)
    if name not in (known := ("data", "baseline", "warm_up", *study.variants)):
        raise ConfigError(f"train: {name!r} is no stage of profile {study.profile}; known: {', '.join(known)}")
    if study.given_weights is not None:
        raise ConfigError(
            f"train: profile {study.profile} takes the weights of {study.given_weights} and trains nothing"
        )
    from gcl_core.data.preparation import prepare_data
    from gcl_core.data.source_set import prepare_source
    from gcl_core.layout import Layout
    from gcl_core.measure.artifacts import finished_run, required_runs
    from gcl_core.parallel import torchrun_processes
    from gcl_core.training.baseline import train_baseline
    from gcl_core.training.joint import train_jointly
    from gcl_core.training.warm_up import warm_up_generator

    started = torchrun_processes()
    layout = Layout(study if started == 1 else study.model_copy(update={"devices": started}))
    if name == "data":
        prepare_data(layout.of_seed(chosen.seed))
        if study.source:
            prepare_source(layout)
    elif name == "baseline":
        train_baseline(layout, chosen.seed)
    elif name == "warm_up":
        finished_run(layout, "baseline", chosen.seed)
        warm_up_generator(layout, chosen.seed)
    else:
        required_runs(layout, name, chosen.seed)
        train_jointly(layout, name, chosen.seed)


def _make_people(chosen: argparse.Namespace, words: Sequence[str]) -> None:
    study, _, _ = read_study(chosen, words)
    from gcl_core.data.people.make import make_people

    make_people(chosen.out, study.people, height=study.picture.height, width=study.picture.width)
    print(f"synthetic people: {chosen.out}; use them with {shlex.quote(f'data_root={chosen.out.resolve()}')}")


def _switches(chosen: argparse.Namespace) -> None:
    from gcl_core.fidelity_page import switches_page
    from gcl_core.files import write_text

    page = switches_page(Study())
    if chosen.out is None:
        print(page, end="")
    else:
        write_text(chosen.out, page)


def _short(path: Path) -> str:
    """Return a path as seen from the current folder when it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
