"""Many poses at once: mutual information of one set of samples at each of them, and its descent in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medreg.metric.mutual_information import TINY, Binning
from medreg.registration.levels import LevelImage
from medreg.registration.samples import Samples
from medreg.sample.sharing import points_at_once, shared
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray

IntArray = NDArray[np.int64] | NDArray[np.bool_]

Rounds = Sequence[tuple[int, int]]
"""How many of the best poses go on, and for how many steps; the first round takes all."""


@dataclass(frozen=True, eq=False)
class Poses:
    """K matrices and their scores.

    Attributes:
        matrices: (K, D+1, D+1), fixed -> moving points, LPS mm.
        scores: (K,) negative mutual information in nats times overlap; lower is better.
        overlaps: (K,) fraction of the samples inside the moving image.
    """

    matrices: FloatArray
    scores: FloatArray
    overlaps: FloatArray

    def joined(self, other: Poses) -> Poses:
        """These poses, then the others."""
        return Poses(
            np.concatenate([self.matrices, other.matrices]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.overlaps, other.overlaps]),
        )

    def __getitem__(self, chosen: IntArray) -> Poses:
        return Poses(self.matrices[chosen], self.scores[chosen], self.overlaps[chosen])


class Batch:
    """Samples of the fixed image against the moving one, at many poses.

    Args:
        samples: of the fixed image, one channel.
        moving: one channel.
        bins: an axis.
    """

    def __init__(self, samples: Samples, moving: LevelImage, bins: int) -> None:
        self.samples, self.moving, self.bins = samples, moving, bins
        self.rows = Binning.of(samples.values[0], bins).hard(samples.values[0])
        self.binning = Binning.of(moving.volume, bins)
        hard = self.binning.hard(moving.volume[0].flatten())
        if moving.mask is not None:
            hard = torch.where(moving.mask.flatten(), hard, bins)
        self.hard = torch.cat([hard, hard.new_full((1,), bins)]).int()

    def scan(self, matrices: FloatArray) -> Poses:
        """Scores by nearest neighbours: rough, and tens of thousands of poses a second."""
        step = max(1, points_at_once(2**30, self.samples.homogeneous) * 4 // len(self.samples))
        parts = [matrices[k : k + step] for k in range(0, len(matrices), step)]
        scores, overlaps = zip(*shared(self._scan, parts, self.samples.homogeneous), strict=True)
        return Poses(matrices, np.concatenate(scores), np.concatenate(overlaps))

    def _scan(self, matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
        size = self.moving.grid.size
        index = self.index(matrices)
        flat, beyond, stride = index.new_zeros((), dtype=torch.int32), index.new_zeros((), dtype=torch.bool), 1
        for k, n in enumerate(size):
            place = (index[:, k] + 0.5).int()  # cuts towards 0, so -0.5 to 0.5 is voxel 0
            beyond = beyond | (index[:, k] < -0.5) | (place >= n)
            flat = flat + place * stride
            stride *= n
        flat = torch.where(beyond, stride, flat)
        bins, poses = self.bins, len(matrices)
        cells = bins * (bins + 1)
        column = self.hard[flat.flatten()].view(poses, -1)
        first = torch.arange(poses, dtype=torch.int32, device=column.device)[:, None] * cells
        place = column + (self.rows.int() * (bins + 1)) + first
        counts = torch.bincount(place.flatten(), minlength=poses * cells)
        return _scored(counts.view(poses, bins, bins + 1)[:, :, :bins].float(), len(self.samples))

    def index(self, matrices: FloatArray) -> Tensor:
        """(K, D, N) moving indices of the samples."""
        d = self.moving.grid.dimension
        world = self.moving.grid.inverse_affine @ matrices
        shift = world[:, :, :d] @ np.array(self.samples.centre) + world[:, :, d]
        table = np.concatenate([world[:, :, :d], shift[:, :, None]], 2)
        like = self.samples.homogeneous
        index = torch.as_tensor(table, dtype=like.dtype, device=like.device) @ like.T
        return index[:, :d] / index[:, d:] if world[:, d, :d].any() else index[:, :d]

    def descend(self, poses: FloatArray, kind: Kind, rounds: Rounds) -> Poses:
        """The poses after damped Fisher steps within `kind`, all in one batch; the worse ones are left behind early.

        Args:
            poses: (K, D+1, D+1).
            kind: family of transforms.
            rounds: see `Rounds`.

        Returns:
            All K poses in their order, each as far as it came.
        """
        samples = self.samples
        basis = generators(kind, self.moving.grid.dimension, samples.radius)
        ways = torch.as_tensor(basis[:, :-1], dtype=samples.homogeneous.dtype, device=samples.homogeneous.device)
        along = torch.einsum("pij,nj->npi", ways, samples.homogeneous)  # how each step moves each sample
        state = self._bend(poses.copy(), along)
        damping = np.full(len(poses), 1e-2)
        going = np.arange(len(poses))
        for keep, steps in rounds:
            going = going[np.argsort(state.poses.scores[going], kind="stable")[:keep]]
            for _ in range(steps):
                moved = self._moved(state[going], damping[going], basis)
                tried = self._bend(moved, along)
                better = tried.poses.scores < state.poses.scores[going]
                state.put(going[better], tried[better])
                damping[going] = np.where(better, damping[going] / 5, damping[going] * 10).clip(1e-6, 1e6)
        return state.poses

    def _moved(self, state: _State, damping: FloatArray, basis: FloatArray) -> FloatArray:
        """(K, D+1, D+1) matrices after a damped step of at most a quarter of the samples' radius each."""
        diagonal = np.einsum("kpp->kp", state.curvature)
        floor = 1e-9 * diagonal.max(1, keepdims=True) + 1e-30
        damped = state.curvature + np.eye(len(basis)) * (damping[:, None] * diagonal + floor)[:, None, :]
        step = -np.linalg.solve(damped, state.gradient[:, :, None])[:, :, 0]
        step *= np.minimum(1, self.samples.radius / 4 / np.abs(step).max(1, keepdims=True).clip(1e-9))
        turns = about(self.samples.centre, exponential(np.tensordot(step, basis, 1)))
        return np.asarray(state.poses.matrices @ turns, dtype=np.float64)

    def at(self, matrices: FloatArray) -> Poses:
        """Scores by linear interpolation."""
        return Poses(matrices, *_scored(self._spread(matrices).joint, len(self.samples)))

    def _spread(self, matrices: FloatArray) -> _Spread:
        """The moving values at all poses, each spread over the two bins that it lies between."""
        poses, bins, d = len(matrices), self.bins, self.moving.grid.dimension
        index = self.index(matrices).transpose(1, 2).reshape(-1, d)
        sampled = self.moving.at(index)
        weight = sampled.inside.to(sampled.values.dtype)
        coordinate = self.binning.coordinate(sampled.values[0])
        low = coordinate.int()
        t = coordinate - low
        first = torch.arange(poses, device=low.device).repeat_interleave(len(self.samples)) * bins**2
        flat = first + (self.rows * bins).repeat(poses) + low
        counts = _counted(flat, weight * (1 - t), poses * bins**2) + _counted(flat + 1, weight * t, poses * bins**2)
        return _Spread(sampled.gradients[0], weight, flat, counts.view(poses, bins, bins))

    def _bend(self, matrices: FloatArray, along: Tensor) -> _State:
        """Scores, and the slope of the mutual information by each step, with its Fisher matrix."""
        poses, n, d = len(matrices), len(self.samples), self.moving.grid.dimension
        gradients, weight, flat, joint = self._spread(matrices)
        total = joint.sum((1, 2), keepdim=True).clamp(min=1)
        p = joint / total
        table = ((p.sum(1, keepdim=True) + TINY).log() - (p + TINY).log()).flatten()
        slope = (table[flat + 1] - table[flat]).to(along.dtype) * weight * self.binning.scale
        slope = slope.view(poses, n) / total.view(poses, 1).to(along.dtype)
        linear = self.moving.grid.inverse_affine[:d, :d] @ matrices[:, :d, :d]
        pull = gradients.view(poses, n, d) @ torch.as_tensor(linear, dtype=along.dtype, device=along.device)
        rows = torch.einsum("kni,npi->knp", pull, along) * slope[:, :, None]
        curvature = rows.mT @ rows * total.to(along.dtype)
        return _State(
            Poses(matrices, *_scored(joint, n)), rows.sum(1).cpu().double().numpy(), curvature.cpu().double().numpy()
        )


