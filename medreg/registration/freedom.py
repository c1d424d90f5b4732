"""How many degrees of freedom the overlap of two images can determine."""

from __future__ import annotations

import numpy as np

from medreg.geometry.affine import derivative_at
from medreg.geometry.grid import Grid
from medreg.registration.term import Term
from medreg.transform.kind import Kind
from medreg.types import FloatArray

LEAST_SHARE = 0.15
"""Of the smaller image that both must show, for more than a rigid transform."""

LEAST_SLICES = 6
"""Voxels of the coarser image that the overlap must be thick, for more than a rigid transform."""


def affordable(kind: Kind, term: Term, matrix: FloatArray, fixed: Grid) -> tuple[Kind, str | None]:
    """The asked family, or a rigid one and a sentence that says why.

    A scale or a shear along a direction in which the overlap is a few slices thick, or that hangs on a corner of the
    images, is fitted to noise; and it is an extrapolation everywhere else.

    Args:
        kind: asked.
        term: fixed samples against the moving image.
        matrix: where the images roughly lie, fixed -> moving points.
        fixed: the grid of the fixed image's own voxels.
    """
    if kind in (Kind.TRANSLATION, Kind.RIGID):
        return kind, None
    inside = term.values(matrix)[1]
    points = term.samples.homogeneous[:, :-1].cpu().double().numpy()[inside.cpu().numpy()]
    if len(points) <= points.shape[1]:
        return Kind.RIGID, f"the images hardly overlap: rigid in place of {kind}"
    share = term.overlap(inside)
    if share < LEAST_SHARE:
        return Kind.RIGID, f"the images share only {share:.0%} of the smaller one: rigid in place of {kind}"
    variances, axes = np.linalg.eigh(np.cov(points.T))
    across = axes[:, 0]
    turned = derivative_at(matrix, np.array(term.samples.centre)) @ across
    voxel = max(_along(fixed, across), _along(term.moving.grid, turned / np.linalg.norm(turned)))
    slices = float(np.sqrt(12 * variances[0])) / voxel
    if slices < LEAST_SLICES:
        return Kind.RIGID, f"the images share a slab of only {slices:.1f} slices: rigid in place of {kind}"
    return kind, None


def _along(grid: Grid, direction: FloatArray) -> float:
    """The voxels' size along a unit vector of the world."""
    return float(np.linalg.norm(np.array(grid.spacing) * (np.array(grid.direction).T @ direction)))
