"""Two pictures of a training: its loss by epoch, and images before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medreg.learn.measures import applied, oracle_images
from medreg.learn.training import Frame, Training

if TYPE_CHECKING:
    from PIL.Image import Image

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, GREEN, RED = "#2563eb", "#ea7317", "#16803c", "#b42318"
WIDTH, HEIGHT = 960, 560
LEFT, RIGHT, TOP, BOTTOM = 90, 200, 56, 64
"""Pixels of the margins around the curves."""

SHOWN = 4
"""Test images in the picture of slices."""

VOXEL, GAP = 6, 10
"""Pixels of a voxel's edge, and between two slices."""


def draw_losses(training: Training, frame: Frame, path: Path) -> None:
    """Mean squared error by epoch, on the images to train and to test on, beside baseline and oracle of the latter."""
    epochs = [epoch.number for epoch in training.history]
    curves = {
        "train": (BLUE, [e.train for e in training.history]),
        "test": (ORANGE, [e.test.mse for e in training.history]),
    }
    levels = {"no correction": (RED, frame.baseline.mse), "exact inverse": (GREEN, frame.oracle.mse)}
    top = 1.08 * max([*(v for _, values in curves.values() for v in values), *(v for _, v in levels.values())])
    last = max(epochs[-1], 2)

    def place(epoch: float, value: float) -> tuple[float, float]:
        x = LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    def draw(pen: _Pen) -> None:
        pen.text((LEFT, TOP / 2), _title(training), INK, 19)
        for value in _ticks(top):
            pen.line([place(1, value), place(last, value)], GRID, 1)
            pen.text((LEFT - 10, place(1, value)[1]), f"{value:.4g}", FAINT, 14, "rm")
        for epoch in sorted({1, *(int(t) for t in _ticks(last) if t >= 1)}):
            pen.text((place(epoch, 0)[0], HEIGHT - BOTTOM + 16), str(epoch), FAINT, 14, "mm")
        pen.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18), "epoch", FAINT, 14, "mm")
        pen.text((LEFT - 10, TOP - 4), "MSE", FAINT, 14, "rm")
        for colour, value in levels.values():
            pen.dashes(place(1, value), place(last, value), colour)
        for colour, values in curves.values():
            pen.line([place(e, v) for e, v in zip(epochs, values, strict=True)], colour, 2.5)
        ends = {
            **{f"{name} {value:.6f}": (colour, value) for name, (colour, value) in levels.items()},
            **{f"{name} {values[-1]:.6f}": (colour, values[-1]) for name, (colour, values) in curves.items()},
        }
        heights = _apart([place(1, value)[1] for _, value in ends.values()], 19)
        for (label, (colour, _)), height in zip(ends.items(), heights, strict=True):
            pen.text((WIDTH - RIGHT + 10, height), label, colour, 14, "lm")

    _save(WIDTH, HEIGHT, draw, path)


def draw_slices(training: Training, path: Path) -> None:
    """Some test images: as given, as the model moved them, by the exact inverse, and the phantom.

    Each is seen along x, y and z: a line by the brightest voxels, since it leaves every plane, a head by its middle
    slices.
    """
    images = training.test.images[:SHOWN]
    sets = {
        "moved": images,
        "undone by the model": applied(training.model, images)[0],
        "by the exact inverse": oracle_images(images, training.test.undoing),
        "phantom": training.phantom.expand_as(images),
    }
    views = {name: [_views(image[0], training.settings.phantom) for image in moved] for name, moved in sets.items()}
    size = training.settings.size * VOXEL
    block = 3 * size + 2 * GAP // 2
    width, top = 4 * block + 5 * 2 * GAP, 64
    height = top + len(images) * (size + 2 * GAP)
    brightest = float(training.phantom.max())

    def draw(pen: _Pen) -> None:
        for column, (name, shown) in enumerate(views.items()):
            left = 2 * GAP + column * (block + 2 * GAP)
            pen.text((left, 22), name, INK, 17)
            for k, axis in enumerate("xyz"):
                pen.text((left + k * (size + GAP // 2) + size / 2, 48), f"along {axis}", FAINT, 13, "mm")
            for row, three in enumerate(shown):
                for k, view in enumerate(three):
                    place = (left + k * (size + GAP // 2), top + row * (size + 2 * GAP))
                    pen.picture(place, view / brightest, VOXEL)

    _save(width, height, draw, path)


def _views(volume: Tensor, phantom: str) -> list[Any]:
    """Of (z, y, x), what is seen along x, y and z, upright: z upwards."""
    volume = volume.detach().cpu()
    axes = (2, 1, 0)
    seen = [volume.amax(a) if phantom == "line" else volume.select(a, volume.shape[a] // 2) for a in axes]
    return [np.asarray(view.flip(0) if axis else view) for view, axis in zip(seen, axes, strict=True)]


def _title(training: Training) -> str:
    s = training.settings
    undone = "rotations" if s.model == "rotation" else "affine maps"
    size = " x ".join([str(s.size)] * 3)
    return f"Learning to undo {undone} of a {s.phantom}: {s.images} images of {size} voxels, seed {s.seed}"


def _ticks(top: float) -> list[float]:
    """Four to eight round numbers from 0 to below `top`."""
    power = 10.0 ** np.floor(np.log10(top))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1.0, 2.0) if top / (s * power) <= 8)
    return [float(k * step) for k in range(int(top / step) + 1)]


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """The heights, moved down as far as it takes to keep labels `least` pixels from each other."""
    placed = list(heights)
    above = -float("inf")
    for k in sorted(range(len(placed)), key=lambda k: heights[k]):
        above = placed[k] = max(placed[k], above + least)
    return placed


class _Pen:
    """Draws at twice the size, which is halved at the end: smooth edges."""

    def __init__(self, canvas: Image) -> None:
        from PIL import ImageDraw

        self._canvas, self._draw = canvas, ImageDraw.Draw(canvas)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        scaled = [(2 * x, 2 * y) for x, y in points]
        self._draw.line(scaled * (2 if len(scaled) == 1 else 1), colour, round(2 * width), joint="curve")

    def dashes(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        for x in np.arange(start[0], end[0], 12):
            self.line([(x, start[1]), (min(x + 7, end[0]), end[1])], colour, 1.5)

    def text(self, place: tuple[float, float], text: str, colour: str, size: float, anchor: str = "lm") -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(2 * size)
        self._draw.text((2 * place[0], 2 * place[1]), text, colour, font, anchor)

    def picture(self, place: tuple[float, float], values: Any, voxel: int) -> None:
        from PIL import Image

        grey = Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))
        large = grey.resize((2 * voxel * grey.width, 2 * voxel * grey.height), Image.Resampling.NEAREST)
        self._canvas.paste(large, (round(2 * place[0]), round(2 * place[1])))


def _save(width: int, height: int, draw: Callable[[_Pen], None], path: Path) -> None:
    from PIL import Image

    canvas = Image.new("RGB", (2 * width, 2 * height), "white")
    with torch.no_grad():
        draw(_Pen(canvas))
    canvas.resize((width, height), Image.Resampling.LANCZOS).save(path, optimize=True)
