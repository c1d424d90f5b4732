"""Restores a picture from three kinds of poor measurements, each with noise and three tenths of it missing.

    python docs/examples/restore_pictures.py --out picture.png

Rows: a blurred picture, nine coarse frames that were moved by parts of a pixel, and 24 projections whose directions
leave a third of a half turn out. Columns: what was measured, with white gaps, what a linear method makes of it, what
medreg does, the truth. All is measured on a picture three times as fine as the one that is restored, and the weight of
the prior follows from the noise.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import griddata
from showing import enlarged, joined, stored
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

import medreg
from medreg.vision.filters import Edge, gaussian
from medreg.vision.inverse import Frames, TotalVariation, Within, adjoint, restore_to_noise
from medreg.vision.rasterisation import ray_sums
from medreg.vision.statistics import psnr

SIDE, FINER = 63, 3
GRID = medreg.Grid.regular((SIDE, SIDE), (1.0, 1.0))
MISSING = 0.3
VIEWS, SPAN, BINS = 24, 120, 90
KNEE = 0.03


@dataclass(frozen=True)
class Case:
    """A way to measure, and to do without an inverse.

    Attributes:
        name: of what is to be undone.
        noise: standard deviation, where 1 is the largest exact value.
        through: from a picture, as fine as it may be, to measurements.
        linear: the classical answer, (SIDE, SIDE).
        shown: measurements as a picture (SIDE, SIDE).
    """

    name: str
    noise: float
    through: Callable[[medreg.MedImage], Tensor]
    linear: Callable[[Tensor], Tensor]
    shown: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Found:
    """One case's answers.

    Attributes:
        linear_db: PSNR of the linear answer, and
        restored_db: of medreg's.
        misfit: what medreg's answer leaves, as a share of the noise.
        row: measured | linear | restored | truth, (1, y, x).
    """

    linear_db: float
    restored_db: float
    misfit: float
    row: Tensor


def find(case: Case, seed: int = 0) -> Found:
    """Measure, with the noise and the gaps that `seed` draws, and restore."""
    random = torch.Generator().manual_seed(seed)
    fine = body()
    truth = medreg.MedImage.on(GRID, avg_pool2d(fine.data, FINER))
    exact = case.through(fine)
    sigma = case.noise * float(exact.max())
    seen = exact + sigma * torch.randn(exact.shape, generator=random)
    seen[torch.rand(exact.shape, generator=random) < MISSING] = torch.nan
    classical = case.linear(seen).clamp(0, 1)[None]
    start = medreg.MedImage.on(GRID, classical)
    found, _ = restore_to_noise(
        seen, case.through, start, sigma, lambda weight: TotalVariation(weight, KNEE), [Within(0, 1)]
    )
    image = found.image.data.clamp(0, 1)
    scores = [float(psnr(answer, truth.data, data_range=1.0, dimension=3)) for answer in (classical, image)]
    pictures = [case.shown(seen).clamp(0, 1)[None], classical, image, truth.data]
    return Found(scores[0], scores[1], found.misfit / sigma, joined([enlarged(p, 3) for p in pictures], 2))


def body() -> medreg.MedImage:
    """A slice of something: soft tissue, bone, two holes and a row of dots that shrink."""
    axis = (np.arange(SIDE * FINER) + 0.5) * 2 / (SIDE * FINER) - 1
    x, y = np.meshgrid(axis, axis, indexing="xy")
    values = np.zeros_like(x)
    for level, x0, y0, a, b in (
        (1.0, 0, 0, 0.9, 0.8), (0.45, 0, 0, 0.82, 0.72), (0.1, -0.4, -0.1, 0.2, 0.35), (0.75, 0.35, -0.2, 0.3, 0.25),
        (0.2, 0.42, -0.25, 0.08, 0.08), (0.9, -0.4, 0.5, 0.1, 0.1), (0.9, -0.12, 0.52, 0.07, 0.07),
        (0.9, 0.1, 0.52, 0.05, 0.05), (0.9, 0.28, 0.5, 0.035, 0.035),
    ):  # fmt: skip
        values[((x - x0) / a) ** 2 + ((y - y0) / b) ** 2 <= 1] = level
    return medreg.MedImage.on(GRID.subdivided([FINER, FINER]), torch.from_numpy(values).float()[None])


def between(points: np.ndarray, values: Tensor) -> Tensor:
    """(SIDE, SIDE): linear between scattered points (N, 2) where something was measured, the nearest one beyond."""
    known = values.isfinite().numpy()
    y, x = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    inside, nearest = (griddata(points[known], values.numpy()[known], (x, y), how) for how in ("linear", "nearest"))
    return torch.from_numpy(np.where(np.isfinite(inside), inside, nearest)).float()


def places(grid: medreg.Grid) -> np.ndarray:
    """(N, 2) world points of a grid's pixels, in the order of its data."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="xy"), -1).reshape(-1, 2)
    return grid.to_world(index.astype(float))


