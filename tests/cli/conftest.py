"""A small pair of images with known motion, and ways to run the command line on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from medreg.cli.main import app

BLOBS = np.array(
    [[0, 0, 0, 30, 900], [18, 10, -6, 9, 700], [-15, 16, 8, 7, 800], [4, -20, 14, 8, -500], [-8, -6, -18, 6, 600]]
)
"""Gaussians: centre (LPS mm), standard deviation (mm), height."""


def brightness(points: np.ndarray) -> np.ndarray:
    """The grey value of an imaginary head at world points (..., 3), LPS mm; 0 to about 1500, no symmetry."""
    values = np.zeros(points.shape[:-1])
    for *centre, width, height in BLOBS:
        values += height * np.exp(-((points - centre) ** 2).sum(-1) / (2 * width**2))
    return values


def grid_affine(spacing: tuple[float, ...], size: tuple[int, ...], angles: tuple[float, ...]) -> np.ndarray:
    """An LPS affine with the world's origin in the middle, turned by Euler angles in degrees."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(size) - 1) / 2)
    return affine


def world(size: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """World points (x, y, z, 3) of all voxels."""
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def save(path: Path, voxels: np.ndarray, lps: np.ndarray) -> Path:
    """Write (x, y, z) voxels as NIfTI with nibabel."""
    image = nib.Nifti1Image(voxels, np.diag([-1.0, -1, 1, 1]) @ lps)
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    nib.save(image, path)
    return path


@dataclass(frozen=True)
class Pair:
    """Files of a fixed and a moving image, and the matrix (4x4, fixed -> moving points, LPS mm) between them."""

    fixed: Path
    moving: Path
    truth: np.ndarray

    @property
    def both(self) -> list[str]:
        """Both paths, as a command line wants them."""
        return [str(self.fixed), str(self.moving)]


TRUTH = np.eye(4)
TRUTH[:3, :3] = Rotation.from_euler("xyz", [4, -6, 8], degrees=True).as_matrix()
TRUTH[:3, 3] = (3.5, -2.25, 1.75)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """uint8 fixed and int16 moving, oblique, rigidly moved."""
    folder = tmp_path_factory.mktemp("pair")
    size = (36, 40, 34)
    fixed_place = grid_affine((2.5, 2.25, 2.5), size, (0, 0, 0))
    fixed = (brightness(world(size, fixed_place)) / 8).clip(0, 255).astype(np.uint8)
    moving_size = (38, 36, 35)
    moving_place = grid_affine((2.4, 2.5, 2.6), moving_size, (7, -12, 15))
    back = np.linalg.inv(TRUTH)
    points = world(moving_size, moving_place) @ back[:3, :3].T + back[:3, 3]
    moving = np.rint(brightness(points)).astype(np.int16)
    return Pair(
        save(folder / "fixed.nii.gz", fixed, fixed_place), save(folder / "moving.nii.gz", moving, moving_place), TRUTH
    )


@pytest.fixture
def transform(tmp_path: Path, pair: Pair) -> Path:
    """The pair's motion as a file that SimpleITK wrote."""
    t = sitk.AffineTransform(pair.truth[:3, :3].ravel().tolist(), pair.truth[:3, 3].tolist(), (0.0, 0.0, 0.0))
    sitk.WriteTransform(t, str(tmp_path / "truth.tfm"))
    return tmp_path / "truth.tfm"


@pytest.fixture
def medreg() -> Callable[..., Any]:
    """Run the command line in this process: medreg("register", ...)."""

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return run


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a process of its own: process("register", ..., cwd=...)."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "medreg", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)

    return run
