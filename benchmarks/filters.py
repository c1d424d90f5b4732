"""Agreement and speed of medreg's filters beside scipy.ndimage's, as a markdown table.

    python benchmarks/filters.py --size 188x256x190

A smooth random volume, and a picture of as many pixels, under the same filter by both. Times are CPU seconds of the
process, the best of `--repeats`; scipy has one thread, and so has medreg unless `--threads` says otherwise (then they
are wall seconds). Agreement is the largest difference over the largest value, scipy's in float64. The last column is
the time of medreg's forward and backward pass, which scipy has not.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medreg.vision.filters import Sobel, box, derivative, filter, gaussian, laplacian, median

Run = tuple[str, int, Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray]]


def runs() -> list[Run]:
    """Name, space axes, by medreg, by scipy."""
    random = torch.Generator().manual_seed(1)

    def kernel(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    z, y, x = kernel(5)[:, None, None], kernel(5)[:, None], kernel(5)
    any3, any5, any7, product = kernel(3, 3, 3), kernel(5, 5, 5), kernel(7, 7, 7), z * y * x
    plane3, plane7, plane31 = kernel(3, 3), kernel(7, 7), kernel(31, 31)

    def correlated(weights: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray]]:
        return (lambda i: filter(i, weights)), (lambda i: ndimage.correlate(i, weights.numpy()))

    def widths(sigma: float, d: int) -> tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray]]:
        return (lambda i: gaussian(i, sigma, dimension=d)), (lambda i: ndimage.gaussian_filter(i, sigma))

    return [
        ("Gaussian, sigma 1", 3, *widths(1.0, 3)),
        ("Gaussian, sigma 4", 3, *widths(4.0, 3)),
        ("box of 7", 3, lambda i: box(i, 7), lambda i: ndimage.uniform_filter(i, 7)),
        ("Sobel along y", 3, lambda i: derivative(i, 1, Sobel()), lambda i: ndimage.sobel(i, 1) / 32),
        ("Laplacian", 3, laplacian, ndimage.laplace),
        ("median of 3 x 3 x 3", 3, median, lambda i: ndimage.median_filter(i, 3)),
        ("any 3 x 3 x 3", 3, *correlated(any3)),
        ("any 5 x 5 x 5", 3, *correlated(any5)),
        ("product of 5 x 5 x 5", 3, *correlated(product)),
        ("any 7 x 7 x 7", 3, *correlated(any7)),
        ("any 3 x 3", 2, *correlated(plane3)),
        ("any 7 x 7", 2, *correlated(plane7)),
        ("any 31 x 31", 2, *correlated(plane31)),
        ("Gaussian, sigma 4", 2, *widths(4.0, 2)),
        ("median of 5 x 5", 2, lambda i: median(i, 5, dimension=2), lambda i: ndimage.median_filter(i, 5)),
    ]


def seconds(call: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    """The best of several."""
    taken = []
    for _ in range(repeats):
        start = clock()
        call()
        taken.append(clock() - start)
    return min(taken)


def row(run: Run, image: Tensor, repeats: int, clock: Callable[[], float]) -> str:
    """One line of the table."""
    name, _, ours, theirs = run
    exact = theirs(image.double().numpy())
    error = float(np.abs(ours(image).numpy() - exact).max() / np.abs(exact).max())
    learnt = image.clone().requires_grad_()
    times = (
        seconds(lambda: ours(image), repeats, clock),
        seconds(lambda: theirs(image.numpy()), repeats, clock),
        seconds(lambda: ours(learnt).backward(image), repeats, clock),
    )
    shape = " x ".join(str(n) for n in reversed(image.shape))
    told = f"{times[0]:.3f} | {times[1]:.3f} | {times[1] / times[0]:.1f} | {error:.0e} | {times[2]:.3f}"
    return f"| {name} | {shape} | {told} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of filters beside scipy.ndimage.")
    parser.add_argument("--size", default="188x256x190", help="voxels along x, y, z")
    parser.add_argument("--double", action="store_true", help="float64 instead of float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    dtype = torch.float64 if given.double else torch.float32
    size = tuple(int(n) for n in reversed(given.size.split("x")))
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(dtype)
    volume = gaussian(noise, 2.0)
    side = math.isqrt(volume.numel())
    picture = volume.flatten()[: side * side].view(side, side)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    unit = "CPU s" if given.threads == 1 else "s"
    print(f"{str(dtype).removeprefix('torch.')}, {given.threads} thread(s), border mirrored at the faces")
    print(f"| filter | voxels | medreg {unit} | scipy {unit} | times as fast | difference | with gradient {unit} |")
    print("|---|---|---|---|---|---|---|")
    for run in runs():
        print(row(run, volume if run[1] == 3 else picture, given.repeats, clock), flush=True)


if __name__ == "__main__":
    main()
