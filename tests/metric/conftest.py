"""Samples of two related images, and the moving values as a smooth function of a few parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampled:
    """Fixed and moving values (N,), positions (N, D) within -1 to 1, weights (N,) of 0 and 1; all float64."""

    fixed: Tensor
    moving: Tensor
    position: Tensor
    weight: Tensor


@pytest.fixture
def sampled() -> Callable[..., Sampled]:
    """sampled(count, outside=share with weight 0): related values with noise, of no particular unit."""

    def make(count: int, outside: float = 0.0, seed: int = 0) -> Sampled:
        random = torch.Generator().manual_seed(seed)
        position = torch.rand(count, 3, generator=random, dtype=torch.float64) * 2 - 1
        fixed = 300 + 100 * torch.randn(count, generator=random, dtype=torch.float64)
        moving = 40 + 0.2 * fixed + 10 * torch.randn(count, generator=random, dtype=torch.float64)
        weight = (torch.rand(count, generator=random, dtype=torch.float64) >= outside).double()
        return Sampled(fixed, moving, position, weight)

    return make
