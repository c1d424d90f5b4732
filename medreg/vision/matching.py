"""Which of several pictures overlap, and how: candidates by correlation, refined by registration, then judged.

Pairs are judged as panoramas are usually found (M. Brown, D. Lowe, "Automatic Panoramic Image Stitching using Invariant
Features", 2007, doi:10.1007/s11263-006-0002-3), but on the pixels of the overlap and not on features.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from medreg.errors import MedregError
from medreg.geometry.affine import homogeneous, invert, map_points
from medreg.geometry.grid import Grid
from medreg.registration.levels import default_levels
from medreg.registration.pairwise import register
from medreg.registration.recipe import Correlation, Level, Recipe
from medreg.transform.kind import Kind
from medreg.types import FloatArray
from medreg.vision.pictures import Picture, around, cropped, on
from medreg.vision.translations import translation_by_correlation

COARSE, MANY, MEDIUM = 72, 56, 256
"""Pixels along a view at which shifts are sought, at which in many poses, and at which a match is judged."""

SCALES, STEP_DEG = (0.9, 1.11, 0.8, 1.25), 8.0
"""What a search tries, and in which steps it turns."""

CANDIDATES = 4
"""Shifts that are refined."""

STEEPEST = 4.0
"""A match that scales any part of a picture by more than this, or one part so much more than another, is no match."""


@dataclass(frozen=True, eq=False)
class Match:
    """How two pictures of a list lie to each other, if they overlap at all.

    Attributes:
        first: number of a picture, from 0.
        second: of another one.
        matrix: 3x3, points of the first -> points of the second.
        correlation: of the details of both in the overlap.
        overlap: its share of the smaller picture.
        evidence: atanh(correlation) sqrt(n), n the pixels of the overlap in units of the details' size.
    """

    first: int
    second: int
    matrix: FloatArray
    correlation: float
    overlap: float
    evidence: float


@dataclass(frozen=True)
class Judgement:
    """When a match is believed.

    Attributes:
        least_overlap: share of the smaller picture.
        least_correlation: of the details.
        least_evidence: standard deviations above chance; small overlaps must correlate better.
    """

    least_overlap: float = 0.05
    least_correlation: float = 0.5
    least_evidence: float = 7.0

    def believes(self, match: Match) -> bool:
        """Whether all three hold."""
        return (
            match.overlap >= self.least_overlap
            and match.correlation >= self.least_correlation
            and match.evidence >= self.least_evidence
        )


def searches(kind: Kind) -> list[list[FloatArray]]:
    """Linear parts (2, 2) to try, in the order of trying: upright, turned, turned and scaled, as a kind allows them."""
    upright = [np.eye(2)]
    if kind is Kind.TRANSLATION:
        return [upright]
    angles = np.radians(np.arange(0.0, 360.0, STEP_DEG))
    turned = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    if kind is Kind.RIGID:
        return [upright, turned]
    return [upright, turned, [s * turn for s in SCALES for turn in turned]]


def match(
    pictures: Sequence[Picture],
    first: int,
    second: int,
    kind: Kind,
    poses: Sequence[FloatArray],
    judge: Judgement,
    seed: int = 0,
) -> Match | None:
    """The best match of two pictures: candidates, each refined coarsely, the best one at full resolution.

    Args:
        pictures: all.
        first: which two.
        second: which two.
        kind: how they may differ.
        poses: linear parts (2, 2) to try.
        judge: the least overlap is its.
        seed: of the registration's samples.

    Returns:
        The match, believed or not; None where nothing resembled one.
    """
    one, other = pictures[first], pictures[second]
    rough = kind if kind in (Kind.TRANSLATION, Kind.RIGID) else Kind.SIMILARITY
    spacing = _spacing(one, other, COARSE if len(poses) == 1 else MANY)
    levels = tuple(Level(spacing_mm=k * spacing, samples=6000, steps=15, tolerance_mm=0.05 * spacing) for k in (2, 1))
    few = one.grey(spacing / 2), other.grey(spacing / 2)
    refined = []
    with _one_thread():
        for start in _starts(one, other, spacing, poses, judge.least_overlap):
            with contextlib.suppress(MedregError):  # out of view, or no detail: no match
                recipe = Recipe(transform=rough, metric=_METRIC, levels=levels, seed=seed)
                found = np.array(register(few[0], few[1], recipe, initial=start).transform.matrix)
                refined.append(judged(pictures, first, second, found, spacing))
    best = max(refined, key=lambda m: m.evidence, default=None)
    if best is None or best.overlap < judge.least_overlap / 2 or best.evidence < judge.least_evidence / 2:
        return best
    return refine(pictures, best, kind, seed) or replace(best, evidence=0.0)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Pictures of a few thousand pixels: several threads would only wait for each other, on a busy machine for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def refine(pictures: Sequence[Picture], rough: Match, kind: Kind, seed: int = 0) -> Match | None:
    """A match at full resolution from a rough one; None where it leads nowhere or to what no camera sees."""
    one, other = pictures[rough.first], pictures[rough.second]
    there = map_points(invert(rough.matrix), other.grid.corners)
    back = map_points(rough.matrix, one.grid.corners)
    with contextlib.suppress(MedregError):
        # the rest of a picture would only pull the centre of its steps away, and set the coarse levels too coarse
        near = cropped(one.grey(), there), cropped(other.grey(), back)
        levels = default_levels(near[0].grid, near[1].grid)
        recipe = Recipe(transform=kind, metric=_METRIC, levels=levels, seed=seed)
        matrix = np.array(register(near[0], near[1], recipe, initial=rough.matrix).transform.matrix)
        if is_plausible(matrix, one.grid):
            return judged(pictures, rough.first, rough.second, matrix, _spacing(one, other, MEDIUM))
    return None


_METRIC = Correlation(bias_order=0, powers=1)


def judged(pictures: Sequence[Picture], first: int, second: int, matrix: FloatArray, spacing: float) -> Match:
    """What speaks for a matrix: the correlation of the details of both pictures where they overlap."""
    one, other = pictures[first].detail(spacing), pictures[second].detail(spacing)
    moved, inside = on(other, one.grid, matrix)
    count = int(inside.sum())
    smaller = min(math.prod(p.size) * math.prod(p.grid.spacing) for p in (one, other))
    overlap = count * math.prod(one.grid.spacing) / smaller
    pair = torch.stack([one.data[0][inside], moved[0][inside]])
    correlation = float(torch.corrcoef(pair)[0, 1].nan_to_num(0.0)) if count > 2 else 0.0
    pixels = count * math.prod(one.grid.spacing) / _spacing(pictures[first], pictures[second], COARSE) ** 2 / 4
    evidence = math.atanh(max(-0.999, min(0.999, correlation))) * math.sqrt(pixels)
    return Match(first, second, matrix, correlation, overlap, evidence)


def is_plausible(matrix: FloatArray, grid: Grid) -> bool:
    """Whether a camera could have seen it: w > 0 and no mirror over the grid, and nothing scaled beyond `STEEPEST`.

    The area's change is det(matrix) / w^3.
    """
    corners = np.column_stack([np.vstack([grid.corners, grid.centre]), np.ones(5)])
    w = corners @ matrix[2]
    if w.min() <= 0:
        return False
    areas = np.linalg.det(matrix) / w**3
    if areas.min() < STEEPEST**-2 or areas.max() > STEEPEST**2:
        return False
    return bool(areas.max() < STEEPEST**2 * areas.min())


def _spacing(one: Picture, other: Picture, pixels: int) -> float:
    """The spacing at which the smaller view has about so many pixels, and the larger not more than four times that."""
    views = sorted([one.view, other.view])
    return max(views[0] / pixels, views[1] / (4 * pixels), *one.grid.spacing, *other.grid.spacing)


def _starts(
    one: Picture, other: Picture, spacing: float, poses: Sequence[FloatArray], least: float
) -> list[FloatArray]:
    """The matrices (3x3, points of one -> of the other) of most evidence among all shifts of all poses."""
    fixed, moving = one.detail(spacing), other.detail(spacing)
    found = []
    for linear in poses:
        there = homogeneous(linear, np.array(moving.grid.centre))
        reach = map_points(invert(there), moving.grid.corners)
        canvas = around(reach, fixed.grid)
        turned, inside = on(moving, canvas, there)
        shifts = translation_by_correlation(
            fixed.data[0], turned[0], least, None, inside, best=CANDIDATES if len(poses) == 1 else 1
        )
        for shift in shifts:
            across = canvas.affine @ homogeneous(np.eye(2), np.array(shift.shift)) @ fixed.grid.inverse_affine
            found.append((shift.evidence, there @ across))
    found.sort(key=lambda each: -each[0])
    return [matrix for _, matrix in found[:CANDIDATES]]