class _Spread(NamedTuple):
    """Of K poses and N samples: index gradients (KN, D), weights and lower cells (KN,), counts (K, bins, bins)."""

    gradients: Tensor
    weight: Tensor
    cell: Tensor
    joint: Tensor


@dataclass(frozen=True, eq=False)
class _State:
    """Poses, and the metric's gradient (K, P) and Fisher matrix (K, P, P) at each."""

    poses: Poses
    gradient: FloatArray
    curvature: FloatArray

    def __getitem__(self, chosen: IntArray) -> _State:
        return _State(self.poses[chosen], self.gradient[chosen], self.curvature[chosen])

    def put(self, places: IntArray, other: _State) -> None:
        """Overwrite some of the poses."""
        for mine, theirs in (
            (self.poses.matrices, other.poses.matrices),
            (self.poses.scores, other.poses.scores),
            (self.poses.overlaps, other.poses.overlaps),
            (self.gradient, other.gradient),
            (self.curvature, other.curvature),
        ):
            mine[places] = theirs


def _counted(place: Tensor, weight: Tensor, cells: int) -> Tensor:
    """(cells,) float64 sums of the weights; whole numbers are added, so that no order of adding matters on a GPU."""
    if place.device.type == "cpu":
        return torch.bincount(place, weight.double(), cells)
    whole = (weight * 2**20).round().long()
    counts = torch.zeros(cells, dtype=torch.int64, device=place.device).index_add_(0, place, whole)
    return counts.to(torch.float64) / 2**20 if place.device.type != "mps" else counts.float() / 2**20


def _scored(joint: Tensor, samples: int) -> tuple[FloatArray, FloatArray]:
    """(K,) scores and overlaps of joint counts (K, bins, bins).

    What few samples feign is taken off: independent values have a mutual information of about (occupied rows - 1)
    (occupied columns - 1) / 2N nats, by the distributions' perplexities rather than by their last lone sample.
    """
    total = joint.sum((1, 2), keepdim=True)
    p = joint / total.clamp(min=1)
    both, first, second = (-(q * (q + TINY).log()).flatten(1).sum(1) for q in (p, p.sum(2), p.sum(1)))
    overlap = total.flatten() / samples
    feigned = (first.exp() - 1) * (second.exp() - 1) / (2 * samples)
    score = torch.where(overlap > 0, (both - first - second) * overlap + feigned, 1.0)  # nowhere is the worst place
    return score.cpu().double().numpy(), overlap.cpu().double().numpy()
