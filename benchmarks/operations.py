"""Speed of medreg's spatial operations beside SimpleITK's, as a markdown table.

    python benchmarks/operations.py --size 256x256x128

Both work on the same float32 volume with as many threads, by turns, so that what else the machine does meets both
alike. Times are wall milliseconds, medians of `--repeats`; `ours / ITK` is the median of the ratios of neighbouring
runs. Agreement is the largest difference over the intensity range; for the nearest voxel the share of voxels that
differ, which are points half way between two, where rounding decides.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import SimpleITK as sitk
import torch

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import Order, resample_to_spacing, rotate
from medreg.sample import CubicBSpline, Fill, Interpolation, Linear, Nearest, resample

KERNELS: dict[str, tuple[Interpolation, int]] = {
    "linear": (Linear(), sitk.sitkLinear),
    "nearest": (Nearest(), sitk.sitkNearestNeighbor),
    "cubic": (CubicBSpline(), sitk.sitkBSpline3),
}
ZERO = Fill(0.0)


@dataclass(frozen=True)
class Case:
    """One operation, as both do it."""

    name: str
    ours: Callable[[MedImage, Interpolation], MedImage]
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)


def turning(*angles: float) -> Case:
    named = " and ".join(f"{a:g} degrees about {axis}" for a, axis in zip(angles, "xyz", strict=True) if a)
    return Case(f"rotate {named}", lambda m, k: rotate(m, angles, order=Order.YXZ, interpolation=k), angles)


def spaced(name: str, factor: float) -> Case:
    steps = lambda m: [s * factor for s in m.spacing]  # noqa: E731
    return Case(name, lambda m, k: resample_to_spacing(m, steps(m), interpolation=k, outside=ZERO))


CASES = [
    turning(0, 0, 30),
    turning(0, 30, 0),
    turning(30, 0, 0),
    turning(17, 11, 26),
    turning(0, 0, 90),
    spaced("upsample 1.5 times", 2 / 3),
    spaced("downsample 2 times", 2.0),
]


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return 1e3 * (time.perf_counter() - start), result


def compared(case: Case, image: MedImage, itk: sitk.Image, kernel: str, repeats: int) -> str:
    """A row of the table."""
    interpolation, interpolator = KERNELS[kernel]
    lattice = case.ours(image, interpolation).grid
    euler = sitk.Euler3DTransform(image.grid.centre, *np.radians(case.angles).tolist(), (0.0, 0.0, 0.0))
    through = sitk.Transform(3, sitk.sitkIdentity) if not any(case.angles) else euler.GetInverse()
    direction = np.array(lattice.direction).ravel().tolist()
    place = (lattice.size, through, interpolator, lattice.origin, lattice.spacing, direction, 0.0)
    rows = []
    for _ in range(repeats):
        our_ms, ours = timed(lambda: case.ours(image, interpolation))
        itk_ms, theirs = timed(lambda: sitk.Resample(itk, *place))
        rows.append((our_ms, itk_ms))
    got, wanted = ours.data[0].numpy(), sitk.GetArrayViewFromImage(theirs)
    span = float(image.data.max() - image.data.min())
    apart = (
        f"{(got != wanted).mean():.1e} differ" if kernel == "nearest" else f"{np.abs(got - wanted).max() / span:.1e}"
    )
    ours_ms, theirs_ms = (median(column) for column in zip(*rows, strict=True))
    ratio = median(a / b for a, b in rows)
    return f"| {case.name} | {kernel} | {ours_ms:.0f} | {theirs_ms:.0f} | {ratio:.2f} | {apart} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="256x256x128", help="voxels along x, y, z")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--kernels", nargs="+", default=["linear", "nearest"], choices=KERNELS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
    size = tuple(int(n) for n in arguments.size.split("x"))
    voxels = np.random.default_rng(0).normal(size=size[::-1]).astype(np.float32)
    image = MedImage.on(Grid.regular(size, (1.0, 1.0, 1.0)), torch.from_numpy(voxels)[None])
    itk = sitk.GetImageFromArray(voxels)
    resample(image, image.grid, np.diag([1.0, 1.1, 1.2, 1.0]))  # threads start here, once
    print("| operation | kernel | medreg ms | SimpleITK ms | ours / ITK | apart |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        for kernel in arguments.kernels:
            print(compared(case, image, itk, kernel, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
