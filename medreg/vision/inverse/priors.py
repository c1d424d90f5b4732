"""What is known of an image before it is measured: each prior a value that tells how far an image is from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from medreg.errors import UsageError
from medreg.ops.arguments import described


class Prior(Protocol):
    """Anything that tells the price of an image; `restore` adds it to the misfit."""

    def __call__(self, values: Tensor, spacing: Sequence[float], /) -> Tensor:
        """The price, one number with a graph.

        Args:
            values: (..., z, y, x).
            spacing: mm between voxels along x, y(, z): as many numbers as there are space axes.
        """
        ...


@dataclass(frozen=True)
class TotalVariation:
    """Flat regions with sharp edges: the mean length of the gradient (Rudin 1992, doi:10.1016/0167-2789(92)90242-F).

    Lengths count as sqrt(length^2 + knee^2) - knee, so that the slope has no jump where the image is flat.

    Attributes:
        weight: of a mean slope of 1 per mm, beside a mean squared misfit of 1.
        knee: in the image's unit per mm; a smaller slope counts by its square. At a tenth of the steps that matter
            gentle shading survives; much less, and it breaks into stairs.

    Example:
        >>> step = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> TotalVariation(1.0, knee=1e-6)(step, (1.0, 1.0))
        tensor(0.2500)
    """

    weight: float
    knee: float

    def __post_init__(self) -> None:
        """Checks."""
        _above_zero(self, weight=self.weight, knee=self.knee)

    def __call__(self, values: Tensor, spacing: Sequence[float]) -> Tensor:
        """See `Prior`."""
        square = torch.stack(_slopes(values, spacing)).square().sum(0)
        return self.weight * ((square + self.knee**2).sqrt() - self.knee).mean()


@dataclass(frozen=True)
class Smoothness:
    """No edges: the mean squared gradient (Tikhonov's), whose answer is linear in what was measured.

    Attributes:
        weight: of a mean squared slope of 1 per mm^2, beside a mean squared misfit of 1.

    Example:
        >>> Smoothness(1.0)(torch.tensor([[0.0, 2.0, 2.0, 2.0]]), (1.0, 1.0))
        tensor(1.)
    """

    weight: float

    def __post_init__(self) -> None:
        """Checks."""
        _above_zero(self, weight=self.weight)

    def __call__(self, values: Tensor, spacing: Sequence[float]) -> Tensor:
        """See `Prior`."""
        return self.weight * torch.stack(_slopes(values, spacing)).square().sum(0).mean()


@dataclass(frozen=True)
class Within:
    """A range: the mean squared distance of values from it.

    Attributes:
        low: the least value that makes sense, e.g. 0 of an absorption.
        high: the largest.
        weight: beside a mean squared misfit of 1.

    Example:
        >>> Within(low=0.0)(torch.tensor([[-2.0, 5.0]]), (1.0, 1.0))
        tensor(2.)
    """

    low: float = -math.inf
    high: float = math.inf
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Checks."""
        _above_zero(self, weight=self.weight)
        if not self.low < self.high:
            raise UsageError(f"Within: takes low below high, got {self.low} and {self.high}")

    def __call__(self, values: Tensor, spacing: Sequence[float]) -> Tensor:
        """See `Prior`."""
        return self.weight * (values - values.clamp(self.low, self.high)).square().mean()


def check_priors(priors: object) -> None:
    """Refuse what is no list of priors: an iterator, too, since each evaluation goes through them.

    Raises:
        UsageError: it is something else.
    """
    if not isinstance(priors, Sequence) or not all(callable(prior) for prior in priors):
        raise UsageError(
            f"priors: takes a list of them, such as [TotalVariation(0.01, knee=0.1)], got {described(priors)}"
        )


def _slopes(values: Tensor, spacing: Sequence[float]) -> list[Tensor]:
    """Forward differences per mm along each space axis, 0 at the last voxel."""
    return [pad(values.diff(dim=-1 - axis) / mm, [0] * (2 * axis) + [0, 1]) for axis, mm in enumerate(spacing)]


def _above_zero(prior: object, **numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise UsageError(f"{type(prior).__name__}: takes a {name} above 0, got {number}")
