"""Names for numpy arrays, and the letters that docstrings use for shapes.

`N` samples, `D` space dimensions (2 or 3), `C` channels, `P` parameters. Tensors of voxels run `(C, z, y, x)`; points
run `(N, D)` in x, y, z order, LPS millimetres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
"""float64 array of geometry: small matrices and vectors, never voxels."""

VoxelArray = NDArray[Any]
"""Voxels as a file stores them."""
