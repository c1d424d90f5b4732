"""Problems whose minimum is known: their "matrix" is a plain vector and a step is added to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medreg.optimise.loop import Accepted, Stopping, descend
from medreg.optimise.problem import Evaluation
from medreg.optimise.record import Outcome


class Known:
    """A function by its value and gradient; the curvature is a fixed matrix, the overlap a function of the place."""

    def __init__(
        self,
        value: Callable[[np.ndarray], float],
        gradient: Callable[[np.ndarray], np.ndarray],
        curvature: np.ndarray,
        overlap: Callable[[np.ndarray], float] = lambda _: 1.0,
    ) -> None:
        self.value, self.gradient, self.curvature, self.overlap = value, gradient, curvature, overlap
        self.evaluations = 0

    def evaluate(self, matrix: np.ndarray) -> Evaluation:
        self.evaluations += 1
        with np.errstate(all="ignore"):
            return Evaluation(
                float(self.value(matrix)), self.gradient(matrix), self.curvature, float(self.overlap(matrix))
            )

    def move(self, matrix: np.ndarray, step: np.ndarray) -> np.ndarray:
        return matrix + step


@pytest.fixture
def known() -> type[Known]:
    """The class itself."""
    return Known


@pytest.fixture
def quadratic() -> Callable[..., Known]:
    """quadratic(bends): 0 at (3, 3, ...), bending so along the axes; `curvature` is the true one by default."""

    def make(bends: list[float], curvature: np.ndarray | None = None) -> Known:
        hessian = np.diag(bends)
        return Known(
            lambda x: 0.5 * (x - 3) @ hessian @ (x - 3),
            lambda x: hessian @ (x - 3),
            hessian if curvature is None else curvature,
        )

    return make


@pytest.fixture
def run() -> Callable[..., tuple[list[Accepted], Outcome]]:
    """run(problem, start, rule, steps=..., tolerance_mm=...): what the loop accepted, and its outcome."""

    def go(problem, start, rule, steps=200, tolerance_mm=1e-6, window=20):
        *accepted, outcome = descend(problem, np.array(start, float), rule, Stopping(steps, tolerance_mm, window))
        assert all(isinstance(event, Accepted) for event in accepted)
        assert isinstance(outcome, Outcome)
        return accepted, outcome

    return go
