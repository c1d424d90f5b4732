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
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from medreg.vision.filters import (
    Central,
    Sobel,
    box,
    derivative,
    filter,
    gaussian,
    gradient,
    laplacian,
    laplacian_of_gaussian,
    median,
)

Ours = Callable[[Tensor], Any]
Theirs = Callable[[np.ndarray], Any]
Run = tuple[str, int, Ours, Theirs]


def runs() -> list[Run]:
    """Name, space axes, by medreg, by scipy."""
    random = torch.Generator().manual_seed(1)

    def kernel(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    z, y, x = kernel(5)[:, None, None], kernel(5)[:, None], kernel(5)
    any3, any5, any7, product = kernel(3, 3, 3), kernel(5, 5, 5), kernel(7, 7, 7), z * y * x
    plane3, plane5, plane7, plane31 = kernel(3, 3), kernel(5, 5), kernel(7, 7), kernel(31, 31)

    def correlated(weights: Tensor) -> tuple[Ours, Theirs]:
        return (lambda i: filter(i, weights)), (lambda i: ndimage.correlate(i, weights.numpy()))

    def widths(sigma: float, d: int) -> tuple[Ours, Theirs]:
        return (lambda i: gaussian(i, sigma, dimension=d)), (lambda i: ndimage.gaussian_filter(i, sigma))

    def laplacians(sigma: float) -> tuple[Ours, Theirs]:
        return (lambda i: laplacian_of_gaussian(i, sigma)), (lambda i: ndimage.gaussian_laplace(i, sigma))

    return [
        ("Gaussian, sigma 1", 3, *widths(1.0, 3)),
        ("Gaussian, sigma 4", 3, *widths(4.0, 3)),
        ("box of 7", 3, lambda i: box(i, 7), lambda i: ndimage.uniform_filter(i, 7)),
        ("Sobel along y", 3, lambda i: derivative(i, 1, Sobel()), lambda i: ndimage.sobel(i, 1) / 32),
        ("Laplacian", 3, laplacian, ndimage.laplace),
        ("Laplacian of Gaussian, sigma 1", 3, *laplacians(1.0)),
        ("central difference along z", 3, lambda i: derivative(i, 2, Central()), central),
        ("gradient by Sobel", 3, gradient, sobels),
        ("median of 3 x 3 x 3", 3, median, lambda i: ndimage.median_filter(i, 3)),
        ("any 3 x 3 x 3", 3, *correlated(any3)),
        ("any 5 x 5 x 5", 3, *correlated(any5)),
        ("product of 5 x 5 x 5", 3, *correlated(product)),
        ("any 7 x 7 x 7", 3, *correlated(any7)),
        ("any 3 x 3", 2, *correlated(plane3)),
        ("any 5 x 5", 2, *correlated(plane5)),
        ("any 7 x 7", 2, *correlated(plane7)),
        ("any 31 x 31", 2, *correlated(plane31)),
        ("Gaussian, sigma 4", 2, *widths(4.0, 2)),
        ("median of 5 x 5", 2, lambda i: median(i, 5, dimension=2), lambda i: ndimage.median_filter(i, 5)),
    ]


def central(image: np.ndarray) -> Any:
    """Along z."""
    return ndimage.correlate1d(image, [-0.5, 0.0, 0.5], 0)


def sobels(image: np.ndarray) -> tuple[np.ndarray, ...]:
    """Along x, y, z."""
    return tuple(ndimage.sobel(image, axis) / 32 for axis in (2, 1, 0))


def several(made: Any) -> tuple[Any, ...]:
    """What a filter gives: one image, or those along the axes."""
    return made if isinstance(made, tuple) else (made,)


def seconds(calls: Sequence[Callable[[], Any]], repeats: int, clock: Callable[[], float]) -> list[float]:
    """The best of several of each, in turns, so that other work on the machine slows all alike."""
    taken = [math.inf] * len(calls)
    for _ in range(repeats):
        for k, call in enumerate(calls):
            start = clock()
            call()
            taken[k] = min(taken[k], clock() - start)
    return taken


def row(run: Run, image: Tensor, repeats: int, clock: Callable[[], float]) -> str:
    """One line of the table."""
    name, _, ours, theirs = run
    found, exact = several(ours(image)), several(theirs(image.double().numpy()))
    errors = [np.abs(one.numpy() - other).max() / np.abs(other).max() for one, other in zip(found, exact, strict=True)]
    learnt = image.clone().requires_grad_()

    def both_ways() -> None:
        outputs = several(ours(learnt))
        torch.autograd.backward(outputs, [image] * len(outputs))

    one, other, gradients = seconds([lambda: ours(image), lambda: theirs(image.numpy()), both_ways], repeats, clock)
    shape = " x ".join(str(n) for n in reversed(image.shape))
    told = f"{one * 1e3:.0f} | {other * 1e3:.0f} | {other / one:.1f} | {max(errors):.0e} | {gradients * 1e3:.0f}"
    return f"| {name} | {shape} | {told} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of filters beside scipy.ndimage.")
    parser.add_argument("--size", default="188x256x190", help="voxels along x, y, z")
    parser.add_argument("--double", action="store_true", help="float64 instead of float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="what names of filters hold")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    dtype = torch.float64 if given.double else torch.float32
    size = tuple(int(n) for n in reversed(given.size.split("x")))
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(dtype)
    volume = gaussian(noise, 2.0)
    side = math.isqrt(volume.numel())
    picture = volume.flatten()[: side * side].view(side, side)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    unit = "CPU ms" if given.threads == 1 else "ms"
    print(f"{str(dtype).removeprefix('torch.')}, {given.threads} thread(s), border mirrored at the faces")
    print(f"| filter | voxels | medreg {unit} | scipy {unit} | times as fast | difference | with gradient {unit} |")
    print("|---|---|---|---|---|---|---|")
    for run in runs():
        if given.only in run[0]:
            print(row(run, volume if run[1] == 3 else picture, given.repeats, clock), flush=True)


if __name__ == "__main__":
    main()