def deblurring() -> Case:
    """A Gaussian of 1.2 pixels."""

    def through(picture: medreg.MedImage) -> Tensor:
        blurred = gaussian(picture, 1.2, border=Edge()).data
        return blurred if picture.grid == GRID else avg_pool2d(blurred, FINER)

    return Case("deblurring", 0.03, through, lambda seen: between(places(GRID), seen.flatten()), _with_gaps)


def super_resolution() -> Case:
    """Frames with pixels of 3 x 3."""
    coarse, maps = GRID.subsampled([3, 3]), []
    for shift in np.random.default_rng(0).uniform(-1.5, 1.5, (9, 2)):
        maps.append(np.eye(3))
        maps[-1][:2, 2] = shift
    points = np.concatenate([places(coarse) + m[:2, 2] for m in maps])
    return Case(
        "super-resolution",
        0.03,
        Frames(coarse, maps, 2 * FINER),
        lambda seen: between(points, seen.flatten()),
        lambda seen: _with_gaps(enlarged(seen[0], 3)),
    )


def tomography() -> Case:
    """Parallel rays, over 120 degrees of the 180 that a full set has."""
    angle = torch.deg2rad(torch.arange(VIEWS, dtype=torch.float64) * SPAN / VIEWS)
    turns = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], 1).view(-1, 2, 2)

    def through(picture: medreg.MedImage) -> Tensor:
        step = picture.grid.spacing[0]
        return ray_sums(picture, (BINS,), turns, torch.zeros(2), width_mm=BINS / 2, step_mm=step)[:, 0]

    def back_projected(seen: Tensor) -> Tensor:
        where = np.arange(BINS)
        whole = np.stack([np.interp(where, where[~np.isnan(v)], v[~np.isnan(v)]) for v in seen.numpy()])
        frequency = np.fft.rfftfreq(2 * BINS)
        window = frequency * np.cos(np.pi * frequency) ** 2  # the ramp, and Hann's window against noise
        ramped = np.fft.irfft(np.fft.rfft(whole, 2 * BINS) * window)[:, :BINS]
        like = medreg.MedImage.on(GRID, torch.zeros(1, SIDE, SIDE))
        return adjoint(through, torch.from_numpy(ramped).float(), like).data[0] * math.radians(SPAN) / VIEWS

    def shown(seen: Tensor) -> Tensor:
        lines = interpolate(seen[None, None], (SIDE, SIDE), mode="nearest")[0, 0]
        return _with_gaps(lines / seen[seen.isfinite()].max())

    return Case("tomography", 0.02, through, back_projected, shown)


def _with_gaps(seen: Tensor) -> Tensor:
    """White where nothing was measured."""
    return seen.view(SIDE, SIDE).nan_to_num(1.0)


CASES = (deblurring, super_resolution, tomography)


def main() -> None:
    """Restore, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Restore a picture from blur, coarse frames and few projections.")
    parser.add_argument("--seed", type=int, default=0, help="other noise, other gaps")
    parser.add_argument("--out", help="PNG of measured | linear | restored | truth, a row for each problem")
    given = parser.parse_args()
    rows = []
    for make in CASES:
        case = make()
        found = find(case, given.seed)
        rows.append(found.row)
        gain = f"linear {found.linear_db:.1f} dB, restored {found.restored_db:.1f} dB"
        print(f"{case.name}: {gain}; misfit {found.misfit:.2f} of the noise")  # noqa: T201
    if given.out:
        medreg.write_image(stored(joined(rows, 1)), given.out)


if __name__ == "__main__":
    main()
