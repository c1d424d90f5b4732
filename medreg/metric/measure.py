"""What the optimiser needs of a metric: its value, its slope by each moving value, and how sharply it bends."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Slope(NamedTuple):
    """A metric at given moving values.

    Attributes:
        value: the metric; lower is better.
        slope: (C, N) d value / d moving value of each channel and sample; 0 for samples outside.
        curvature: (C, N) non-negative weights w for which sum_i w_i J_i J_i^T approximates the metric's Hessian, where
            J_i is the derivative of moving value i by the transform's parameters (Gauss-Newton, or the empirical Fisher
            matrix).
    """

    value: float
    slope: Tensor
    curvature: Tensor


class Measure(Protocol):
    """A metric bound to the fixed samples of one level."""

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """The slope at moving values (C, N) with weights (N,): 1 where a sample counts, 0 where it does not."""
        ...
