"""What is minimised, as the loop sees it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from medreg.types import FloatArray


class Evaluation(NamedTuple):
    """A metric at one transform.

    Attributes:
        value: lower is better; not finite when the metric broke down.
        gradient: (P,) by a small step from here, per millimetre-balanced unit.
        curvature: (P, P) Gauss-Newton (or Fisher) matrix, positive semi-definite.
        overlap: fraction of the samples inside the moving image, of as many as it has room for, 0 to 1.
    """

    value: float
    gradient: FloatArray
    curvature: FloatArray
    overlap: float


class Problem(Protocol):
    """A metric as a function of a matrix."""

    def evaluate(self, matrix: FloatArray) -> Evaluation:
        """Value, gradient and curvature at `matrix`."""
        ...

    def move(self, matrix: FloatArray, step: FloatArray) -> FloatArray:
        """`matrix` after a step of P millimetre-balanced units."""
        ...
