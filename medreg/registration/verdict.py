"""Whether an answer can be believed: does what lies inside the outlines fit better here than nearby?

Outlines mislead: any two blobs have a pose in which their outlines agree best, and a half-turned head fits its own
outline. So the samples are sorted by whether they are bright or dark in each image, which is what the outlines tell;
within each large class, the mutual information is compared with that at poses a little way off. Two scans of one
anatomy have 1.7 times as much or more at the right pose, two persons at least twice; a wrong pose, or another thing,
has no more than its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

import numpy as np

from medreg.geometry.affine import derivative_at, invert
from medreg.optimise.record import Outcome
from medreg.registration.batch import Batch
from medreg.registration.contrast import threshold
from medreg.registration.levels import LevelImage
from medreg.registration.moments import gray
from medreg.registration.samples import Placement, draw
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray

SURE, DOUBTED = 1.5, 1.2
"""Times the mutual information of nearby poses: at least the first for `ok`, less than the second is `failed`."""

NEARBY, AWAY = 24, 0.12
"""Poses that are compared, and how far off they are, as a share of the samples' radius: 7 degrees of turn, say."""

SAMPLES, LEAST, SHARE = 3000, 100, 0.1
"""Of a class: about how many are looked at, and how few are too few, in number and of all."""

BINS = 16

STRUCTURE = 0.005
"""Nats: values that share less than this at every pose have no structure to judge by."""

STRETCH = 2.0
"""Two images of one anatomy do not differ more than this in scale."""


class Standing(Enum):
    """How far a result can be trusted."""

    OK = "ok"
    SUSPECT = "suspect"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a result.

    Attributes:
        standing: ok, suspect or failed.
        reasons: sentences; what was seen, and for anything but `ok` what to do.
        agreement: see `agreement_of`.
    """

    standing: Standing
    reasons: tuple[str, ...]
    agreement: float


def judge(fixed: LevelImage, moving: LevelImage, matrix: FloatArray, outcome: Outcome, seed: int) -> Verdict:
    """The verdict on a matrix (fixed -> moving points, LPS mm), from both images at a coarse level."""
    doubts: list[tuple[Standing, str]] = []
    if outcome in (Outcome.DIVERGED, Outcome.NO_OVERLAP):
        doubts.append((Standing.FAILED, outcome.advice))
    scales = np.linalg.svd(derivative_at(matrix, np.array(fixed.grid.centre)), compute_uv=False)
    if scales[0] > STRETCH or scales[-1] < 1 / STRETCH:
        doubts.append(
            (
                Standing.SUSPECT,
                f"the transform scales by {scales[-1]:.2f} to {scales[0]:.2f}; check the spacings with `medreg info`, "
                "or ask for --transform rigid",
            )
        )
    agreement = agreement_of(fixed, moving, matrix, seed)
    said = "inside their outlines the images agree no better here than at nearby poses"
    if agreement > 1:
        said = f"inside their outlines the images share {agreement:.2f} times the information of nearby poses"
    if np.isnan(agreement):
        doubts.append(
            (Standing.SUSPECT, "inside their outlines the images show no structure to judge by; look at the result")
        )
    elif agreement < SURE:
        standing = Standing.FAILED if agreement < DOUBTED else Standing.SUSPECT
        wanted = f", wanted {SURE:g}" if agreement > 1 else ""
        doubts.append((standing, f"{said}{wanted}; look at the result, try --start search or a mask"))
    if not doubts:
        return Verdict(Standing.OK, (said,), agreement)
    worst = max((standing for standing, _ in doubts), key=list(Standing).index)
    return Verdict(worst, tuple(text for _, text in doubts), agreement)


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
    if moving.grid.volume < fixed.grid.volume:  # samples of the smaller view: all of them can be seen
        fixed, moving, matrix = moving, fixed, invert(matrix)
    if (fixed.volume[0].numel() if fixed.mask is None else int(fixed.mask.sum())) < LEAST:
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


def _around(matrix: FloatArray, centre: Sequence[float], radius: float, seed: int) -> FloatArray:
    """Poses that move the samples by `AWAY` of the radius in random rigid ways."""
    steps = generators(Kind.RIGID, len(centre), radius)
    ways = np.random.default_rng(seed).normal(size=(NEARBY, len(steps)))
    ways *= AWAY * radius / np.linalg.norm(ways, axis=1, keepdims=True)
    return np.asarray(matrix @ about(tuple(centre), exponential(np.tensordot(ways, steps, 1))), dtype=np.float64)
