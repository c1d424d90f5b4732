"""The error in mm that a result is expected to have, at any point and over the foreground."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medreg.geometry.affine import invert, map_points
from medreg.geometry.grid import Grid
from medreg.registration.calibration import ErrorScale
from medreg.registration.uncertainty import Uncertainty
from medreg.types import FloatArray

DRAWS, AT = 1000, 200
"""Errors of the parameters that are drawn for the interval, and at how many points of the foreground."""

CELLS = 24
"""Along the fixed image's side, if it were a cube, in the map: 8 mm of a head."""


@dataclass(frozen=True, eq=False)
class PredictedError:
    """What a result's error will be if its minimum is the right one.

    Attributes:
        uncertainty: the covariance of the parameters.
        points: (N, D) of the fixed image's foreground, LPS mm.
        scale: of the calibration.
        voxel_mm: side of a voxel at the finest level.
        seed: of the draws.
        mean_mm: mean over the foreground of the root mean square error.
        p95_mm: its 95th percentile over the foreground.
        interval_mm: in which the mean error lies in 95 of 100 registrations.
    """

    uncertainty: Uncertainty
    points: FloatArray
    scale: ErrorScale
    voxel_mm: float
    seed: int
    mean_mm: float
    p95_mm: float
    interval_mm: tuple[float, float]

    @staticmethod
    def of(
        uncertainty: Uncertainty, points: FloatArray, scale: ErrorScale, voxel_mm: float, seed: int
    ) -> PredictedError:
        """The error over the foreground `points`."""
        told = PredictedError(uncertainty, points, scale, voxel_mm, seed, 0.0, 0.0, (0.0, 0.0))
        errors = told.at(points)
        return replace(
            told,
            mean_mm=float(errors.mean()),
            p95_mm=float(np.percentile(errors, 95)),
            interval_mm=told._interval(),
        )

    def at(self, points: FloatArray) -> FloatArray:
        """(N,) root mean square error, mm, of where fixed points (N, D), LPS mm, are sent."""
        floor = self.scale.floor_voxels * self.voxel_mm
        square = (self.scale.factor * self.uncertainty.at(points)) ** 2 + floor**2
        return np.asarray(np.sqrt(square), dtype=np.float64)

    def over(self, grid: Grid) -> tuple[FloatArray, Grid]:
        """The error over a coarse grid that covers `grid`: (z, y, x) or (y, x) in mm, and the grid."""
        step = grid.volume ** (1 / grid.dimension) / CELLS
        size = [max(1, round(extent / step)) for extent in grid.extent]
        linear = np.array(grid.direction) * (np.array(grid.extent) / size)
        if grid.is_sheared:
            linear = grid.affine[:-1, :-1] * (np.array(grid.size) / size)
        affine = np.eye(grid.dimension + 1)
        affine[:-1, :-1] = linear
        affine[:-1, -1] = np.array(grid.centre) - linear @ ((np.array(size) - 1) / 2)
        coarse = Grid.from_affine(size, affine)
        index = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), -1).reshape(-1, len(size))
        return self.at(coarse.to_world(index.astype(np.float64))).reshape(size).T, coarse

    def inverse(self) -> PredictedError:
        """Of the inverse transform, at moving points."""
        there, matrix = self.uncertainty, invert(self.uncertainty.matrix)
        back = replace(there, matrix=matrix, steps=np.asarray(-matrix @ there.steps @ matrix, dtype=np.float64))
        points = map_points(there.matrix, self.points)
        return PredictedError.of(back, points, self.scale, self.voxel_mm, self.seed)

    def _interval(self) -> tuple[float, float]:
        random = np.random.default_rng(self.seed)
        points = self.points[:: max(1, len(self.points) // AT)]
        jacobian = self.uncertainty.jacobian(points)
        n, d, count = jacobian.shape
        values, axes = np.linalg.eigh(self.uncertainty.covariance)
        drawn = (axes * np.sqrt(values.clip(min=0))) @ random.standard_normal((count, DRAWS))
        errors = (jacobian.reshape(n * d, count) @ drawn).reshape(n, d, DRAWS) * self.scale.factor
        floor = random.standard_normal((d, DRAWS)) * (self.scale.floor_voxels * self.voxel_mm / d**0.5)
        means = np.linalg.norm(errors + floor, axis=1).mean(0) * np.exp(
            self.scale.spread * random.standard_normal(DRAWS)
        )
        low, high = np.percentile(means, (2.5, 97.5))
        return float(low), float(high)
