"""Times the fit of bodies to keypoints and says how near it comes; prints JSON.

python benchmarks/fit.py                                    # synthetic people, whose yaw is known
python benchmarks/fit.py --keypoints FILE --depths FILE     # your own estimates
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from gcl_core.config import PeopleSettings
from gcl_core.data.names import match_names
from gcl_core.data.people.estimates import known_body
from gcl_core.data.people.plan import plan_people
from gcl_core.data.people.wardrobe import draw_looks
from gcl_core.mesh.body import load_bodies
from gcl_core.mesh.depths import add_depths, read_depths
from gcl_core.mesh.fit import fit_figures
from gcl_core.mesh.fitted import GOOD, FittedBodies, judge
from gcl_core.mesh.keypoints import Keypoints, read_coco
from gcl_core.mesh.projection import YAWS, project_body
from gcl_core.mesh.stick_figure import StickFigure, make_family

HEIGHT, WIDTH = 128, 64
RENDERED = 100  # bodies rendered to time it


def synthetic(count: int) -> tuple[Keypoints, np.ndarray]:
    """Keypoints of known people with 1.5 pixels of noise and one in ten dropped, and their yaw."""
    skeleton, rest_body = load_bodies()
    people = plan_people(PeopleSettings(train_identities=count))
    shots = [shots[number % len(shots)] for number, shots in zip(range(count), people, strict=False)]
    looks = [draw_looks(0, shot.person.kind, shot.person.number) for shot in shots]
    known = [known_body(shot, skeleton, rest_body(worn.body)) for shot, worn in zip(shots, looks, strict=True)]
    random = np.random.default_rng(0)
    points = np.array([each.keypoints(HEIGHT, WIDTH) for each in known])
    points = (points + random.normal(0, 1.5, points.shape)).astype(np.float32)
    weights = (random.random(points.shape[:2]) >= 0.1).astype(np.float32)
    heights, widths = (np.full(count, side, dtype=np.float32) for side in (HEIGHT, WIDTH))
    names = tuple(shot.name for shot in shots)
    yaw = np.array([shot.yaw for shot in shots])
    return Keypoints(names, heights, widths, points, weights, np.full_like(weights, np.nan)), yaw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=2000, help="synthetic ones")
    parser.add_argument("--keypoints", type=Path, metavar="FILE", help="COCO JSON")
    parser.add_argument("--depths", type=Path, metavar="FILE", help="BlazePose's .npz")
    options = parser.parse_args()
    yaw = None
    if options.keypoints is None:
        keypoints, yaw = synthetic(options.people)
    else:
        keypoints = read_coco(options.keypoints)
        if options.depths is not None:
            depths = read_depths(options.depths)
            places = match_names(depths.files, keypoints.files, options.depths).places
            keypoints = add_depths(keypoints, depths, places)
    family = make_family(*load_bodies())

    start = time.perf_counter()
    fit = fit_figures(
        StickFigure(family), keypoints.points, keypoints.weights, keypoints.depths, keypoints.heights, progress=True
    )
    seconds = time.perf_counter() - start
    table = judge(keypoints, fit)
    distance = np.linalg.norm(fit.points - keypoints.points, axis=2)
    good = (table["quality"] == GOOD).to_numpy()
    report: dict[str, object] = {
        "people": len(good),
        "people fitted a second, one thread": len(good) / seconds,
        "median error of trusted points, pixels": float(np.median(distance[keypoints.weights == 1])),
        "share flagged": float(1 - good.mean()),
        "qualities": {str(name): int(count) for name, count in table["quality"].value_counts().items()},
    }
    if yaw is not None:
        off = np.abs((fit.yaw - yaw + 180) % 360 - 180)
        report |= {"median yaw error, degrees": float(np.median(off)), "front or back right": float((off < 90).mean())}

    bodies, places = FittedBodies(family, table), np.flatnonzero(good)[:RENDERED]
    start = time.perf_counter()
    for place in places:
        body = bodies.body(int(place))
        assert body is not None
        for angle in YAWS:
            project_body(body, angle, height=HEIGHT, width=WIDTH)
    report["people posed and rendered a second, one thread, 128x64"] = len(places) / (time.perf_counter() - start)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
