"""Bodies from keypoints: a batched, differentiable fit of pose, shape and camera, begun from every side.

One picture's points leave depth open: a body seen from the front fits nearly as well from behind. The figure is
therefore fitted from several starting yaws, and what decides is which shoulder and hip is where, where the face points
lie, what joints allow, how people stand and, where the estimator gives them, the points' depths.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from tqdm import tqdm

from gcl_core.device import cpu_threads
from gcl_core.mesh.stick_figure import FREE, StickFigure, turn

STARTS = 8  # yaws from which every figure is fitted, evenly around
FIRST_STEPS, LAST_STEPS = 40, 60  # of each start, then of the best one
NOISE = 0.0125  # an estimator's error, as a share of the picture's height
DEPTH_NOISE = 0.06  # metres
BALANCE = 0.08  # metres: how far the middle of the feet strays from below the body's weight
LIMIT = 20.0  # how hard a joint stops
CHUNK = 512  # figures fitted at once
SHOULDERS, ANKLES = [5, 6], [15, 16]  # in POINTS

_MEAN = torch.tensor([angle.mean for angle in FREE.values()])
_UNIT = torch.tensor([angle.deviation for angle in FREE.values()])
_LOW = (torch.tensor([angle.low for angle in FREE.values()]) - _MEAN) / _UNIT
_HIGH = (torch.tensor([angle.high for angle in FREE.values()]) - _MEAN) / _UNIT
_YAW = len(FREE)  # a state holds FREE in deviations, then the camera in these units:
_CAMERA = torch.tensor([20.0, 0.1, 0.02, 0.02])  # yaw (degrees), log scale, column and row (picture heights)


@dataclass(frozen=True)
class Fit:
    """Fitted figures; column j of `values` is entry j of FREE."""

    values: Float32[np.ndarray, "n p"]  # degrees; body parameters in [0, 1]
    yaw: Float32[np.ndarray, " n"]  # degrees in [0, 360): 0 faces the camera, 90 image-right
    camera: Float32[np.ndarray, "n 3"]  # picture heights per metre; column and row of the hips' middle, picture heights
    points: Float32[np.ndarray, "n 17 2"]  # the figure's points, pixels
    rival: Float32[np.ndarray, " n"]  # energy that the best fit facing elsewhere (90 degrees or more) costs in addition


def fit_figures(
    figure: StickFigure,
    points: Float32[np.ndarray, "n 17 2"],
    weights: Float32[np.ndarray, "n 17"],
    depths: Float32[np.ndarray, "n 17"],
    heights: Float32[np.ndarray, " n"],
    *,
    progress: bool = False,
) -> Fit:
    """Fit a figure to each picture's keypoints; figures do not influence each other.

    `points` are columns and rows in pixels of pictures `heights` high, `weights` in [0, 1] say how far each is to be
    believed (0: not there), `depths` are metres behind the hips' middle (NaN: unknown).
    """
    scaled = np.nan_to_num(points / heights[:, None, None])
    parts = []
    # one thread: the steps are so small that a second one helps little, and on a busy machine harms much
    with cpu_threads(1), tqdm(total=len(points), desc="fit", mininterval=2, disable=not progress) as bar:
        for start in range(0, len(points), CHUNK):
            arrays = (array[start : start + CHUNK] for array in (scaled, weights, depths))
            parts.append(_fit(figure, _Seen(*map(torch.from_numpy, arrays))))
            bar.update(len(parts[-1][0]))
    if not parts:
        empty = np.zeros((0, len(FREE)), dtype=np.float32)
        return Fit(empty, empty[:, 0], empty[:, :3], points, empty[:, 0])
    values, yaw, camera, found, rival = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Fit(values, yaw, camera, found * heights[:, None, None], rival)


class _Seen(NamedTuple):
    """What a figure is fitted to: points in picture heights, weights, depths."""

    points: Tensor
    weights: Tensor
    depths: Tensor


class _View(NamedTuple):
    """A figure as its camera sees it."""

    points: Tensor  # (b, 17, 2), picture heights
    depths: Tensor  # (b, 17), metres behind the hips' middle
    sway: Tensor  # (b, 2), metres from below the body's weight to the middle of the feet


def _fit(figure: StickFigure, seen: _Seen) -> tuple[Tensor, ...]:
    count = len(seen.points)
    every = _Seen(*(part.repeat_interleave(STARTS, 0) for part in seen))
    yaws = (torch.arange(STARTS) * 360 / STARTS).repeat(count)
    states = _descend(figure, _start(figure, every, yaws), every, FIRST_STEPS)
    energy = _energy(figure, states, every).detach().view(count, STARTS)
    states = states.view(count, STARTS, -1)
    best = energy.argmin(1, keepdim=True)
    facing = states[:, :, _YAW] * _CAMERA[0]
    elsewhere = torch.deg2rad(facing - facing.gather(1, best)).cos() <= 0
    rival = energy.masked_fill(~elsewhere, torch.inf).amin(1) - energy.gather(1, best)[:, 0]
    state = _descend(figure, states[torch.arange(count), best[:, 0]], seen, LAST_STEPS)
    yaw, zoom, column, row = (_CAMERA * state[:, _YAW:]).unbind(1)
    camera = torch.stack([zoom.exp(), column, row], dim=1)
    return _MEAN + _UNIT * state[:, :_YAW], yaw % 360, camera, _look(figure, state).points, rival


def _start(figure: StickFigure, seen: _Seen, yaws: Tensor) -> Tensor:
    """Return the mean pose at given yaws, scaled and moved so that it lies on the points."""
    state = torch.zeros(len(yaws), _YAW + len(_CAMERA))
    state[:, _YAW] = yaws / _CAMERA[0]
    flat = _look(figure, state).points
    share = seen.weights / seen.weights.sum(1, keepdim=True).clamp(min=1e-6)
    middle, aim = (torch.einsum("bk,bkc->bc", share, each) for each in (flat, seen.points))
    here, there = (
        torch.einsum("bk,bkc->b", share, (each - centre[:, None]).square())
        for each, centre in ((flat, middle), (seen.points, aim))
    )
    scale = (there / here.clamp(min=1e-6)).sqrt().clamp(min=0.05)
    state[:, -3] = scale.log() / _CAMERA[1]
    state[:, -2:] = (aim - scale[:, None] * middle) / _CAMERA[2:]
    return state


def _descend(figure: StickFigure, state: Tensor, seen: _Seen, steps: int) -> Tensor:
    state = state.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([state], lr=0.25, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        _energy(figure, state, seen).sum().backward()
        optimizer.step()
        schedule.step()
    return state.detach()


def _energy(figure: StickFigure, state: Tensor, seen: _Seen) -> Tensor:
    """Return each figure's misfit to picture and depths (quadratic near, linear far), plus what is unlike people."""
    view, pose = _look(figure, state), state[:, :_YAW]
    off = ((view.points - seen.points) / NOISE).square().sum(2)
    away = ((view.depths - seen.depths).nan_to_num() / DEPTH_NOISE).square()
    misfit = seen.weights * ((1 + off).sqrt() + (1 + away).sqrt() - 2)
    unlike = 0.5 * (pose.square().sum(1) + (view.sway / BALANCE).square().sum(1))
    beyond = (pose - _HIGH).clamp(min=0).square() + (_LOW - pose).clamp(min=0).square()
    return misfit.sum(1) + unlike + LIMIT * beyond.sum(1)


def _look(figure: StickFigure, state: Tensor) -> _View:
    values = dict(zip(FREE, (_MEAN + _UNIT * state[:, :_YAW]).unbind(1), strict=True))
    yaw, zoom, column, row = (_CAMERA * state[:, _YAW:]).unbind(1)
    points = figure.points(values)
    sway = points[:, ANKLES, :2].mean(1) - 0.4 * points[:, SHOULDERS, :2].mean(1)  # the weight: 0.4 up the trunk
    still, scale = torch.zeros_like(yaw), zoom.exp()[:, None]
    across, deep, up = (points @ turn(yaw, still, still).transpose(1, 2)).unbind(2)
    tilt = torch.deg2rad(values["elevation"])[:, None]
    deep, up = deep * tilt.cos() - up * tilt.sin(), deep * tilt.sin() + up * tilt.cos()
    return _View(torch.stack([column[:, None] + scale * across, row[:, None] - scale * up], dim=2), deep, sway)
