"""One level of a registration as a function of a matrix: metric of fixed samples against the moving image at T(points).

The analytic chain: one forward and one backward of the sampler give each sample's value and spatial gradient; the
metric gives d value / d sample; a step's generators give d point / d step. Their products are the gradient and the
Gauss-Newton matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medreg.metric.measure import Measure
from medreg.optimise.problem import Evaluation
from medreg.registration.levels import LevelImage
from medreg.registration.samples import Samples
from medreg.sample import sample_with_gradient
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray

BLOCK = 32_768
"""Samples whose chain rows are formed at once, so that they stay in the cache."""


class SampledProblem:
    """A metric over the samples of one level, by a matrix that maps fixed points to moving points.

    Args:
        samples: fixed values and points.
        moving: the moving image at this level, with its mask.
        measure: bound to the samples.
        kind: family of transforms; steps stay inside it.
    """

    def __init__(self, samples: Samples, moving: LevelImage, measure: Measure, kind: Kind) -> None:
        self.samples, self.moving, self.measure = samples, moving, measure
        self.mask = None if moving.mask is None else moving.mask.to(moving.volume.dtype)
        d = moving.grid.dimension
        self.generators = generators(kind, d, samples.radius)
        self.basis = self.generators[:, :d, :].reshape(len(self.generators), -1)

    def evaluate(self, matrix: FloatArray) -> Evaluation:
        """See `medreg.optimise.problem.Problem`."""
        samples, d = self.samples, self.moving.grid.dimension
        linear, index = self._index(matrix)
        values, gradients, inside = sample_with_gradient(self.moving.volume, index)
        weight = inside.to(values.dtype)
        if self.mask is not None:
            weight = weight * (sample_with_gradient(self.mask, index).values[0] >= 0.5)
        overlap = float(weight.mean())
        slope = self.measure(values[0], weight)
        size = d * (d + 1)
        gradient = np.zeros(size)
        curvature = np.zeros((size, size))
        pull = gradients[0] @ linear
        for lo in range(0, len(index), BLOCK):
            hi = min(lo + BLOCK, len(index))
            chain = (pull[lo:hi, :, None] * samples.homogeneous[lo:hi, None, :]).view(hi - lo, size)
            gradient += (chain.T @ slope.slope[lo:hi]).double().cpu().numpy()
            curvature += (chain.T @ (chain * slope.curvature[lo:hi, None])).double().cpu().numpy()
        return Evaluation(slope.value, self.basis @ gradient, self.basis @ curvature @ self.basis.T, overlap)

    def values(self, matrix: FloatArray) -> tuple[Tensor, Tensor]:
        """(N,) moving values at the samples, and (N,) bool whether each is inside."""
        sampled = sample_with_gradient(self.moving.volume, self._index(matrix)[1])
        return sampled.values[0], sampled.inside

    def _index(self, matrix: FloatArray) -> tuple[Tensor, Tensor]:
        """D index / d fixed point (D, D), and the moving index (N, D) of every sample."""
        d = self.moving.grid.dimension
        world = self.moving.grid.inverse_affine @ matrix @ about(self.samples.centre, np.eye(d + 1))
        shift = world[:d, :d] @ np.array(self.samples.centre) + world[:d, d]
        like = self.samples.homogeneous
        table = torch.as_tensor(np.column_stack([world[:d, :d], shift]), dtype=like.dtype, device=like.device)
        return table[:, :d], like @ table.T

    def move(self, matrix: FloatArray, step: FloatArray) -> FloatArray:
        """See `medreg.optimise.problem.Problem`."""
        moved: FloatArray = matrix @ about(self.samples.centre, exponential(np.tensordot(step, self.generators, 1)))
        return moved
