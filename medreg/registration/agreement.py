"""Does what lies inside the outlines fit better here than nearby, and better than turned any other way?

Outlines mislead: any two blobs have a pose in which their outlines agree best, and a half-turned head fits its own
outline. So the samples are sorted by whether they are bright or dark in each image, which is what the outlines tell;
within each large class, the mutual information is compared with that at poses a little way off. Two scans of one
anatomy have 1.7 times as much or more at the right pose, two persons at least twice; a wrong pose, or another thing,
has no more than its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from medreg.geometry.affine import invert
from medreg.registration.batch import Batch
from medreg.registration.contrast import compare, threshold
from medreg.registration.levels import LevelImage
from medreg.registration.moments import centre_of_mass, gray, standing_out
from medreg.registration.rotations import in_plane, super_fibonacci
from medreg.registration.samples import LEAST as FEWEST
from medreg.registration.samples import Placement, draw
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray

SURE = 1.5
"""Times the mutual information of nearby poses that a right pose has, or more."""

NEARBY, AWAY = 24, 0.12
"""Poses that are compared, and how far off they are, as a share of the samples' radius: 7 degrees of turn, say."""

SAMPLES, LEAST, SHARE = 3000, 100, 0.1
"""Of a class: about how many are looked at, and how few are too few, in number and of all."""

BINS = 16

STRUCTURE = 0.005
"""Nats: values that share less than this at every pose have no structure to judge by."""

TURNS, TURNED_DEG = {2: 72, 3: 500}, 30.0
"""By dimension, in how many other ways an image is turned, and by how much at least."""


