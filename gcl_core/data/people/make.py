"""Writing a set of synthetic people to disk, in the layout of Market-1501: whole, resumable, by several processes."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from gcl_core.config import PeopleSettings
from gcl_core.data.index import DataError
from gcl_core.data.people.camera import CAMERAS
from gcl_core.data.people.folder import PeopleFolder
from gcl_core.data.people.plan import Shot, count_files, plan_people
from gcl_core.data.people.wardrobe import Looks, draw_looks
from gcl_core.files import RunError, atomic, held
from gcl_core.machine import cores

if TYPE_CHECKING:  # what draws is imported where it is needed: a finished set asks for none of it
    from loky.process_executor import ProcessPoolExecutor

    from gcl_core.data.people.figure import Mannequin
    from gcl_core.data.people.scene import Street
    from gcl_core.mesh.body import RestBody

MESH_QUALITY = 98  # JPEG; white must stay white
PICTURES_PER_WORKER = 64  # a process is not worth starting for fewer


def make_people(
    root: Path,
    settings: PeopleSettings,
    *,
    height: int,
    width: int,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write a set of synthetic people under `root` and return `root`.

    `root/{bounding_box_train,query,bounding_box_test}` hold the pictures (height x width, RGB JPEG, names as in
    Market-1501), `root/meshes/{train,test}/render[_DEG]` their grey projections under the same names (METHOD.md §1.3),
    `root/people.csv` what is known of each (gcl_core.data.people.plan.COLUMNS) and, with `settings.true_views`,
    `root/true_views/<DEG>/<name>.png` the same moment with the person turned by 45 … 315 degrees. Same settings, same
    bytes, whatever the number of `workers` (None: the cores at hand). A killed run goes on where it stopped; a
    finished set returns at once.

    Raises DataError: `root` is a file, is in use, or holds other pictures or people of other settings; RunError: it
    cannot be written.
    """
    folder = PeopleFolder(Path(root), settings, height, width)
    if folder.is_whole():
        return folder.root
    folder.claim()
    with held(folder.root / ".people.lock", f"another process is making people in {root}", raises=DataError):
        _make_missing(folder, workers, progress)
        folder.finish()
    return folder.root


@dataclass(frozen=True)
class _Studio:
    """What is set up once in a process."""

    folder: PeopleFolder
    mannequin: "Mannequin"
    streets: list["Street"]  # of each camera


def _make_missing(folder: PeopleFolder, workers: int | None, progress: bool) -> None:
    count = sum(count_files(folder.settings).values())
    with tqdm(total=count, desc="synthetic people", unit="picture", mininterval=5, disable=not progress) as bar:
        wanted = []
        for shots in plan_people(folder.settings):
            left = [shot for shot in shots if folder.missing(shot)]
            bar.update(len(shots) - len(left))
            if left:
                wanted.append(left)
        for done in _work(folder, wanted, workers):
            bar.update(done)


def _work(folder: PeopleFolder, people: list[list[Shot]], workers: int | None) -> Iterator[int]:
    """Make each person's pictures; yield how many were made, person by person."""
    if not people:
        return
    from loky.process_executor import ProcessPoolExecutor  # a machine that makes no people need not have it

    from gcl_core.data.people.figure import make_mannequin
    from gcl_core.data.people.scene import make_streets
    from gcl_core.mesh.body import load_bodies

    skeleton, rest_body = load_bodies()
    studio = _Studio(folder, make_mannequin(skeleton, rest_body), make_streets(folder.settings))

    def orders() -> Iterator[tuple[list[Shot], Looks, "RestBody"]]:
        for shots in people:
            person, settings = shots[0].person, folder.settings
            looks = draw_looks(settings.seed, person.kind, person.number, settings.clothes)
            yield shots, looks, rest_body(looks.body)  # here, so that only this process needs the body model

    count = _worker_count(workers, sum(map(len, people)))
    if count == 1:
        yield from (_photograph(studio, *order) for order in orders())
        return
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(count, initializer=_set_up, initargs=(studio,)) as pool:
        try:
            yield from _in_order(pool, orders(), ahead=4 * count)
        except BrokenProcessPool as error:
            raise RunError(
                "a process that drew people was ended from outside, perhaps for want of memory; what it drew is kept: "
                "run this again, with fewer workers if it happens again"
            ) from error
        except BaseException:
            pool.shutdown(kill_workers=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()  # a pool that was stopped while it began does not end those that it has
            raise


def _in_order(pool: "ProcessPoolExecutor", orders: Iterable[tuple], ahead: int) -> Iterator[int]:
    """Yield results in order, with at most `ahead` orders given out, so that memory does not grow with the set."""
    running: deque[Future[int]] = deque()
    for order in orders:
        running.append(pool.submit(_photograph_here, *order))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


_here: list[_Studio] = []  # of a worker process


def _set_up(studio: _Studio) -> None:
    _here[:] = [studio]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent was killed: a pool's process would wait for its next order for ever."""
    import psutil

    parent = psutil.Process().parent()
    if parent is not None:
        parent.wait()
    os._exit(1)


def _photograph_here(shots: list[Shot], looks: Looks, rest: "RestBody") -> int:
    return _photograph(_here[0], shots, looks, rest)


def _photograph(studio: _Studio, shots: list[Shot], looks: Looks, rest: "RestBody") -> int:
    from gcl_core.data.people.figure import dress
    from gcl_core.data.people.picture import pose_moment, take_picture, take_projection

    folder, skeleton = studio.folder, studio.mannequin.skeleton
    figure = dress(studio.mannequin, rest, looks)
    settings = folder.settings
    given = {"seed": settings.seed, "height": folder.height, "width": folder.width}
    for shot in shots:
        street = studio.streets[shot.camid - 1]
        moment = pose_moment(shot, looks, figure, rest, skeleton, street, settings.surroundings, **given)
        for (what, yaw), path in folder.missing(shot).items():
            if what == "mesh":
                _save_jpeg(path, take_projection(moment, yaw), MESH_QUALITY)
            elif what == "view":
                with atomic(path) as temporary:
                    Image.fromarray(take_picture(moment, yaw)).save(temporary, format="PNG")
            else:
                _save_jpeg(path, take_picture(moment), CAMERAS[shot.camid - 1].quality)
    return len(shots)


def _save_jpeg(path: Path, pixels: np.ndarray, quality: int) -> None:
    with atomic(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="JPEG", quality=quality)


def _worker_count(workers: int | None, pictures: int) -> int:
    if workers is not None:
        return max(1, workers)
    return max(1, min(cores(), pictures // PICTURES_PER_WORKER))
