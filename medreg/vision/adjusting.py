"""From matches of pairs to one place for every picture: a spanning tree, then all matches at once.

The second step is the bundle adjustment of panoramas (R. Szeliski, "Image Alignment and Stitching: A Tutorial", 2006,
doi:10.1561/0600000009, section 5) without a camera's model: each picture has a matrix of its own, and points of every
overlap are to meet. So loops close: what the pairs' errors add up to is shared out among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medreg.geometry.affine import invert, map_points
from medreg.geometry.grid import Grid
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray
from medreg.vision.matching import Match

POINTS = 15
"""Along each axis of a picture; those in the overlap are held together."""

STEPS = 30
DOUBT = 2.0
"""Pixels: a match whose points miss by this counts half; a wrong one that slipped in does not bend the rest."""


def components(count: int, matches: Sequence[Match]) -> list[set[int]]:
    """Which of `count` pictures hang together, the largest set first."""
    sets = [{k} for k in range(count)]
    for each in matches:
        one, other = (next(s for s in sets if k in s) for k in (each.first, each.second))
        if one is not other:
            one |= other
            sets.remove(other)
    return sorted(sets, key=len, reverse=True)


def most_central(count: int, matches: Sequence[Match]) -> int:
    """The picture with the fewest matches between it and all others; of several, the one that overlaps them most."""
    steps = np.full((count, count), np.inf)
    overlaps = np.zeros(count)
    np.fill_diagonal(steps, 0)
    for each in matches:
        steps[each.first, each.second] = steps[each.second, each.first] = 1
        overlaps[[each.first, each.second]] += each.overlap
    for k in range(count):
        steps = np.minimum(steps, steps[:, k : k + 1] + steps[k])
    return min(range(count), key=lambda k: (steps[k].sum(), -overlaps[k]))


def along_tree(count: int, matches: Sequence[Match], reference: int) -> dict[int, FloatArray]:
    """Where each picture that hangs together with the reference lies: 3x3, its points -> the reference's.

    Along the tree of most evidence: of all ways from the reference, those over the surest matches.
    """
    placed = {reference: np.eye(3)}
    left = sorted(matches, key=lambda m: -m.evidence)
    while True:
        step = next((m for m in left if (m.first in placed) != (m.second in placed)), None)
        if step is None:
            return placed
        if step.first in placed:
            placed[step.second] = placed[step.first] @ np.linalg.inv(step.matrix)
        else:
            placed[step.first] = placed[step.second] @ step.matrix


def adjust(
    placed: Mapping[int, FloatArray], matches: Sequence[Match], grids: Sequence[Grid], reference: int, kind: Kind
) -> dict[int, FloatArray]:
    """All places at once: the least sum of squared distances between points that matches bring together.

    Levenberg-Marquardt over steps exp(sum_p delta_p G_p) about each picture's centre, which stay within the family.

    Args:
        placed: 3x3 of each picture, its points -> the reference's; where to begin.
        matches: of pictures that are all placed.
        grids: where the pixels of each picture lie.
        reference: stays as it is.
        kind: the family.

    Returns:
        As `placed`.
    """
    ends = [_held(match, grids) for match in matches]
    free = [k for k in placed if k != reference]
    if not free:
        return dict(placed)
    basis = {k: _basis(grids[k], kind) for k in placed}
    size = len(basis[reference])
    at = {k: slice(n * size, (n + 1) * size) for n, k in enumerate(free)}
    current, damping = dict(placed), 1e-3
    best, normal, right = _system(current, matches, ends, grids, basis, at)
    for _ in range(STEPS):
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -right)
        tried = {
            k: m if k == reference else m @ exponential(np.tensordot(step[at[k]], basis[k], 1))
            for k, m in current.items()
        }
        value, *system = _system(tried, matches, ends, grids, basis, at)
        if not value < best:
            damping *= 10
            if damping > 1e6:
                break
            continue
        current, (normal, right), gain, best = tried, system, best - value, value
        damping = max(damping / 10, 1e-9)
        if gain < 1e-12 * (1 + best) or np.abs(step).max() < 1e-7:
            break
    return current


def misses(placed: Mapping[int, FloatArray], match: Match, grids: Sequence[Grid]) -> float:
    """Root mean square distance, in the second picture's units, by which the places disagree with a match."""
    here, there = _held(match, grids)
    if not len(here):
        return 0.0
    found = map_points(invert(placed[match.second]) @ placed[match.first], here)
    return float(np.sqrt(np.square(found - there).sum(1).mean()))


def _held(match: Match, grids: Sequence[Grid]) -> tuple[FloatArray, FloatArray]:
    """Points (N, 2) of the first picture that lie in the overlap, and where in the second."""
    first, second = grids[match.first], grids[match.second]
    smaller = first if np.prod(first.extent) <= np.prod(second.extent) else second
    axes = np.meshgrid(*(np.linspace(0, n - 1, POINTS) for n in smaller.size))
    points = smaller.to_world(np.stack(axes, -1).reshape(-1, 2))
    here = points if smaller is first else map_points(invert(match.matrix), points)
    there = map_points(match.matrix, here)
    inside = [
        ((index >= -0.5) & (index <= np.array(grid.size) - 0.5)).all(1)
        for grid, index in ((first, first.to_index(here)), (second, second.to_index(there)))
    ]
    both = inside[0] & inside[1]
    return here[both], there[both]


def _basis(grid: Grid, kind: Kind) -> FloatArray:
    """The generators (P, 3, 3) about a picture's centre."""
    radius = float(np.linalg.norm(grid.extent)) / 4
    return np.stack([about(grid.centre, g) for g in generators(kind, 2, radius)])


def _system(
    placed: Mapping[int, FloatArray],
    matches: Sequence[Match],
    ends: Sequence[tuple[FloatArray, FloatArray]],
    grids: Sequence[Grid],
    basis: Mapping[int, FloatArray],
    at: Mapping[int, slice],
) -> tuple[float, FloatArray, FloatArray]:
    """The sum of (robust) squares, its Gauss-Newton matrix and half its gradient."""
    size = sum(s.stop - s.start for s in at.values())
    total, normal, right = 0.0, np.zeros((size, size)), np.zeros(size)
    for match, (here, there) in zip(matches, ends, strict=True):
        if not len(here):
            continue
        pixel = grids[match.second].spacing[0]
        across = np.linalg.inv(placed[match.second]) @ placed[match.first]
        points = np.column_stack([here, np.ones(len(here))])
        mapped = points @ across.T
        residual = mapped[:, :2] / mapped[:, 2:] - there
        moves = {
            match.first: np.einsum("ij,pjk,nk->npi", across, basis[match.first], points),
            match.second: -np.einsum("pij,nj->npi", basis[match.second], mapped),
        }
        scale2 = (DOUBT * pixel) ** 2
        mean = float(np.square(residual).sum(1).mean())
        total += len(here) * scale2 * float(np.log1p(mean / scale2))  # Cauchy's, by match
        weight = 1 / (1 + mean / scale2)
        slopes = {}
        for k, moved in moves.items():
            if k in at:
                slid = (mapped[:, :2] / mapped[:, 2:])[:, None] * moved[..., 2:]
                slopes[k] = (moved[..., :2] - slid) / mapped[:, 2][:, None, None]
        for k, one in slopes.items():
            right[at[k]] += weight * np.einsum("npi,ni->p", one, residual)
            for j, other in slopes.items():
                normal[at[k], at[j]] += weight * np.einsum("npi,nqi->pq", one, other)
    return total, normal, right