def agreement_of(fixed: LevelImage, moving: LevelImage, matrix: FloatArray, seed: int) -> float:
    """How much more information the images share here than nearby, inside what is bright or dark in each of them.

    Args:
        fixed: one channel or several, which are averaged.
        moving: the same.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        seed: of the nearby poses.

    Returns:
        The largest ratio of the four classes, but no more than 1 where most classes fit better at one of the nearby
        poses; NaN where none has samples and structure enough.
    """
    fixed, moving, matrix = _smaller_first(fixed, moving, matrix)
    if fixed.counted < LEAST:
        return float("nan")
    fixed, moving = gray(fixed), gray(moving)
    centre = fixed.grid.centre
    samples = draw(fixed.volume, fixed.grid, 20 * SAMPLES, centre, seed, Placement.CENTRES, fixed.mask)
    index = Batch(samples, moving, BINS).index(matrix[None])[0].T
    there = moving.at(index)
    inside = there.inside
    if not bool(inside.any()):
        return float("nan")
    mine, theirs = samples.values[0], there.values[0]
    bright = mine > threshold(mine), theirs > threshold(theirs[inside])
    poses = np.concatenate([matrix[None], _around(matrix, centre, samples.radius, seed)])
    ratios: list[float] = []
    best: list[bool] = []
    for sort in product((True, False), repeat=2):
        both = (bright[0] == sort[0]) & (bright[1] == sort[1]) & inside
        chosen = both.nonzero().squeeze(1)
        if len(chosen) < max(LEAST, SHARE * float(inside.sum())):
            continue
        chosen = chosen[:: max(1, len(chosen) // SAMPLES)]
        inner = replace(samples, values=samples.values[:, chosen], homogeneous=samples.homogeneous[chosen])
        shared = -Batch(inner, moving, BINS).at(poses).scores
        least = max(STRUCTURE, (BINS - 1) / len(chosen))  # what chance lends to few samples
        if max(shared[0], shared[1:].mean()) > least:
            ratios.append(float(shared[0] / max(shared[1:].mean(), least)))
            best.append(shared[0] > shared[1:].max())
    if not ratios:
        return float("nan")
    return max(ratios) if 2 * sum(best) >= len(best) else min(max(ratios), 1.0)


def lead_of(fixed: LevelImage, moving: LevelImage, matrix: FloatArray, seed: int) -> float:
    """How much more information the images share here than where they are turned in the best of all other ways.

    The other poses are turned by 30 degrees or more about the centre of mass; none is refined. A right pose has 1.2
    times as much or more; an answer that was caught by the wrong minimum, or that brings two things together that have
    nothing in common, is one of many that are as good.

    Args:
        fixed: one channel or several, which are averaged.
        moving: the same.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        seed: of the samples.

    Returns:
        0 where the images share nothing here; NaN where there are too few voxels, or they share nothing anywhere.
    """
    fixed, moving, matrix = _smaller_first(fixed, moving, matrix)
    if fixed.counted < FEWEST:
        return float("nan")
    fixed, moving = gray(fixed), gray(moving)
    centre, d = centre_of_mass(fixed), fixed.grid.dimension
    samples = draw(fixed.volume, fixed.grid, SAMPLES, centre, seed, Placement.SCATTERED, fixed.mask)
    batch = Batch(samples, moving, BINS)
    turns = super_fibonacci(TURNS[d]) if d == 3 else in_plane(TURNS[d])
    others = np.tile(np.eye(d + 1), (len(turns), 1, 1))
    others[:, :d, :d] = turns
    poses = np.asarray(matrix @ about(tuple(centre), others[_turns(turns)]))
    best = -float(batch.scan(poses).scores.min())
    here = -float(batch.at(matrix[None]).scores[0])
    if max(here, best) <= STRUCTURE:
        return float("nan")
    return max(here, 0.0) / max(best, STRUCTURE)


def explained_of(fixed: LevelImage, moving: LevelImage, matrix: FloatArray, seed: int) -> float:
    """How much of one image the other explains here, by any curve, where both show their object.

    The correlation ratio of `medreg.registration.contrast`, of the direction in which it is larger: whatever the
    contrasts, at a right pose a tissue is about as bright everywhere.

    Args:
        fixed: one channel or several, which are averaged.
        moving: the same.
        matrix: (D+1) x (D+1), fixed -> moving points, LPS mm.
        seed: of the samples.

    Returns:
        0 to 1; NaN where both objects hardly overlap, or one is constant.
    """
    fixed, moving, matrix = _smaller_first(fixed, moving, matrix)
    if fixed.counted < FEWEST:
        return float("nan")
    fixed, moving = standing_out(fixed), standing_out(moving)
    samples = draw(fixed.volume, fixed.grid, 4 * SAMPLES, fixed.grid.centre, seed, Placement.CENTRES, fixed.mask)
    there = moving.at(Batch(samples, moving, BINS).index(matrix[None])[0].T)
    pair = samples.values[0], there.values[0]
    explained = max(compare(*each, there.inside).explained for each in (pair, pair[::-1]))
    return explained if explained > 0 else float("nan")


def _turns(linear: FloatArray) -> NDArray[np.bool_]:
    """Which of some rotations (K, D, D) turn by `TURNED_DEG` or more."""
    d = linear.shape[-1]
    cosine = (np.trace(linear, axis1=1, axis2=2) - (d - 2)) / 2
    return np.asarray(cosine < math.cos(math.radians(TURNED_DEG)))


def _smaller_first(
    fixed: LevelImage, moving: LevelImage, matrix: FloatArray
) -> tuple[LevelImage, LevelImage, FloatArray]:
    """Samples are drawn from the smaller view: all of them can be seen."""
    return (moving, fixed, invert(matrix)) if moving.grid.volume < fixed.grid.volume else (fixed, moving, matrix)


def _around(matrix: FloatArray, centre: Sequence[float], radius: float, seed: int) -> FloatArray:
    """Poses that move the samples by `AWAY` of the radius in random rigid ways."""
    steps = generators(Kind.RIGID, len(centre), radius)
    ways = np.random.default_rng(seed).normal(size=(NEARBY, len(steps)))
    ways *= AWAY * radius / np.linalg.norm(ways, axis=1, keepdims=True)
    return np.asarray(matrix @ about(tuple(centre), exponential(np.tensordot(ways, steps, 1))), dtype=np.float64)
