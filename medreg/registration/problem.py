"""One level of a registration as a function of a matrix: metric of fixed samples against the moving image at T(points).

The analytic chain: one forward and one backward of the sampler give each sample's value and spatial gradient; the
metric gives d value / d sample; a step's generators give d point / d step. Their products are the gradient and the
Gauss-Newton matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medreg.metric.measure import Measure
from medreg.optimise.problem import Evaluation
from medreg.registration.levels import LevelImage
from medreg.registration.samples import Samples
from medreg.sample import sample_with_gradient
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray


class SampledProblem:
    """A metric over the samples of one level, by a matrix that maps fixed points to moving points.

    Args:
        samples: fixed values and points.
        moving: the moving image at this level, with its mask.
        measure: bound to the samples.
        kind: family of transforms; steps stay inside it.

    Attributes:
        evaluations: how often the metric was computed, for transforms that were rejected too.
    """

    def __init__(self, samples: Samples, moving: LevelImage, measure: Measure, kind: Kind) -> None:
        self.samples, self.moving, self.measure = samples, moving, measure
        self.mask = None if moving.mask is None else moving.mask.to(moving.volume.dtype)
        d = moving.grid.dimension
        self.evaluations = 0
        self.generators = generators(kind, d, samples.radius)
        self.basis = self.generators[:, :d, :].reshape(len(self.generators), -1)

    def evaluate(self, matrix: FloatArray) -> Evaluation:
        """See `medreg.optimise.problem.Problem`."""
        self.evaluations += 1
        linear, index = self._index(matrix)
        values, gradients, counts = self._sample(index)
        weight = counts.to(values.dtype)
        slope = self.measure(values, weight)
        pull = linear.T @ gradients  # d value / d fixed point
        gradient = ((pull * slope.slope) @ self.samples.homogeneous).cpu().double().numpy().ravel()
        curvature = self._curvature(pull, slope.curvature)
        overlap = float(weight.mean())
        return Evaluation(slope.value, self.basis @ gradient, self.basis @ curvature @ self.basis.T, overlap)

    def _curvature(self, pull: Tensor, weight: Tensor) -> FloatArray:
        """sum_i w_i (g_i x h_i)(g_i x h_i)^T for pulls g (D, N) and homogeneous points h, as (D(D+1))^2.

        The outer products of g and of h are symmetric, so their distinct entries (6 and 10 in 3D) are enough: one
        product of (6, N) and (N, 10) instead of (12, N) and (N, 12), whose second factor is the same at every step.
        """
        d = len(pull)
        first, second, place = _distinct(d)
        products = (pull[first] * pull[second] * weight) @ self.samples.products
        full = products.cpu().double().numpy()[np.ix_(place.ravel(), _distinct(d + 1)[2].ravel())]
        curvature: FloatArray = full.reshape(d, d, d + 1, d + 1).transpose(0, 2, 1, 3).reshape(d * (d + 1), d * (d + 1))
        return curvature

    def _sample(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Moving values (N,), their index gradients (D, N), and (N,) bool which are inside the image and its mask."""
        sampled = sample_with_gradient(self.moving.volume, index)
        counts = sampled.inside
        if self.mask is not None:
            counts = counts & (sample_with_gradient(self.mask, index).values[0] >= 0.5)
        return sampled.values[0], sampled.gradients[0].T, counts

    def values(self, matrix: FloatArray) -> tuple[Tensor, Tensor]:
        """(N,) moving values at the samples, and (N,) bool which of them count."""
        values, _, counts = self._sample(self._index(matrix)[1])
        return values, counts

    def _index(self, matrix: FloatArray) -> tuple[Tensor, Tensor]:
        """The derivative of index by fixed point (D, D), and the moving index (N, D) of every sample."""
        d = self.moving.grid.dimension
        world = self.moving.grid.inverse_affine @ matrix
        shift = world[:d, :d] @ np.array(self.samples.centre) + world[:d, d]
        like = self.samples.homogeneous
        table = torch.as_tensor(np.column_stack([world[:d, :d], shift]), dtype=like.dtype, device=like.device)
        return table[:, :d], (table @ like.T).T

    def move(self, matrix: FloatArray, step: FloatArray) -> FloatArray:
        """See `medreg.optimise.problem.Problem`."""
        moved: FloatArray = matrix @ about(self.samples.centre, exponential(np.tensordot(step, self.generators, 1)))
        return moved


def _distinct(n: int) -> tuple[list[int], list[int], NDArray[np.int64]]:
    """Rows and columns of the distinct entries of a symmetric n x n matrix, and (n, n) which of them stands where."""
    rows, columns = np.triu_indices(n)
    place = np.zeros((n, n), dtype=np.int64)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return rows.tolist(), columns.tolist(), place
