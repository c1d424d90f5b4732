"""What needs torch. Importing this takes as long as importing torch, so verbs do it late, when all is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from medreg.errors import DeviceError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.io.ahead import Clerk
from medreg.io.gzipping import cores
from medreg.io.image import Written, write_image
from medreg.io.stored import StoredImage
from medreg.registration.foreground import foreground_mask
from medreg.registration.mask import combined
from medreg.registration.pairwise import register
from medreg.registration.result import Result
from medreg.sample import CubicBSpline, Edge, Fill, Interpolation, Linear, Nearest, WindowedSinc, resample
from medreg.types import FloatArray

__all__ = [
    "INTERPOLATIONS",
    "compute_on",
    "counting",
    "error_over",
    "image_on",
    "moved_onto",
    "register",
    "write",
]

INTERPOLATIONS: dict[str, Interpolation] = {
    "nearest": Nearest(),
    "linear": Linear(),
    "cubic": CubicBSpline(),
    "sinc": WindowedSinc(),
}


def compute_on(device: str, threads: int | None = None) -> tuple[str, int]:
    """Set the number of CPU threads; returns the device that "auto" means here, and the threads.

    Raises:
        DeviceError: the asked device is not there.
    """
    torch.set_num_threads(threads or cores())
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"--device cuda: torch {torch.__version__} finds no CUDA GPU here; use --device cpu or auto")
    if device == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("--device mps: there is no Apple GPU here; use --device cpu or auto")
    return device, torch.get_num_threads()


def image_on(device: str, stored: StoredImage) -> MedImage:
    """The image with its voxels on the device (float32 where the device has no float64)."""
    image = stored.to_image()
    if device == "cpu":
        return image
    data = image.data
    if device == "mps" and data.dtype == torch.float64:
        data = data.float()
    return image.with_data(data.to(device))


def counting(images: Mapping[str, MedImage], role: str, asked: object) -> MedImage | None:
    """Where an image counts: its mask, or its foreground where "auto" was asked for, without what is excluded.

    Args:
        images: all inputs by role.
        role: "fixed" or "moving".
        asked: what was asked for as its mask.

    Raises:
        ImageError: a mask of another size, or one that leaves nothing.
    """
    image = images[role]
    mask = foreground_mask(image) if asked == "auto" else images.get(f"{role}_mask")
    return combined(image, mask, images.get(f"{role}_exclude"))


def write(image: MedImage, path: Path, beside: Clerk) -> str:
    """Write an image; returns what became of its values."""
    written: Written = beside.submit(write_image, StoredImage.of(image), path).result()
    return written.sentence


def error_over(result: Result, grid: Grid) -> StoredImage | None:
    """The predicted error, mm, over the fixed image's grid, coarsely; None where it could not be told."""
    if result.verdict.predicted_error is None:
        return None
    error, coarse = result.verdict.predicted_error.over(grid)
    return StoredImage(np.ascontiguousarray(error[None], dtype=np.float32), coarse)


def moved_onto(
    image: MedImage, grid: Grid, matrix: FloatArray | None, interpolation: str, outside: float | str
) -> StoredImage:
    """`image` on `grid` through `matrix` (points of the grid's world -> the image's, LPS mm), as numpy."""
    beyond = Edge() if isinstance(outside, str) else Fill(outside)
    try:
        moved = resample(image, onto=grid, through=matrix, interpolation=INTERPOLATIONS[interpolation], outside=beyond)
    except KeyError:
        raise UsageError(f"interpolation {interpolation!r} is none of {', '.join(INTERPOLATIONS)}") from None
    return StoredImage.of(moved)
