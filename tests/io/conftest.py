"""Grids and voxels that the tests of files share."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

SIZE = (5, 6, 7)
SPACING = np.diag([0.75, 1.25, 2.5])
TURN = Rotation.from_euler("xyz", [12, -31, 64], degrees=True).as_matrix()
SHEAR = np.array([[1, 0, 0], [0, 1, np.tan(np.radians(17))], [0, 0, 1]])  # a CT gantry tilted by 17 degrees
LINEAR = {
    "identity": SPACING,
    "flipped": np.diag([-1.0, 1.0, -1.0]) @ SPACING,
    "oblique": TURN @ SPACING,
    "sheared": TURN @ SHEAR @ SPACING,
}


def affine_named(name: str) -> np.ndarray:
    """A 4x4 RAS affine whose numbers are float32, as a NIfTI-1 header keeps them."""
    affine = np.eye(4)
    affine[:3, :3] = LINEAR[name]
    affine[:3, 3] = (-71.5, 33.25, 12.125)
    return affine.astype(np.float32).astype(np.float64)


@pytest.fixture(params=list(LINEAR))
def named_affine(request: pytest.FixtureRequest) -> tuple[str, np.ndarray]:
    """Each kind of grid: (its name, its RAS affine)."""
    return request.param, affine_named(request.param)


@pytest.fixture(params=["identity", "flipped", "oblique"])
def square_affine(request: pytest.FixtureRequest) -> np.ndarray:
    """The RAS affine of each kind of grid that is not sheared."""
    return affine_named(request.param)


@pytest.fixture
def oblique() -> np.ndarray:
    """The oblique RAS affine."""
    return affine_named("oblique")


@pytest.fixture
def sheared() -> np.ndarray:
    """The sheared RAS affine."""
    return affine_named("sheared")


@pytest.fixture
def save_nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write a NIfTI file with nibabel: save(voxels, RAS affine, name, (sform, qform) codes, **header fields)."""

    def save(
        voxels: np.ndarray,
        affine: np.ndarray | None = None,
        name: str = "image.nii.gz",
        codes: tuple[int, int] = (1, 1),
        **fields: Any,
    ) -> Path:
        kind = nib.Nifti2Image if fields.pop("nifti2", None) else nib.Nifti1Image
        affine = np.eye(4) if affine is None else affine
        image = kind(voxels, affine, dtype=voxels.dtype)
        image.set_sform(affine, codes[0])
        image.set_qform(affine, codes[1])
        image.update_header()
        path = tmp_path / name
        nib.save(image, path)
        if fields:  # nibabel puts a header in order as it saves: set the fields in the file itself
            raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            header = kind.header_class(raw[: image.header.template_dtype.itemsize], check=False)
            for field, value in fields.items():
                header[field] = value
            raw = bytes(header.binaryblock) + raw[len(header.binaryblock) :]
            path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return save


@pytest.fixture
def voxels() -> np.ndarray:
    """int16 voxels (x, y, z) of SIZE, all different."""
    return np.arange(np.prod(SIZE), dtype=np.int16).reshape(SIZE) - 50


def _corners(size: tuple[int, ...]) -> np.ndarray:
    """Indices (8, 3) of the corner voxels."""
    return np.stack(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij"), -1).reshape(-1, len(size)).astype(float)


@pytest.fixture
def corner_indices() -> np.ndarray:
    """Indices (8, 3) of the corner voxels of SIZE."""
    return _corners(SIZE)


@pytest.fixture
def to_lps() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """World points in LPS of indices (N, 3) through a RAS affine, by nibabel."""

    def through(affine: np.ndarray, index: np.ndarray) -> np.ndarray:
        return nib.affines.apply_affine(affine, index) * (-1, -1, 1)

    return through
