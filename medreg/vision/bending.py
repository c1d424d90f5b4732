"""What no single homography explains: a bend for every picture, from what still differs in the overlaps.

Parallax and lenses move parts of a picture by a few pixels. Homographies on a lattice (J. Zaragoza et al.,
"As-Projective-As-Possible Image Stitching with Moving DLT", 2014, doi:10.1109/TPAMI.2013.247) follow them; here their
parameters are found on the intensities, all pictures at once, by Gauss-Newton from coarse to fine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from medreg.errors import TransformError
from medreg.geometry.grid import Grid
from medreg.sample import resample
from medreg.transform.generators import generators
from medreg.transform.kind import Kind
from medreg.transform.local_homographies import LocalHomographies, blend, controls_over
from medreg.types import FloatArray
from medreg.vision.matching import Match
from medreg.vision.mosaic import Layer, overlap_corners, part_of
from medreg.vision.pictures import Picture

LEVELS = (4, 2, 1)
"""Pixels of the mosaic that one of each level is wide."""

STEPS = 4
"""At each level."""

COMPARED = 15_000
"""Most pixels of an overlap that one step looks at."""


@dataclass(frozen=True)
class Bending:
    """How pictures may bend.

    Attributes:
        controls: control points along each axis of a picture.
        reach: pixels that a control point moves readily; more costs more, in proportion to its square.
        stiffness: pixels by which neighbouring control points readily differ.
    """

    controls: int = 6
    reach: float = 4.0
    stiffness: float = 2.0


def bent(
    pictures: Sequence[Picture],
    placed: Sequence[FloatArray],
    matches: Sequence[Match],
    canvas: Grid,
    gains: Tensor,
    offsets: Tensor,
    reference: int,
    how: Bending,
) -> list[LocalHomographies | None]:
    """For each picture the bent map of the reference's points -> its own; None for the reference, which stays.

    Args:
        pictures: all.
        placed: 3x3 of each, its points -> the reference's.
        matches: which of them overlap.
        canvas: of the mosaic.
        gains: (K,) of the grey pictures.
        offsets: (K,) the same.
        reference: which one stays.
        how: the lattice and its stiffness.
    """
    bends = {k: _Bend(pictures[k], placed[k], canvas, how) for k in range(len(pictures)) if k != reference}
    size = next(iter(bends.values())).size
    at = {k: slice(n * size, (n + 1) * size) for n, k in enumerate(bends)}
    state = torch.zeros(len(bends) * size, dtype=torch.float64)
    prior = torch.zeros(len(state), len(state), dtype=torch.float64)
    for k, bend in bends.items():
        prior[at[k], at[k]] = bend.prior()
    spacing = canvas.spacing[0]
    for level in LEVELS:
        seen = [p.grey(level * spacing if level > 1 else 0.0) for p in pictures]
        grey = [i.with_data(i.data * g + o) for i, g, o in zip(seen, gains, offsets, strict=True)]
        layers = [Layer(i, m) for i, m in zip(grey, placed, strict=True)]
        noise: float | None = None
        best: _System | None = None
        step = torch.zeros_like(state)
        for _ in range(STEPS):
            try:
                for k, bend in bends.items():
                    layers[k].through = bend.map((state + step)[at[k]])
            except TransformError:  # a step so long that a homography folds
                break
            system = _system(layers, matches, canvas, level, bends, at, noise)
            if noise is None:
                noise = system.noise
            value = system.value + float((state + step) @ prior @ (state + step)) / 2
            if best is not None and not value < best.value:
                break
            state = state + step
            best = system._replace(value=value)
            step = -torch.linalg.solve(best.normal + prior, best.right + prior @ state)
            if float(step.abs().max()) < 0.002 * spacing:
                break
    return [bends[k].map(state[at[k]]) if k in bends else None for k in range(len(pictures))]


class _System(NamedTuple):
    """The squares of all overlaps, in units of their noise, and what Gauss-Newton makes of them."""

    value: float
    normal: Tensor
    right: Tensor
    noise: float


class _Bend:
    """The lattice of one picture, and how its parameters move the points under it."""

    def __init__(self, picture: Picture, placed: FloatArray, canvas: Grid, how: Bending) -> None:
        outline = Layer(picture.image, placed).outline
        part = part_of(canvas, outline)
        assert part is not None  # the canvas was made to hold it
        self.controls = controls_over(part[0], [how.controls] * 2)
        self.radius = float(np.mean(self.controls.spacing)) / 2
        self.overall = torch.from_numpy(np.linalg.inv(placed))
        self.basis = torch.from_numpy(generators(Kind.HOMOGRAPHY, 2, self.radius))
        self.how, self.spacing = how, canvas.spacing[0]
        self.size = how.controls**2 * len(self.basis)

    def map(self, parameters: Tensor) -> LocalHomographies:
        shaped = parameters.view(self.how.controls, self.how.controls, -1)
        return LocalHomographies.from_parameters(shaped, self.controls, self.radius, self.overall)

    def prior(self) -> Tensor:
        """(size, size) the inverse covariance of the parameters before any picture is seen."""
        n = self.how.controls
        line = torch.diff(torch.eye(n, dtype=torch.float64), dim=0)
        rough = line.T @ line
        eye = torch.eye(n, dtype=torch.float64)
        between = (torch.kron(rough, eye) + torch.kron(eye, rough)) / (self.how.stiffness * self.spacing) ** 2
        alone = torch.eye(n * n, dtype=torch.float64) / (self.how.reach * self.spacing) ** 2
        return torch.kron(between + alone, torch.eye(len(self.basis), dtype=torch.float64))

    def slopes(self, points: Tensor, gradient: Tensor) -> Tensor:
        """(N, size) how values at points (N, 2), of this gradient (N, 2) by the point, follow the parameters."""
        count, p = self.how.controls**2, len(self.basis)
        columns, rows = torch.meshgrid(torch.arange(self.how.controls), torch.arange(self.how.controls), indexing="xy")
        index = torch.stack([columns.flatten(), rows.flatten(), torch.ones(count)], 1).double()
        places = (index @ torch.from_numpy(self.controls.affine.copy()).T)[:, :2]
        result = torch.zeros(len(points), count, p, dtype=torch.float64)
        each = torch.arange(len(points))
        for control, weight in zip(*blend(self.controls, points), strict=True):
            away = points - places[control]
            moved = torch.einsum("pij,nj->npi", self.basis, torch.cat([away, torch.ones(len(away), 1)], 1).double())
            moved = moved[..., :2] - moved[..., 2:] * away[:, None]
            slopes = weight[:, None] * (moved @ gradient[:, :, None])[..., 0]
            result.index_put_((each, control), slopes, accumulate=True)
        return result.flatten(1)


def _system(
    layers: Sequence[Layer],
    matches: Sequence[Match],
    canvas: Grid,
    level: int,
    bends: Mapping[int, _Bend],
    at: Mapping[int, slice],
    noise: float | None,
) -> _System:
    size = sum(s.stop - s.start for s in at.values())
    normal, right = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    squares, count = 0.0, 0
    for match in matches:
        seen = _compared(layers[match.first], layers[match.second], canvas, level)
        if seen is None:
            continue
        points, residual, *gradients = seen
        squares, count = squares + float(residual.square().sum()), count + len(residual)
        signed = {match.first: gradients[0], match.second: -gradients[1]}
        slopes = {k: bends[k].slopes(points, g) for k, g in signed.items() if k in bends}
        for k, one in slopes.items():
            right[at[k]] += one.T @ residual
            for j, other in slopes.items():
                normal[at[k], at[j]] += one.T @ other
    noise = noise or squares / max(count, 1) + 1e-12
    return _System(squares / noise / 2, normal / noise, right / noise, noise)


def _compared(one: Layer, other: Layer, canvas: Grid, level: int) -> tuple[Tensor, ...] | None:
    """Points (N, 2) in the overlap, the difference there (N,), and both gradients (N, 2) by the point; on the CPU."""
    corners = overlap_corners(one, other)
    part = None if corners is None else part_of(canvas, corners, level)
    if part is None or min(part[0].size) < 4:
        return None
    grid = part[0]
    values = [resample(layer.image, onto=grid, through=layer.through).data[0].double().cpu() for layer in (one, other)]
    inside = (one.weight(grid) > 0) & (other.weight(grid) > 0)
    full = torch.nn.functional.max_pool2d((~inside).float()[None, None], 3, 1, 1)[0, 0] == 0  # all neighbours, too
    full[[0, -1]] = full[:, [0, -1]] = False
    places = full.cpu().nonzero()
    if not len(places):
        return None
    chosen = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:COMPARED]
    places = places[chosen.sort().values]
    rows, columns = places.unbind(1)
    to_index = torch.from_numpy(grid.inverse_affine[:2, :2].copy())
    gradients = []
    for value in values:
        by_row, by_column = torch.gradient(value)
        gradients.append(torch.stack([by_column[rows, columns], by_row[rows, columns]], 1) @ to_index)
    index = torch.stack([columns, rows, torch.ones_like(rows)], 1).double()
    points = (index @ torch.from_numpy(grid.affine.copy()).T)[:, :2]
    return points, (values[0] - values[1])[rows, columns], *gradients
