"""Quotients that stay finite, with their gradients, where a colour has no hue or no chromaticity."""

from __future__ import annotations

import torch
from torch import Tensor


def nothing(values: Tensor, scale: float = 1.0) -> Tensor:
    """Where values are 0 but for rounding: within 16 epsilons of their type, times `scale`."""
    return values.abs() <= 16 * torch.finfo(values.dtype).eps * scale


def quotient(top: Tensor, bottom: Tensor, scale: float = 1.0) -> Tensor:
    """The quotient top / bottom; 0, with gradients 0, where the bottom is nothing (see `nothing`)."""
    void = nothing(bottom, scale)
    # the bottom is replaced before the division: masking its result would leave 0 * inf in the gradient
    return torch.where(void, 0, top / torch.where(void, 1, bottom))


def turns(y: Tensor, x: Tensor, void: Tensor) -> Tensor:
    """The angle of (x, y), 0 to just below 1; 0, with gradients 0, where it is void."""
    angle = torch.atan2(torch.where(void, 0, y), torch.where(void, 1, x)) / (2 * torch.pi)
    return wrapped(angle)


def wrapped(hue: Tensor) -> Tensor:
    """A hue brought to 0 to just below 1."""
    inside = hue - hue.detach().floor()
    return torch.where(inside >= 1, inside - 1, inside)  # a hue just below 0 rounds to 1


def length(x: Tensor, y: Tensor) -> Tensor:
    """sqrt(x^2 + y^2); its gradient at (0, 0) is 0."""
    square = x * x + y * y
    void = square <= 0
    return torch.where(void, 0, torch.sqrt(torch.where(void, 1, square)))
