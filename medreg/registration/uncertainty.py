"""How sure a transform is: the covariance of its parameters, and the error in mm that follows at every point.

A registration minimises a sum over samples. Near the minimum the parameters' error is the inverse of the curvature H
times the sum's random slope, so its covariance is H^-1 B H^-1 with B the slope's: the sandwich (H. White 1980,
doi:10.2307/1912934). Residuals of neighbouring voxels are not independent: what one image shows and the other does not
is as large as a gyrus. So slopes are first summed over blocks of space that are wider than that, and B is the sum of
the blocks' outer products (K.-Y. Liang, S. Zeger 1986, doi:10.1093/biomet/73.1.13); without this the error would be
told several times too small. It is the error by noise and by what differs between the images, given that the minimum is
the right one; whether it is, the covariance cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from medreg.geometry.affine import map_points
from medreg.registration import recipe
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.thinning import thinned
from medreg.sample.sharing import points_at_once, shared
from medreg.types import FloatArray

BLOCKS = 8
"""Blocks along the side of what bears the slope, if it were a cube: 20 mm of a head, more than the width of a gyrus."""

MOST_BLOCKS = 64
"""Along the longest side of the view, however small what bears the slope."""

NUDGE = 0.4
"""Of a voxel: the steps by which the slope's differences are taken."""

ENOUGH = 12_000
"""So many samples tell the curvature of all."""

SOFT = 0.05
"""Times the Gauss-Newton matrix: the least curvature that is believed in any direction."""


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """The parameters' covariance at a matrix, and what it is made of.

    Attributes:
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        steps: (P, D+1, D+1) how the matrix changes with a unit of each parameter, which are millimetre-balanced.
        scores: (G, P) the metric's slope by the parameters, summed over the samples of each block of space.
        naive_score: (P, P) the sum of the outer products of every single sample's slope.
        curvature: (P, P) of the metric.
        samples: how many count.

    Example:
        >>> eye = np.eye(2)
        >>> shift = np.zeros((2, 3, 3)); shift[0, 0, 2] = shift[1, 1, 2] = 1.0
        >>> sure = Uncertainty(np.eye(3), shift, np.vstack([eye, -eye]) * 0.1, eye * 0.02, eye, 100)
        >>> sure.at(np.array([[7.0, 5.0]])).round(2).tolist()
        [0.28]
    """

    matrix: FloatArray
    steps: FloatArray
    scores: FloatArray
    naive_score: FloatArray
    curvature: FloatArray
    samples: int

    @cached_property
    def covariance(self) -> FloatArray:
        """(P, P) mm^2, of the parameters; for few blocks enlarged by G / (G - P)."""
        return self._between(self.scores.T @ self.scores) * self._few

    @cached_property
    def naive(self) -> FloatArray:
        """(P, P) what the covariance would be if all samples were independent."""
        return self._between(self.naive_score)

    @property
    def effective(self) -> float:
        """As how many independent samples all of them count: `samples` times trace(naive) / trace(covariance).

        At least the number of parameters, at most that of the samples.
        """
        robust = float(np.trace(self.covariance))
        if not robust > 0:
            return float(self.samples)
        share = float(np.trace(self.naive)) / robust
        return float(min(max(self.samples * share, len(self.steps)), self.samples))

    def jacobian(self, points: FloatArray) -> FloatArray:
        """(N, D, P) how the moving points of fixed points (N, D) move with a unit of each parameter."""
        homogeneous = np.column_stack([points, np.ones(len(points))])
        moved = np.einsum("pij,nj->nip", self.steps, homogeneous)
        w = homogeneous @ self.matrix[-1]
        slid = map_points(self.matrix, points)[:, :, None] * moved[:, -1:, :]  # as a homography's w changes
        return np.asarray((moved[:, :-1, :] - slid) / w[:, None, None], dtype=np.float64)

    def at(self, points: FloatArray) -> FloatArray:
        """(N,) the root mean square error, mm, of where fixed points (N, D), LPS mm, are sent."""
        jacobian = self.jacobian(points)
        square = np.einsum("ndp,pq,ndq->n", jacobian, self.covariance, jacobian, optimize=True)
        return np.asarray(np.sqrt(square.clip(min=0)), dtype=np.float64)

    @property
    def _few(self) -> float:
        """Residual slopes of G blocks have lost P degrees of freedom: with few blocks they are too small."""
        weight = (self.scores**2).sum(1)
        blocks = float(weight.sum() ** 2 / max(float((weight**2).sum()), 1e-300))  # as many as bear the slope
        count = len(self.steps)
        return max(blocks, count + 2.0) / (max(blocks, count + 2.0) - count)

    def _between(self, middle: FloatArray) -> FloatArray:
        inverse = np.linalg.inv(self.curvature)
        return np.asarray(inverse @ middle @ inverse.T, dtype=np.float64)


