"""Inside the generator's cycle: a picture redrawn, turned and turned back, and what the discriminator says of it."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from gcl_core.data.batches import imagenet_normalize, unit_pictures
from gcl_core.data.person_set import PersonSet
from gcl_core.device import resolve_device
from gcl_core.figures.style import PAGE, new_figure, styled
from gcl_core.layout import Layout
from gcl_core.measure.artifacts import finished_run
from gcl_core.mesh.projection import YAWS
from gcl_core.models.drawing import draw_views
from gcl_core.models.weights import load_discriminator, load_encoder, load_generator

TURN = YAWS.index(90)  # the view that the published table finds hardest

Pictures = UInt8[np.ndarray, "n h w 3"]


@dataclass(frozen=True)
class Cycle:
    """Some people's way through the cycle, all by one run's weights.

    meshes: at 0° and turned; x, x_rec, x_nv, x_cyc: the picture, itself redrawn, turned, turned back (§1.1);
    real, drawn: D's score maps of x and of x_nv, finest first; 1 is real, 0 drawn.
    """

    meshes: UInt8[np.ndarray, "n 2 h w"]
    x: Pictures
    x_rec: Pictures
    x_nv: Pictures
    x_cyc: Pictures
    real: list[Float[np.ndarray, "n _ _"]]
    drawn: list[Float[np.ndarray, "n _ _"]]


def warm_up_cycle(layout: Layout, people: PersonSet, seed: int, rows: np.ndarray) -> Cycle:
    """Take `rows` through the cycle of the finished warm-up at 90°; raises RunError as `finished_run` does."""
    study, device = layout.study, resolve_device(layout.study.device)
    run = finished_run(layout, "warm_up", seed)
    encoder = load_encoder(study, finished_run(layout, "baseline", seed), device)
    generator, discriminator = load_generator(study, run, device), load_discriminator(study, run, device)
    x, meshes = people.pictures[rows], people.projections[rows][:, [0, TURN]]
    views = draw_views(encoder, generator, x, meshes)
    x_rec, x_nv = views[:, 0], views[:, 1]
    x_cyc = draw_views(encoder, generator, x_nv, meshes[:, :1])[:, 0]
    with torch.no_grad():
        real, drawn = (
            [maps[:, 0].cpu().numpy() for maps in discriminator(imagenet_normalize(unit_pictures(pictures, device)))]
            for pictures in (x, x_nv)
        )
    return Cycle(meshes, x, x_rec, x_nv, x_cyc, real, drawn)


@styled()
def cycle_figure(cycle: Cycle) -> Figure:
    """Return a row per person: two meshes, x, x_rec, x_nv, x_cyc, then D's score maps of x and of x_nv, mean below.

    All maps share one scale from 0 (dark: drawn) to 1 (light: real).
    """
    pictures = {"x": cycle.x, "x_rec": cycle.x_rec, "x_nv": cycle.x_nv, "x_cyc": cycle.x_cyc}
    scales = [f"1/{2**place}" if place else "full" for place in range(len(cycle.real))]
    maps = {f"D(x)\n{scale}": found for scale, found in zip(scales, cycle.real, strict=True)}
    maps |= {f"D(x_nv)\n{scale}": found for scale, found in zip(scales, cycle.drawn, strict=True)}
    count, height, width = cycle.x.shape[:3]
    columns = 2 + len(pictures) + len(maps)
    figure = new_figure(PAGE, count * (PAGE / columns * height / width + 0.22) + 0.15)
    grid = figure.subplots(count, columns, squeeze=False)
    for person, row in enumerate(grid):
        for axes, place, yaw in zip(row, range(2), (0, YAWS[TURN]), strict=False):
            axes.imshow(cycle.meshes[person, place], cmap="gray", vmin=0, vmax=255)
            axes.set_title(f"mesh\n{yaw}°" if person == 0 else "", fontsize=6)
        for axes, (name, images) in zip(row[2:], pictures.items(), strict=False):
            axes.imshow(images[person])
            axes.set_title(f"{name}\n" if person == 0 else "", fontsize=6)
        for axes, (name, scores) in zip(row[2 + len(pictures) :], maps.items(), strict=True):
            axes.imshow(
                scores[person],
                cmap="viridis",
                vmin=0,
                vmax=1,
                aspect=scores.shape[2] * height / width / scores.shape[1],
            )
            mean = f"{scores[person].mean():.2f}"
            axes.set_title(name if person == 0 else "", fontsize=6)
            axes.annotate(mean, (0.5, 0), (0, -2), "axes fraction", "offset points", ha="center", va="top", fontsize=6)
        for axes in row:
            axes.set_axis_off()
    return figure


def cycle_reading(cycle: Cycle) -> str:
    """Return sentences on the cycle: how near redrawn and returned pictures come, and how D scores real and drawn."""
    near = {name: _difference(cycle.x, getattr(cycle, name)) for name in ("x_rec", "x_nv", "x_cyc")}
    scales = [f"{real.mean():.2f} / {drawn.mean():.2f}" for real, drawn in zip(cycle.real, cycle.drawn, strict=True)]
    told = np.mean([real.mean() - drawn.mean() for real, drawn in zip(cycle.real, cycle.drawn, strict=True)])
    verdict = "D tells them apart" if told > 0.1 else "D hardly tells them apart"
    return (
        f"Mean absolute difference from x, of 255: redrawn {near['x_rec']:.1f}, turned by {YAWS[TURN]}° and back "
        f"{near['x_cyc']:.1f}; the turned view itself, which should differ, {near['x_nv']:.1f}. D's mean score of x / "
        f"of x_nv, finest scale first: {', '.join(scales)}: {verdict} (1 would be real, 0 drawn)."
    )


def _difference(one: Pictures, other: Pictures) -> float:
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean())
