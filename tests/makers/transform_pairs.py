"""Two images on awkward grids, and a transform between them, for the formats that go by voxels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from medreg.io.transforms import End

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""LPS <-> RAS."""
_TURN = Rotation.from_euler("xyz", [14, -37, 51], degrees=True).as_matrix()
_SHEAR = np.array([[1, 0, 0], [0, 1, np.tan(np.radians(17))], [0, 0, 1]])
_AXES = {
    "plain": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, 1.0]),
    "swapped": np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]]),
    "oblique": _TURN,
    "oblique and flipped": _TURN @ np.diag([-1.0, 1.0, 1.0]),
    "sheared": _TURN @ _SHEAR,
}
PAIRS = [
    ("plain", "flipped"),
    ("flipped", "swapped"),
    ("swapped", "oblique"),
    ("oblique", "oblique and flipped"),
    ("oblique and flipped", "sheared"),
    ("sheared", "plain"),
]
"""Each kind of grid once on each side: x of both handednesses, axes in another order, oblique, sheared."""


@dataclass(frozen=True)
class Images:
    """Files of two images, their RAS affines as nibabel reads them, and a matrix, fixed -> moving points, LPS mm."""

    fixed: Path
    moving: Path
    matrix: np.ndarray

    @property
    def ends(self) -> dict[str, Any]:
        """For `read_transform` and `write_transform`."""
        return {"fixed": End(path=self.fixed), "moving": End(path=self.moving)}

    @property
    def loaded(self) -> tuple[Any, Any]:
        """nibabel's fixed and moving image."""
        return nib.load(self.fixed), nib.load(self.moving)

    def apart(self, matrix: np.ndarray) -> float:
        """Largest distance (mm) between where two matrices send the corners of the fixed image."""
        image = self.loaded[0]
        corners = np.stack(np.meshgrid(*[(0, n) for n in image.shape[:3]], indexing="ij"), -1).reshape(-1, 3)
        points = np.column_stack([corners, np.ones(8)]) @ (RAS @ image.affine).T
        return float(np.abs(points @ (matrix - self.matrix).T).max())


def save(path: Path, size: tuple[int, ...], spacing: tuple[float, ...], axes: str, origin: tuple[float, ...]) -> Path:
    """A NIfTI file of zeros whose sform alone says where it lies: a qform can hold no shear."""
    affine = np.eye(4)
    affine[:3, :3] = _AXES[axes] * spacing
    affine[:3, 3] = origin
    image = nib.Nifti1Image(np.zeros(size, np.uint8), affine)
    image.set_sform(affine, 1)
    image.header["qform_code"] = 0
    nib.save(image, path)
    return path


def motion(seed: int = 3) -> np.ndarray:
    """4x4: a turn by 70 degrees about a skew axis, with scales and shears, and a shift."""
    random = np.random.default_rng(seed)
    matrix = np.eye(4)
    turn = Rotation.from_rotvec(np.radians(70) * np.array([0.48, -0.6, 0.64])).as_matrix()
    matrix[:3, :3] = turn @ (np.eye(3) + random.uniform(-0.2, 0.2, (3, 3)))
    matrix[:3, 3] = random.uniform(-80, 80, 3)
    return matrix


def pair(folder: Path, fixed: str, moving: str) -> Images:
    """Images of two kinds of grid; the moving one has two slices only."""
    return Images(
        save(folder / "fixed.nii.gz", (11, 7, 9), (1.25, 2.5, 0.8), fixed, (-31.5, 22.25, 7.125)),
        save(folder / "moving.nii.gz", (8, 12, 2), (1.7, 0.9, 6.0), moving, (12.0, -40.5, 3.75)),
        motion(),
    )
