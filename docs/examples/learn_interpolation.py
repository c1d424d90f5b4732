"""Learns an interpolation kernel from what it should give: first a known one, then one for a kind of picture.

    python docs/examples/learn_interpolation.py --out picture.png

A kernel is the weight of each voxel around a point, by the point's place between two voxels: here a polynomial for each
voxel (`PiecewisePolynomial`), whose coefficients are sought. From values between pixels of noise that cubic convolution
gave, its sixteen numbers come back. From pictures of ellipses and their values between pixels comes a kernel that
interpolates other such pictures better than linear interpolation does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from showing import side_by_side
from torch import Tensor

import medreg
from medreg.sample import Interpolation, PiecewisePolynomial, Reflect, cubic_convolution, sample

SIZE = 64
"""Pixels along each side of a picture."""

MARGIN = 4
"""Pixels along its border where nothing is asked: beyond it a picture is not known."""


@dataclass(frozen=True)
class Learnt:
    """What was learnt.

    Attributes:
        largest_error: of the sixteen coefficients of cubic convolution, learnt from its values.
        psnr: decibels on pictures and shifts that were not trained on, by kernel: "linear", "cubic convolution",
            "cubic B-spline", "learnt".
        kernel: the one learnt from pictures.
        picture: a picture | what linear interpolation misses | what the learnt kernel misses, eight times as bright.
    """

    largest_error: float
    psnr: dict[str, float]
    kernel: PiecewisePolynomial
    picture: medreg.MedImage


def learn() -> Learnt:
    """Learn both kernels."""
    truth = cubic_convolution()
    noise = torch.rand(1, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = learn_from([noise], [sample(noise, places((0.0, 0.0), 0.5), truth, Reflect())], 2, 0.5)
    error = (kernel.coefficients - truth.coefficients).abs().max().item()

    train = [ellipses(seed) for seed in (1, 2, 3)]
    goals = [ellipses(seed, places((0.0, 0.0), 0.5)) for seed in (1, 2, 3)]
    learnt = learn_from(train, goals, 3, 0.5)
    kernels: dict[str, Interpolation] = {
        "linear": medreg.Linear(),
        "cubic convolution": truth,
        "cubic B-spline": medreg.CubicBSpline(),
        "learnt": learnt,
    }
    seen, shifts = (11, 12, 13, 14), ((0.5, 0.5), (0.25, 0.6), (0.1, 0.35), (0.7, 0.2))
    psnr = {name: _psnr(kernel, seen, shifts) for name, kernel in kernels.items()}
    where, inner = places(shifts[0]), SIZE - 2 * MARGIN
    exact = ellipses(seen[0], where)
    missed = [8 * (sample(ellipses(seen[0]), where, k, Reflect()) - exact).abs() for k in (medreg.Linear(), learnt)]
    shown = [values.view(1, inner, inner) for values in (exact, *missed)]
    return Learnt(error, psnr, learnt, side_by_side(*shown, times=3))


def learn_from(pictures: Sequence[Tensor], goals: Sequence[Tensor], radius: int, jitter: float) -> PiecewisePolynomial:
    """The kernel of cubic pieces that takes pictures (1, y, x) to their goals (1, N), from a linear one.

    Sought are the weights at four places between two voxels; the powers of the place are far more alike than these.
    """
    nodes = torch.linspace(0, 1, 4, dtype=torch.float64)
    to_powers = torch.linalg.inv(torch.vander(nodes, increasing=True)).T
    taps = torch.zeros(2 * radius, 4, dtype=torch.float64)
    taps[radius - 1], taps[radius] = 1 - nodes, nodes
    taps.requires_grad_()
    where = places((0.0, 0.0), jitter)
    optimiser = torch.optim.LBFGS(
        [taps], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        kernel = PiecewisePolynomial(taps @ to_powers)
        values = [sample(p, where, kernel, Reflect()) for p in pictures]
        total = sum((v - g).square().mean() for v, g in zip(values, goals, strict=True))
        assert isinstance(total, Tensor)
        total.backward()
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return PiecewisePolynomial(taps.detach() @ to_powers)


def places(shift: tuple[float, float], jitter: float = 0.0, margin: int = MARGIN) -> Tensor:
    """(N, 2) indices x, y of all pixels but those of the margin, shifted, and each moved by up to `jitter` pixels."""
    y, x = torch.meshgrid(*[torch.arange(margin, SIZE - margin, dtype=torch.float64)] * 2, indexing="ij")
    index = torch.stack([x, y], -1).view(-1, 2) + torch.tensor(shift, dtype=torch.float64)
    random = torch.rand(index.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return index + jitter * (2 * random - 1)


def ellipses(seed: int, where: Tensor | None = None) -> Tensor:
    """Thirty soft ellipses: a picture (1, y, x), or its exact values (1, N) at indices (N, 2)."""
    index = places((0.0, 0.0), margin=0) if where is None else where
    x, y = index.unbind(1)
    random = torch.Generator().manual_seed(seed)
    values = torch.full_like(x, 0.4)
    for _ in range(30):
        a, b, c, d, e, grey = torch.rand(6, generator=random, dtype=torch.float64).tolist()
        along = (x - SIZE * a) * math.cos(math.pi * c) + (y - SIZE * b) * math.sin(math.pi * c)
        across = (y - SIZE * b) * math.cos(math.pi * c) - (x - SIZE * a) * math.sin(math.pi * c)
        long, short = 3 + 6 * d, 2 + 4 * e
        inside = torch.sigmoid(2.5 * short * (1 - torch.hypot(along / long, across / short)))
        values = torch.lerp(values, torch.full_like(values, grey), inside)
    return values[None] if where is not None else values.view(1, SIZE, SIZE)


def _psnr(kernel: Interpolation, seeds: Sequence[int], shifts: Sequence[tuple[float, float]]) -> float:
    """Decibels, of values 0 to 1, over all pictures and shifts."""
    squares = [
        (sample(ellipses(s), places(shift), kernel, Reflect()) - ellipses(s, places(shift))).square().mean()
        for s in seeds
        for shift in shifts
    ]
    return -10 * math.log10(torch.stack(squares).mean().item())


def main() -> None:
    """Learn, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Learn interpolation kernels.")
    parser.add_argument("--out", help="PNG of a picture | linear's error | the learnt kernel's, eight times as bright")
    given = parser.parse_args()
    learnt = learn()
    print(f"cubic convolution came back to {learnt.largest_error:.1e}")  # noqa: T201
    for name, value in learnt.psnr.items():
        print(f"{name}: {value:.2f} dB")  # noqa: T201
    if given.out:
        medreg.write_image(learnt.picture, given.out)


if __name__ == "__main__":
    main()
