"""Names for array shapes, so that signatures say them.

`N` samples, `D` space dimensions (2 or 3), `C` channels, `P` parameters. Tensors of voxels run `(C, z, y, x)`; points
run `(N, D)` in x, y, z order, LPS millimetres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    Points = Tensor
    """(N, D) points, x, y, z order, LPS millimetres unless a name says index."""

    Volume = Tensor
    """(C, z, y, x) or (C, y, x) voxel values."""

    Values = Tensor
    """(N,) or (C, N) sampled values."""

    Parameters = Tensor
    """(P,) parameters of a transform, in millimetre-balanced units."""

FloatArray = NDArray[np.float64]
"""float64 array of geometry: small matrices and vectors, never voxels."""

VoxelArray = NDArray[Any]
"""Voxels as a file stores them."""
