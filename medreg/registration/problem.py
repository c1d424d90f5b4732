"""Weighted metrics as what the optimiser minimises: one way, or both ways at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medreg.geometry.affine import halves, invert, map_points
from medreg.optimise.problem import Evaluation
from medreg.registration.term import Term
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind
from medreg.types import FloatArray


class Part(NamedTuple):
    """A term of a sum, and how it is looked at.

    Attributes:
        term: one metric over the samples of one image.
        weight: of it.
        matrix: what maps its samples to the other image.
        basis: (P, R (D+1)) what a unit of each parameter is, as a step that acts on its samples first.
        to_fixed: what maps its samples' points to the fixed image's world, LPS mm.
    """

    term: Term
    weight: float
    matrix: FloatArray
    basis: FloatArray
    to_fixed: FloatArray


class OneWay:
    """Metrics of fixed samples against the moving image, by a matrix that maps fixed points to moving points.

    Args:
        terms: all with the same centre of their samples.
        kind: family of transforms; steps stay inside it.

    Attributes:
        evaluations: how often the metrics were computed, for transforms that were rejected too.
        samples: how many are compared.
        radius: typical distance of the samples from the centre, mm.
    """

    def __init__(self, terms: Sequence[Term], kind: Kind) -> None:
        self.terms, self.kind = terms, kind
        samples = terms[0].samples
        self.samples = sum(len(term.samples) for term in terms)
        self.centre, self.radius, d = samples.centre, samples.radius, terms[0].moving.grid.dimension
        self.evaluations = 0
        self.generators = generators(kind, d, samples.radius)
        self.rows = d + 1 if kind is Kind.HOMOGRAPHY else d
        self.basis = self.generators[:, : self.rows, :].reshape(len(self.generators), -1)

    def evaluate(self, matrix: FloatArray) -> Evaluation:
        """See `medreg.optimise.problem.Problem`."""
        self.evaluations += 1
        return _summed(self.parts(matrix), self.rows)

    def parts(self, matrix: FloatArray) -> list[Part]:
        """What is summed at `matrix`."""
        return [Part(term, term.weight, matrix, self.basis, np.eye(len(matrix))) for term in self.terms]

    def steps(self, matrix: FloatArray) -> FloatArray:
        """(P, D+1, D+1) how `matrix` changes with each unit of a step from it."""
        return np.asarray(matrix @ np.stack([about(self.centre, g) for g in self.generators]), dtype=np.float64)

    def move(self, matrix: FloatArray, step: FloatArray) -> FloatArray:
        """See `medreg.optimise.problem.Problem`."""
        return _scaled(matrix @ about(self.centre, exponential(np.tensordot(step, self.generators, 1))), self.centre)


class BothWays:
    """The same, and metrics of moving samples against the fixed image, about the space half-way between the two.

    A matrix is split into two halves, fixed -> half-way -> moving; a step acts between them. Exchanging the images
    inverts and exchanges the halves and negates the step, and nothing else changes: neither image is the reference
    (Reuter 2010, doi:10.1016/j.neuroimage.2010.07.020).

    Args:
        forward: terms of fixed samples in the moving image.
        backward: terms of moving samples in the fixed image.
        kind: family of transforms.
    """

    def __init__(self, forward: Sequence[Term], backward: Sequence[Term], kind: Kind) -> None:
        self.forward, self.backward, self.kind = forward, backward, kind
        self.evaluations = 0
        self.samples = sum(len(term.samples) for term in (*forward, *backward))
        self.rows = forward[0].moving.grid.dimension + (kind is Kind.HOMOGRAPHY)
        self.radius = (forward[0].samples.radius * backward[0].samples.radius) ** 0.5

    def evaluate(self, matrix: FloatArray) -> Evaluation:
        """See `medreg.optimise.problem.Problem`."""
        self.evaluations += 1
        return _summed(self.parts(matrix), self.rows)

    def parts(self, matrix: FloatArray) -> list[Part]:
        """What is summed at `matrix`."""
        first, second = self._halves(matrix)
        steps = self._steps(first, second)
        fixed = _seen_from(steps, first, self.forward[0].samples.centre, self.rows)
        moving = _seen_from(steps, invert(second), self.backward[0].samples.centre, self.rows)
        back = _scaled(invert(matrix), self.backward[0].samples.centre)
        return [Part(term, term.weight / 2, matrix, fixed, np.eye(len(matrix))) for term in self.forward] + [
            Part(term, term.weight / 2, back, -moving, back) for term in self.backward
        ]

    def steps(self, matrix: FloatArray) -> FloatArray:
        """(P, D+1, D+1) how `matrix` changes with each unit of a step from it."""
        first, second = self._halves(matrix)
        return np.asarray(second @ self._steps(first, second) @ first, dtype=np.float64)

    def move(self, matrix: FloatArray, step: FloatArray) -> FloatArray:
        """See `medreg.optimise.problem.Problem`."""
        first, second = self._halves(matrix)
        moved = second @ exponential(np.tensordot(step, self._steps(first, second), 1)) @ first
        return _scaled(moved, self.forward[0].samples.centre)

    def _halves(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        return halves(matrix, self.forward[0].samples.centre)

    def _steps(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Generators (P, D+1, D+1) of half-way space, about the middle of where both centres come to lie."""
        fixed, moving = (np.array([terms[0].samples.centre]) for terms in (self.forward, self.backward))
        middle = (map_points(first, fixed) + map_points(invert(second), moving))[0] / 2
        at = tuple(middle.tolist())
        return np.stack([about(at, g) for g in generators(self.kind, len(at), self.radius)])


def _seen_from(steps: FloatArray, to: FloatArray, centre: tuple[float, ...], rows: int) -> FloatArray:
    """(P, rows (D+1)): steps of half-way space as they act, before `to`, on points relative to an image's `centre`."""
    d = len(centre)
    shift = np.eye(d + 1)
    shift[:d, d] = centre
    shifted = to @ shift
    conjugated = np.linalg.inv(shifted) @ steps @ shifted
    return np.asarray(conjugated[:, :rows, :].reshape(len(steps), -1), dtype=np.float64)


def _summed(parts: Sequence[Part], rows: int) -> Evaluation:
    """The weighted sum of bends by the parameters of their bases; the overlap of the image that is seen best."""
    bends = [part.term.bend(part.matrix, rows) for part in parts]
    pairs = list(zip(parts, bends, strict=True))
    value = sum(part.weight * bend.value for part, bend in pairs)
    gradient = sum(part.weight * (part.basis @ bend.gradient) for part, bend in pairs)
    curvature = sum(part.weight * (part.basis @ bend.curvature @ part.basis.T) for part, bend in pairs)
    overlap = max(bend.overlap for bend in bends)
    return Evaluation(float(value), np.asarray(gradient), np.asarray(curvature), overlap)


def _scaled(matrix: FloatArray, centre: tuple[float, ...]) -> FloatArray:
    """A homography with its denominator 1 at `centre`; a linear matrix as it is."""
    if not matrix[-1, :-1].any():
        return matrix
    scaled: FloatArray = matrix / (matrix[-1] @ [*centre, 1.0])
    return scaled
