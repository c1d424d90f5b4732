"""Pictures, what is measured of them, and the best linear answers: the cases of `inverse_problems.py`.

A picture is drawn three times as fine as it is to be restored, and everything is measured on that fine one: no
operator sees the pixels that it shall find, so that none has the advantage of having made its own data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
import torch
from heads import phantom
from scipy.interpolate import griddata
from skimage.restoration import wiener
from skimage.transform import iradon
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medreg import Grid, MedImage
from medreg.sample import smooth
from medreg.vision.filters import Edge, gaussian
from medreg.vision.inverse import Frames
from medreg.vision.rasterisation import ray_sums
from medreg.vision.statistics import psnr

SIDE = 126
"""Pixels of a picture; divisible by the 3 of the coarse frames."""

FINER = 3
GRID = Grid.regular((SIDE, SIDE), (1.0, 1.0))
BLUR = 1.5
"""Standard deviation in pixels."""

PAD = 12
"""Pixels about a picture before it goes through the Fourier transform, whose border is periodic."""


@dataclass(frozen=True)
class Picture:
    """Values from 0 to 1.

    Attributes:
        name: of the table's row.
        fine: what is measured.
    """

    name: str
    fine: MedImage

    @property
    def truth(self) -> MedImage:
        """(1, SIDE, SIDE): the means over the pixels."""
        return MedImage.on(GRID, avg_pool2d(self.fine.data, FINER))

    def score(self, found: Tensor) -> float:
        """PSNR in dB of (1, SIDE, SIDE) or (SIDE, SIDE), cut to 0 to 1."""
        truth = self.truth.data
        return float(psnr(found.view_as(truth).to(truth).clamp(0, 1), truth, data_range=1.0, dimension=3))


def ellipses() -> Picture:
    """Shepp and Logan's head (doi:10.1109/TNS.1974.6499235), with the brighter insides of Toft 1996."""
    parts = [
        (1.0, 0.69, 0.92, 0.0, 0.0, 0), (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0), (-0.2, 0.11, 0.31, 0.22, 0.0, -18),
        (-0.2, 0.16, 0.41, -0.22, 0.0, 18), (0.1, 0.21, 0.25, 0.0, 0.35, 0), (0.1, 0.046, 0.046, 0.0, 0.1, 0),
        (0.1, 0.046, 0.046, 0.0, -0.1, 0), (0.1, 0.046, 0.023, -0.08, -0.605, 0), (0.1, 0.023, 0.023, 0.0, -0.606, 0),
        (0.1, 0.023, 0.046, 0.06, -0.605, 0),
    ]  # fmt: skip
    axis = (np.arange(SIDE * FINER) + 0.5) * 2 / (SIDE * FINER) - 1
    y, x = np.meshgrid(-axis, axis, indexing="ij")
    values = np.zeros_like(x)
    for height, a, b, x0, y0, degrees in parts:
        c, s = cos(degrees * pi / 180), sin(degrees * pi / 180)
        u, v = (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s
        values += height * ((u / a) ** 2 + (v / b) ** 2 <= 1)
    return _picture("ellipses", values)


def head(z_mm: float = 6.0) -> Picture:
    """A slice of the digital head of `sample_data/`, T1, 230 mm wide."""
    pixel = 230 / SIDE / FINER
    grid = phantom.Grid.centred((SIDE * FINER, SIDE * FINER, 1), (pixel, pixel, 1.0), (0.0, 6.0, z_mm))
    values = phantom.render(grid, phantom.T1)[:, :, 0].T
    return _picture("head", values / np.quantile(values, 0.999))


def _picture(name: str, values: np.ndarray) -> Picture:
    data = torch.from_numpy(np.ascontiguousarray(values)).float().clamp(0, 1)[None]
    return Picture(name, MedImage.on(GRID.subdivided([FINER, FINER]), data))


@dataclass(frozen=True)
class Problem:
    """Something to be undone.

    Attributes:
        name: of the table's row.
        measure: from the fine picture, exact.
        through: the operator that is inverted, of a picture of SIDE x SIDE.
        linear: from measurements with gaps to the answers of linear methods by name; those with something to tune give
            several, of which the table takes the best: an advantage over medreg, whose weights follow a rule.
    """

    name: str
    measure: Callable[[Picture], Tensor]
    through: Callable[[MedImage], Tensor]
    linear: Callable[[Tensor], Iterator[tuple[str, Tensor]]]


def measured(problem: Problem, picture: Picture, noise: float, missing: float, seed: int = 0) -> tuple[Tensor, float]:
    """With Gaussian noise, of which 1 is the largest exact value, and gaps of NaN; and that noise in their unit."""
    random = torch.Generator().manual_seed(seed)
    exact = problem.measure(picture)
    sigma = noise * float(exact.max())
    values = exact + sigma * torch.randn(exact.shape, generator=random)
    return torch.where(torch.rand(exact.shape, generator=random) < missing, torch.nan, values), sigma


# Deblurring ----------------------------------------------------------------------------------------------------------


def deblurring() -> Problem:
    """A Gaussian of 1.5 pixels."""

    def measure(picture: Picture) -> Tensor:
        return avg_pool2d(gaussian(picture.fine, BLUR, border=Edge()).data, FINER)

    def through(picture: MedImage) -> Tensor:
        return gaussian(picture, BLUR, border=Edge()).data

    def linear(seen: Tensor) -> Iterator[tuple[str, Tensor]]:
        whole = gaps_filled(seen[0])
        yield "interpolation", whole
        spread = torch.zeros(2 * PAD + 1, 2 * PAD + 1)
        spread[PAD, PAD] = 1
        spread = gaussian(spread, BLUR, dimension=2)
        wide = np.pad(whole.numpy(), PAD, "edge")
        for balance in 10.0 ** np.arange(-8, 2, 0.5):
            sharp = wiener(wide, spread.numpy(), balance, clip=False)
            yield "Wiener", torch.from_numpy(sharp[PAD:-PAD, PAD:-PAD].copy())

    return Problem("deblurring", measure, through, linear)


# Super-resolution ----------------------------------------------------------------------------------------------------


def super_resolution(count: int = 9) -> Problem:
    """Frames whose pixels are three of the picture's wide, shifted by parts of them and turned by up to 2 degrees."""
    random = np.random.default_rng(0)
    coarse, maps = GRID.subsampled([FINER, FINER]), []
    for _ in range(count):
        angle, shift = random.uniform(-2, 2) * pi / 180, random.uniform(-1.5, 1.5, 2)
        turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
        matrix, centre = np.eye(3), np.array(GRID.centre)
        matrix[:2, :2], matrix[:2, 2] = turn, centre + shift - turn @ centre
        maps.append(matrix)
    places = np.stack([p.ravel() for p in np.meshgrid(*map(np.arange, coarse.size), indexing="xy")], 1).astype(float)
    points = np.concatenate([coarse.to_world(places) @ m[:2, :2].T + m[:2, 2] for m in maps])

    def linear(seen: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield "one frame", between(points[: places.shape[0]], seen[0].flatten())
        together = between(points, seen.flatten())
        yield "all frames", together
        for sigma in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0):
            yield "all frames, smoothed", smooth(together[None], sigma, (1.0, 1.0))[0]

    exposed, samples = Frames(coarse, maps, FINER * FINER), Frames(coarse, maps, FINER)
    return Problem("super-resolution", lambda picture: exposed(picture.fine), samples, linear)


# Tomography ----------------------------------------------------------------------------------------------------------


def tomography(views: int, span: float, name: str) -> Problem:
    """Parallel rays from `views` directions over `span` degrees, as many rays as pixels along a diagonal."""
    angles = torch.arange(views, dtype=torch.float64) * span / views
    turns = torch.deg2rad(angles)
    rays = torch.stack([turns.cos(), turns.sin(), -turns.sin(), turns.cos()], 1).view(-1, 2, 2)
    bins = round(SIDE * 2**0.5)
    half = bins / 2  # mm: a bin is a pixel wide

    def through(picture: MedImage) -> Tensor:
        return ray_sums(picture, (bins,), rays, torch.zeros(2), width_mm=half, step_mm=1.0)[:, 0]

    def measure(picture: Picture) -> Tensor:
        return ray_sums(picture.fine, (bins,), rays, torch.zeros(2), width_mm=half, step_mm=0.1)[:, 0]

    def linear(seen: Tensor) -> Iterator[tuple[str, Tensor]]:
        whole = torch.stack([_line_filled(view) for view in seen])
        for window in ("ramp", "shepp-logan", "cosine", "hamming", "hann"):
            for sigma in (0.0, 1.0, 2.0, 3.0):
                smoothed = whole if not sigma else gaussian(whole, sigma, dimension=1)
                found = iradon(smoothed.numpy().T, -angles.numpy(), SIDE, window, circle=False)
                yield "filtered back-projection", torch.from_numpy(found * (span / 180))

    return Problem(name, measure, through, linear)


def _line_filled(values: Tensor) -> Tensor:
    known = values.isfinite().numpy()
    place = np.arange(len(values))
    return torch.from_numpy(np.interp(place, place[known], values.numpy()[known])).float()


def gaps_filled(values: Tensor) -> Tensor:
    """(y, x) without NaN: between the pixels that are known."""
    if bool(values.isfinite().all()):
        return values
    y, x = np.meshgrid(*map(np.arange, values.shape), indexing="ij")
    return between(np.stack([x.ravel(), y.ravel()], 1).astype(float), values.flatten())


def between(points: np.ndarray, values: Tensor) -> Tensor:
    """(SIDE, SIDE): linear between scattered points (N, 2) of known values, and the nearest one beyond them."""
    known = values.isfinite().numpy()
    y, x = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    inside, nearest = (griddata(points[known], values.numpy()[known], (x, y), how) for how in ("linear", "nearest"))
    return torch.from_numpy(np.where(np.isfinite(inside), inside, nearest)).float()
