"""Which family of transforms a pair of images needs: the simplest that explains them.

The largest family is fitted at a middle level. How far its answer lies from the nearest member of a smaller family is
asked in units of its own uncertainty, W = d^T C^-1 d (A. Wald 1943, doi:10.1090/S0002-9947-1943-0012401-3). To second
order W / 2 is the log-likelihood that the larger family gains, whatever the metric, with C the cluster-robust
covariance in the place of a likelihood that no metric of images has. A parameter costs ln(n) / 2, n being as how many
independent samples the images count (BIC: G. Schwarz 1978, doi:10.1214/aos/1176344136; effective sample size: see
`medreg.registration.uncertainty`). C is enlarged by what interpolation and lattices do, so that of images without noise
a deviation of a tenth of a voxel buys no parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medreg.geometry.affine import map_points
from medreg.optimise.loop import usable
from medreg.registration.stage import StageResult
from medreg.registration.uncertainty import Uncertainty, measured
from medreg.transform.families import nearest
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray

FLOOR = 0.085
"""Of a voxel of the level: the error of each parameter that no count of samples takes away, by lattices, interpolation
and edges that two contrasts show at slightly different places."""

ROUNDS, STILL = 20, 1e-4
"""Gauss-Newton steps to the nearest member at most, and the step, as a share of the floor, that ends them."""


@dataclass(frozen=True)
class Family:
    """A family of transforms as an explanation of two images.

    Attributes:
        kind: its name.
        parameters: how many it has.
        matrix: its member that explains the images best, (D+1) x (D+1), fixed -> moving points, LPS mm.
        misfit: the log-likelihood that it lacks against the largest family, W / 2, nats.
        cost: of its parameters, nats.
        furthest: the largest distance by which its member and the largest family's carry the foreground apart, mm.
    """

    kind: Kind
    parameters: int
    matrix: FloatArray
    misfit: float
    cost: float
    furthest: float

    @property
    def criterion(self) -> float:
        """Half of the BIC but for a constant; lower is better."""
        return self.misfit + self.cost


@dataclass(frozen=True)
class Choice:
    """The family that was kept of those that were tried.

    Attributes:
        kind: its name.
        reason: one sentence.
        families: all that were tried, from the smallest to the largest; empty where nothing was to be compared.
    """

    kind: Kind
    reason: str
    families: tuple[Family, ...] = ()


def candidates(dimension: int) -> tuple[Kind, ...]:
    """The families that are tried, from the smallest to the largest; each holds those before it."""
    linear = (Kind.RIGID, Kind.SIMILARITY, Kind.AFFINE)
    return linear if dimension == 3 else (*linear, Kind.HOMOGRAPHY)


def decides_at(levels: int) -> int:
    """The number of the level, of so many, after which a family is chosen: the last but one, where there are two."""
    return max(0, levels - 2)


def compare(
    largest: StageResult, centre: tuple[float, ...], points: FloatArray, voxel_mm: float
) -> tuple[Choice, FloatArray]:
    """The family that the images need, from the answer in the largest one at a level, and its best member.

    Args:
        largest: that answer.
        centre: of the fixed image, LPS mm.
        points: (N, D) of the fixed image's foreground, LPS mm.
        voxel_mm: of the level.
    """
    kinds = candidates(len(centre))
    kinds = kinds[: kinds.index(largest.problem.kind) + 1]
    told = usable(largest.evaluation)
    fitted = measured(largest.problem, largest.metric, largest.matrix, voxel_mm) if told else None
    if fitted is None:
        reason = f"{kinds[0]}, the simplest: the metric cannot be told where {kinds[-1]} leads"
        return Choice(kinds[0], reason), nearest(kinds[0], largest.matrix, centre)
    choice = choose(fitted, kinds, centre, points, voxel_mm)
    return choice, next(family.matrix for family in choice.families if family.kind is choice.kind)


def choose(
    fitted: Uncertainty, kinds: Sequence[Kind], centre: tuple[float, ...], points: FloatArray, voxel_mm: float
) -> Choice:
    """The simplest family that explains what the largest one has found.

    Args:
        fitted: the largest family's answer and how sure it is.
        kinds: from the smallest to that largest one, each holding those before it.
        centre: of the fixed image, about which members are formed, LPS mm.
        points: (N, D) of the fixed image's foreground, LPS mm.
        voxel_mm: of the level at which it was fitted.

    Example:
        >>> from medreg.transform.generators import generators
        >>> steps = generators(Kind.AFFINE, 2, 50.0)
        >>> scores = np.vstack([np.eye(6), -np.eye(6)]) * 0.1
        >>> matrix = np.diag([1.1, 1.1, 1.0])  # 5 mm larger at a radius of 50 mm
        >>> fitted = Uncertainty(matrix, matrix @ steps, scores, np.eye(6) * 0.02, np.eye(6), 10_000)
        >>> choose(fitted, candidates(2)[:3], (0.0, 0.0), np.array([[50.0, 0.0], [0.0, 50.0]]), 1.0).kind.value
        'similarity'
    """
    covariance = fitted.covariance + np.eye(len(fitted.steps)) * (FLOOR * voxel_mm) ** 2
    sharpness = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    price = math.log(max(fitted.effective, math.e)) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).mean()) or voxel_mm
    there = map_points(fitted.matrix, points)
    families = []
    for kind in kinds:
        matrix, misfit = fitted.matrix, 0.0
        if kind is not kinds[-1]:
            matrix, misfit = nearest_explanation(kind, fitted, sharpness, centre, radius, STILL * FLOOR * voxel_mm)
        furthest = float(np.linalg.norm(map_points(matrix, points) - there, axis=1).max())
        count = len(generators(kind, len(centre), 1.0))
        families.append(Family(kind, count, matrix, misfit, price * count, furthest))
    best = min(families, key=lambda family: family.criterion)
    return Choice(best.kind, reason_of(best.kind, families), tuple(families))


def nearest_explanation(
    kind: Kind,
    fitted: Uncertainty,
    sharpness: FloatArray,
    centre: tuple[float, ...],
    radius: float,
    tolerance_mm: float,
) -> tuple[FloatArray, float]:
    """The member of a family that loses least against a larger family's answer, and W / 2.

    Args:
        kind: the family.
        fitted: the larger family's answer.
        sharpness: (P, P) inverse covariance of its parameters.
        centre: about which members are formed, LPS mm.
        radius: millimetres, as in `generators`.
        tolerance_mm: a step whose largest parameter is smaller ends the search.
    """
    basis = np.stack([about(centre, g) for g in generators(kind, len(centre), radius)])
    steps_to = _chart(fitted, centre, radius)
    matrix = nearest(kind, fitted.matrix, centre)
    away, nudge = steps_to(matrix), 1e-4 * radius
    for _ in range(ROUNDS):
        slope = np.stack([steps_to(matrix + matrix @ g * nudge) - away for g in basis], 1) / nudge
        step = -np.linalg.lstsq(slope.T @ sharpness @ slope, slope.T @ sharpness @ away, rcond=None)[0]
        moved = matrix @ exponential(np.tensordot(step, basis, 1))
        there = steps_to(moved)
        if there @ sharpness @ there >= away @ sharpness @ away:
            break
        matrix, away = moved, there
        if np.abs(step).max() < tolerance_mm:
            break
    return matrix, float(away @ sharpness @ away) / 2


def _chart(fitted: Uncertainty, centre: tuple[float, ...], radius: float) -> Callable[[FloatArray], FloatArray]:
    """From a matrix to the parameters' step (P,) to it from the fitted one, to first order.

    Multiples of a matrix are one map. Matrices are told apart about the centre in units of the radius, where all that
    they hold is of one size.
    """
    frame = np.eye(len(fitted.matrix))
    frame[:-1] *= radius
    frame[:-1, -1] = centre
    out, back = frame, np.linalg.inv(fitted.matrix @ frame)
    columns = np.column_stack([(back @ each @ out).ravel() for each in (fitted.matrix, *fitted.steps)])
    inverse = np.linalg.pinv(columns)

    def steps_to(matrix: FloatArray) -> FloatArray:
        share = inverse @ (back @ matrix @ out).ravel()
        return np.asarray(share[1:] / share[0], dtype=np.float64)

    return steps_to


def reason_of(kind: Kind, families: Sequence[Family]) -> str:
    """Why a family was kept: what the next ones would gain and cost, or what it gains over the one before.

    Example:
        >>> none = np.eye(3)
        >>> rigid = Family(Kind.RIGID, 3, none, 3.1, 11.8, 0.1)
        >>> affine = Family(Kind.AFFINE, 6, none, 0.0, 23.6, 0.0)
        >>> reason_of(Kind.RIGID, [rigid, affine])
        'rigid explains the images: affine would gain 3.1, its parameters cost 11.8'
    """
    at = [family.kind for family in families].index(kind)
    chosen, before, after = families[at], families[:at], families[at + 1 :]
    said = []
    if before:
        below = min(before, key=lambda family: family.criterion)
        gain, cost = below.misfit - chosen.misfit, chosen.cost - below.cost
        said.append(f"gains {gain:.1f} over {below.kind} and its parameters cost {cost:.1f}")
    if after:
        above = min(after, key=lambda family: family.criterion)
        gain, cost = chosen.misfit - above.misfit, above.cost - chosen.cost
        said.append(f"{above.kind} would gain {gain:.1f}, its parameters cost {cost:.1f}")
    if not before:
        return f"{kind} explains the images: {said[0]}"
    return f"{kind} " + "; ".join(said)
