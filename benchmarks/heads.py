"""The digital head of `sample_data/` as images in memory: the T1 sample as it lies there, and scans made to order."""

import sys
from pathlib import Path

import numpy as np
import torch

from medreg import Grid, MedImage, read_image

SAMPLES = Path(__file__).resolve().parent.parent / "sample_data"
sys.path.insert(0, str(SAMPLES))

import phantom  # noqa: E402 - it lies beside the data that it made

CENTRE_MM = (0.0, 6.0, -4.0)
OBLIQUE = phantom.rotation((4, -3, 5))


def fixed_head() -> MedImage:
    """`head_t1`: 130 x 160 x 130 voxels of 1.5 mm; the head's own points are its world."""
    return read_image(SAMPLES / "head_t1.nii.gz")


def as_image(grid: phantom.Grid, voxels: np.ndarray) -> MedImage:
    """Voxels [i, j, k] on their grid."""
    return MedImage.on(Grid.from_affine(grid.size, grid.affine), torch.from_numpy(np.ascontiguousarray(voxels.T))[None])


def second_visit() -> MedImage:
    """A T1 scan of the head where it lies, on an oblique grid, with noise and shading of its own."""
    grid = phantom.Grid.centred((140, 168, 112), (1.4, 1.4, 1.8), CENTRE_MM, OBLIQUE)
    return as_image(grid, phantom.render(grid, phantom.T1, noise=0.02, bias=0.15, seed=11))
