"""Memory for large results."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

HUGE = 1 << 22
"""Bytes from which NumPy asks the system for large pages."""


def fresh(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor with anything in it.

    A large one on a CPU comes from NumPy, which asks Linux for pages of 2 MiB. The first touch of 256 MiB in pages of
    4 KiB, as torch gets them, was measured at four times the time, and at more than all that is done with them here.
    """
    if device.type == "cpu" and dtype in (torch.float32, torch.float64) and prod(shape) * dtype.itemsize >= HUGE:
        return torch.from_numpy(np.empty(shape, np.float32 if dtype == torch.float32 else np.float64))
    return torch.empty(shape, dtype=dtype, device=device)