def uncertainty(
    problem: OneWay | BothWays,
    matrix: FloatArray,
    *,
    curvature: FloatArray | None = None,
    width_mm: float | None = None,
) -> Uncertainty:
    """The covariance of a transform's parameters at the minimum of a problem.

    Args:
        problem: any metrics, one way or both.
        matrix: where it is least, (D+1) x (D+1), fixed -> moving points, LPS mm.
        curvature: (P, P) of the metric there; by default the problem's own Gauss-Newton or Fisher matrix.
            `curvature_at` is truer and costs two evaluations a parameter.
        width_mm: of a block; by default an eighth of the side that a cube as wide as what bears the slope would have.
    """
    places, slopes, samples = [], [], 0
    naive = np.zeros((len(problem.steps(matrix)),) * 2)
    for part in problem.parts(matrix):
        pull, counts = part.term.pulls(part.matrix, problem.rows)
        points = part.term.samples.homogeneous
        slope = _contracted(pull, points, part.basis * part.weight)
        naive += (slope.T @ slope).cpu().double().numpy()
        relative = points[:, :-1].cpu().double().numpy()
        places.append(map_points(part.to_fixed, relative + np.array(part.term.samples.centre)))
        slopes.append(slope)
        samples += int(counts.sum())
    where, slope = np.concatenate(places), torch.cat(slopes)
    width = width_mm or block_width(where, slope.square().sum(1).cpu().double().numpy())
    scores = _by_block(np.floor(where / width), slope)  # `//` takes twenty times as long
    bend = problem.evaluate(matrix).curvature if curvature is None else curvature
    return Uncertainty(matrix, problem.steps(matrix), scores, naive, _firm(bend), samples)


def measured(
    problem: OneWay | BothWays, metric: recipe.Metric, matrix: FloatArray, voxel_mm: float
) -> Uncertainty | None:
    """`uncertainty` with the curvature of `curvature_at`, taken on a part of the samples.

    Args:
        problem: any metrics, one way or both.
        metric: the recipe of it.
        matrix: where it is least, (D+1) x (D+1), fixed -> moving points, LPS mm.
        voxel_mm: of the level.

    Returns:
        None where the metric has no curvature to tell by: the images leave open how the transform goes.
    """
    try:
        curvature = curvature_at(thinned(problem, metric, ENOUGH), matrix, NUDGE * voxel_mm)
        sure = uncertainty(problem, matrix, curvature=curvature)
        return None if np.isnan(sure.covariance).any() else sure
    except np.linalg.LinAlgError:
        return None


def curvature_at(problem: OneWay | BothWays, matrix: FloatArray, step_mm: float) -> FloatArray:
    """(P, P) the metric's second derivatives by differences of its slope over `step_mm` to both sides.

    The Gauss-Newton matrix leaves out how the fit itself changes, and the Fisher matrix of mutual information is off by
    a factor where the histogram is no good model; a few thousand samples tell the curvature of all. Directions in which
    the metric bends by less than `SOFT` of the Gauss-Newton matrix are given that much.
    """
    here = problem.evaluate(matrix)
    rows = []
    for step in np.eye(len(here.gradient)) * step_mm:
        ahead, behind = (problem.evaluate(problem.move(matrix, sign * step)).gradient for sign in (1, -1))
        rows.append((ahead - behind) / (2 * step_mm))
    bend = np.stack(rows)
    if not np.isfinite(bend).all():
        return here.curvature
    root = np.linalg.cholesky(_firm(here.curvature))
    inverse = np.linalg.inv(root)
    values, axes = np.linalg.eigh(inverse @ ((bend + bend.T) / 2) @ inverse.T)
    return np.asarray(root @ (axes * values.clip(min=SOFT)) @ axes.T @ root.T, dtype=np.float64)


def block_width(points: FloatArray, weight: FloatArray) -> float:
    """The default width of a block, mm, of points (N, D) that bear squared slopes (N,); background bears none."""
    share = weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1 / len(weight))
    away = points - share @ points
    side = float(np.sqrt(12 * (share @ away**2).sum() / points.shape[1]))  # a cube of side s has s^2 / 12 an axis
    longest = max(float(np.ptp(axis)) for axis in points.T)  # an axis at a time: NumPy is slow down three columns
    return max(side / BLOCKS, longest / MOST_BLOCKS, 1e-9)


def _contracted(pull: Tensor, points: Tensor, basis: FloatArray) -> Tensor:
    """(N, P) slopes by the parameters: of pulls (R, N), homogeneous points (N, D+1) and a basis (P, R (D+1))."""
    table = torch.as_tensor(basis.reshape(len(basis), len(pull), -1), dtype=pull.dtype, device=pull.device)

    def work(part: slice) -> Tensor:
        own = pull[:, part].T[:, :, None] * points[part][:, None, :]
        return own.flatten(1) @ table.flatten(1).T

    share = points_at_once(len(points), points)
    return torch.cat(shared(work, [slice(k, k + share) for k in range(0, len(points), share)], points))


def _by_block(places: FloatArray, slopes: Tensor) -> FloatArray:
    """(G, P) float64 sums of slopes (N, P) over those with the same whole-numbered place (N, D)."""
    flat, blocks = np.zeros(len(places), np.int64), 1
    for axis in places.T:
        place = (axis - axis.min()).astype(np.int64)
        along = int(place.max()) + 1
        flat, blocks = flat * along + place, blocks * along
    index = torch.as_tensor(flat, device=slopes.device)
    total = torch.zeros(blocks, slopes.shape[1], dtype=slopes.dtype, device=slopes.device)
    return np.asarray(total.index_add_(0, index, slopes).cpu().double().numpy(), dtype=np.float64)


def _firm(curvature: FloatArray) -> FloatArray:
    """Symmetric, and with a floor so small that only what has no curvature at all feels it."""
    diagonal = np.diag(curvature)
    floor = 1e-9 * max(float(diagonal.max()), 1e-30)
    return np.asarray((curvature + curvature.T) / 2 + np.eye(len(curvature)) * floor, dtype=np.float64)
