"""One metric over the samples of one image against another image, as a function of a matrix.

The analytic chain: one forward and one backward of the sampler give each sample's value and spatial gradient; the
metric gives d value / d sample; a step's generators give d point / d step. Their products are the gradient and the
Gauss-Newton matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medreg.metric.measure import Measure
from medreg.registration.levels import LevelImage
from medreg.registration.samples import Samples
from medreg.sample.sharing import points_at_once, shared
from medreg.types import FloatArray

LEAST_W = 0.1
"""A homography must keep its denominator above this share of its value at the centre, over the whole fixed image."""


class Bend(NamedTuple):
    """A metric at one matrix, and how it bends under matrices G that act first, about the samples' centre.

    Attributes:
        value: lower is better; not finite where the map tears the image.
        gradient: (E,) d value / d entry of G, row by row: D rows for a linear matrix, D + 1 for a homography.
        curvature: (E, E) Gauss-Newton (or Fisher) matrix by the same entries.
        overlap: see `Term.overlap`.
    """

    value: float
    gradient: FloatArray
    curvature: FloatArray
    overlap: float


class Term:
    """A metric by a matrix that maps the samples' points to points of the other image.

    Args:
        samples: values and points of one image.
        moving: the other image at this level, with its mask.
        measure: bound to the samples.
        weight: of this metric among others.
    """

    def __init__(self, samples: Samples, moving: LevelImage, measure: Measure, weight: float = 1.0) -> None:
        self.samples, self.moving, self.measure, self.weight = samples, moving, measure, weight
        counted = moving.grid.volume * (1.0 if moving.mask is None else float(moving.mask.float().mean()))
        self.reach = min(1.0, max(counted, moving.grid.voxel_volume) / samples.view)

    def bend(self, matrix: FloatArray, rows: int) -> Bend:
        """The metric at `matrix`, by the first `rows` rows of what may act before it: D, or D + 1 for a homography."""
        d = self.moving.grid.dimension
        linear, index, w = self._index(matrix)
        if w is not None and float((self.samples.corners @ self._bottom(matrix)).min()) < LEAST_W:
            return Bend(np.inf, np.zeros(rows * (d + 1)), np.zeros((rows * (d + 1),) * 2), 1.0)
        values, gradients, counts = self._sample(index)
        weight = counts.to(values.dtype)
        slope = self.measure(values, weight)
        first, second, place = _distinct(rows)
        pulled = self._pulls(matrix, rows, linear, index, w)

        def summed(part: slice) -> tuple[Tensor, Tensor]:
            """Of a share of the samples: the gradient (R, D+1), and the curvature by distinct entries."""
            points, gradient, curvature = self.samples.homogeneous[part], 0.0, 0.0
            for channel, descent, sharpness in zip(
                gradients[..., part], slope.slope[:, part], slope.curvature[:, part], strict=True
            ):
                pull = pulled(channel, part)
                gradient = gradient + (pull * descent) @ points
                curvature = curvature + pull[first] * pull[second] * sharpness
            return torch.as_tensor(gradient), torch.as_tensor(curvature) @ self.samples.products[part]

        share = points_at_once(len(weight), weight)
        parts = [slice(k, k + share) for k in range(0, len(weight), share)]
        sums = shared(summed, parts, weight)
        gradient, curvature = (torch.stack(each).cpu().double().sum(0).numpy() for each in zip(*sums, strict=True))
        return Bend(slope.value, gradient.ravel(), _unfolded(curvature, place), self.overlap(counts))

    def pulls(self, matrix: FloatArray, rows: int) -> tuple[Tensor, Tensor]:
        """What each sample adds to `bend`'s gradient, as an outer product with its homogeneous point.

        Returns:
            (R, N) the first factors, so that the gradient (R, D+1) is their product with (N, D+1) homogeneous points;
            and (N,) bool which samples count.
        """
        linear, index, w = self._index(matrix)
        values, gradients, counts = self._sample(index)
        slope = self.measure(values, counts.to(values.dtype))
        pulled = self._pulls(matrix, rows, linear, index, w)
        channels = zip(gradients, slope.slope, strict=True)
        total = torch.stack([pulled(channel, slice(None)) * descent for channel, descent in channels]).sum(0)
        return total, counts

    def _pulls(
        self, matrix: FloatArray, rows: int, linear: Tensor, index: Tensor, w: Tensor | None
    ) -> Callable[[Tensor, slice], Tensor]:
        """From the index gradients (D, n) of a channel and share of the samples to (R, n) d value / d row of the step.

        `linear`, `index` and `w` are those of `_index(matrix)`.
        """
        d = self.moving.grid.dimension
        bottom = torch.as_tensor(self._bottom(matrix)[:d], dtype=linear.dtype, device=linear.device)

        def pulled(channel: Tensor, part: slice) -> Tensor:
            pull = linear.T @ channel  # d value / d fixed point
            if w is not None:
                pull = (pull - bottom[:, None] * (channel * index[part].T).sum(0)) / w[part]
            if rows > d:  # what moves the denominator moves the point along itself
                points = self.samples.homogeneous[part]
                pull = torch.cat([pull, -(pull * points[:, :d].T).sum(0, keepdim=True)])
            return pull

        return pulled

    def _sample(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Moving values (C, N), their index gradients (C, D, N), and (N,) bool: inside the image and its mask."""
        sampled = self.moving.at(index)
        return sampled.values, sampled.gradients.mT, sampled.inside

    def overlap(self, counts: Tensor) -> float:
        """The share of the samples that count (N,), of as many as the other image has room for: 0 to 1.

        A slab that lies in a whole head has an overlap of 1, whichever of the two is fixed; and so has a mask's inside.
        """
        return min(1.0, float(counts.float().mean()) / self.reach)

    def values(self, matrix: FloatArray) -> tuple[Tensor, Tensor]:
        """(C, N) moving values at the samples, and (N,) bool which of them count."""
        values, _, counts = self._sample(self._index(matrix)[1])
        return values, counts

    def _bottom(self, matrix: FloatArray) -> FloatArray:
        """The last row of the matrix, acting on points relative to the samples' centre."""
        bottom: FloatArray = matrix[-1].copy()
        bottom[-1] += bottom[:-1] @ np.array(self.samples.centre)
        return bottom

    def _index(self, matrix: FloatArray) -> tuple[Tensor, Tensor, Tensor | None]:
        """How indices move with fixed points (D, D), not yet divided; the indices (N, D); a homography's w (N,)."""
        d = self.moving.grid.dimension
        world = self.moving.grid.inverse_affine @ matrix
        shift = world[:, :d] @ np.array(self.samples.centre) + world[:, d]
        like = self.samples.homogeneous
        table = torch.as_tensor(np.column_stack([world[:, :d], shift]), dtype=like.dtype, device=like.device)
        index = table[:d] @ like.T
        if not world[d, :d].any():
            return table[:d, :d], index.T, None
        w = table[d] @ like.T
        return table[:d, :d], (index / w).T, w


def _unfolded(curvature: FloatArray, place: NDArray[np.int64]) -> FloatArray:
    """sum_i w_i (g_i x h_i)(g_i x h_i)^T for pulls g (R, N) and homogeneous points h, as (R (D+1))^2.

    The outer products of g and of h are symmetric, so their distinct entries (6 and 10 in 3D) are enough: one product
    of (6, N) and (N, 10) instead of (12, N) and (N, 12), whose second factor is the same at every step.
    """
    columns = _distinct(round((2 * curvature.shape[1]) ** 0.5))[2]
    r, n = len(place), len(columns)
    full = curvature[np.ix_(place.ravel(), columns.ravel())].reshape(r, r, n, n)
    return np.asarray(full.transpose(0, 2, 1, 3).reshape(r * n, r * n), dtype=np.float64)


def _distinct(n: int) -> tuple[list[int], list[int], NDArray[np.int64]]:
    """Rows and columns of the distinct entries of a symmetric n x n matrix, and (n, n) which of them stands where."""
    rows, columns = np.triu_indices(n)
    place = np.zeros((n, n), dtype=np.int64)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return rows.tolist(), columns.tolist(), place
