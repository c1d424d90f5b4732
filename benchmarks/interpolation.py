"""Agreement and speed of medreg's sampler beside SimpleITK's, as a markdown table.

    python benchmarks/interpolation.py --size 190x256x188

A smooth random float32 volume on one oblique grid is resampled onto another through an affine map, by both, on the
same number of threads. Agreement is the largest difference over the intensity range, in the voxels where both lie
inside. Times are the best of `--repeats`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter

from medreg.geometry.affine import rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.sample import CubicBSpline, Fill, Interpolation, Linear, Nearest, resample

OUTSIDE = -1e4
KERNELS: tuple[tuple[str, Interpolation, int], ...] = (
    ("linear", Linear(), sitk.sitkLinear),
    ("nearest", Nearest(), sitk.sitkNearestNeighbor),
    ("cubic B-spline", CubicBSpline(), sitk.sitkBSpline3),
)
Result = TypeVar("Result")


def oblique(size: tuple[int, ...], spacing: tuple[float, ...], angles: tuple[float, ...]) -> Grid:
    """A turned grid with its middle at the world's origin."""
    affine = np.eye(4)
    affine[:3, :3] = rotation_exp(np.array(angles)) * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(size) - 1) / 2
    return Grid.from_affine(size, affine)


def to_itk(image: MedImage) -> sitk.Image:
    """The same image in SimpleITK."""
    itk = sitk.GetImageFromArray(image.data[0].numpy())
    itk.SetSpacing(image.spacing)
    itk.SetOrigin(image.origin)
    itk.SetDirection(np.array(image.direction).ravel().tolist())
    return itk


def by_itk(image: sitk.Image, onto: Grid, matrix: np.ndarray, interpolator: int) -> sitk.Image:
    """`image` on the grid, by SimpleITK."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    direction = np.array(onto.direction).ravel().tolist()
    return sitk.Resample(image, onto.size, transform, interpolator, onto.origin, onto.spacing, direction, OUTSIDE)


def best(work: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Shortest wall time in seconds, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="190x256x188", help="voxels along x, y, z")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
    size = tuple(int(n) for n in arguments.size.split("x"))
    moving_grid = oblique(size, (1.0, 0.85, 0.95), (-0.1, 0.05, 0.15))
    fixed_grid = oblique(size, (0.9, 0.88, 0.88), (0.05, -0.1, 0.1))
    voxels = 700 + 3000 * gaussian_filter(np.random.default_rng(0).standard_normal(size[::-1]).astype(np.float32), 1.0)
    image = MedImage.on(moving_grid, torch.from_numpy(voxels)[None])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_exp(np.array([0.05, 0.1, -0.1])) * 1.03
    matrix[:3, 3] = 3.1, -4.2, 5.3
    itk = to_itk(image)
    versions = f"torch {torch.__version__}, SimpleITK {sitk.__version__}"
    print(f"{arguments.size} voxels, float32, {arguments.threads} threads, {versions}\n")
    print("| interpolation | largest relative difference | inside | medreg s | SimpleITK s |")
    print("|---|---|---|---|---|")
    for name, ours, theirs in KERNELS:
        medreg_s, moved = best(lambda o=ours: resample(image, fixed_grid, matrix, o, Fill(OUTSIDE)), arguments.repeats)
        itk_s, wanted = best(lambda t=theirs: by_itk(itk, fixed_grid, matrix, t), arguments.repeats)
        a, b = moved.data[0].numpy(), sitk.GetArrayFromImage(wanted)
        inside = (a != OUTSIDE) & (b != OUTSIDE)
        difference = np.abs(a - b)[inside].max() / np.ptp(voxels)
        print(f"| {name} | {difference:.1e} | {inside.mean():.0%} | {medreg_s:.2f} | {itk_s:.2f} |")


if __name__ == "__main__":
    main()
