"""Registers a swirled picture by a small neural network, with `medreg.register` as it is.

    python docs/examples/register_swirl.py --out picture.png

A picture is turned about its middle, by most there and by nothing at its border, which no matrix follows. `Neural`
draws a displacement field that begins as the identity; its weights are trained from coarse to fine. The result carries
no verdict, but says whether the map folds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from showing import side_by_side
from torch import Tensor

import medreg
from medreg.transform.neural import Neural
from medreg.vision.warping import warp


@dataclass(frozen=True)
class Registered:
    """What became of the swirl.

    Attributes:
        before: sum of squared differences between the picture and the swirled one.
        after: the same once the picture is warped by the network.
        moved_px: mean distance that the swirl moves a pixel.
        missed_px: mean distance between where the network takes a pixel and where the swirl does.
        folded: share of the pixels about which the map folds.
        picture: before | after | target.
    """

    before: float
    after: float
    moved_px: float
    missed_px: float
    folded: float
    picture: medreg.MedImage


def register(turn: float = 1.2, seed: int = 0, recipe: medreg.Recipe | None = None) -> Registered:
    """Swirl a picture by up to `turn` radians and find it back."""
    moving = ellipses(seed)
    grid = moving.grid
    swirled = swirl(grid, turn)
    # the target comes from splines and the training from lines between pixels, so that they never agree by themselves
    fixed = warp(moving, swirled, interpolation=medreg.CubicBSpline(), outside=medreg.Edge())

    result = medreg.register(fixed, moving, recipe or medreg.Recipe(metric="mean_squares"), initial=Neural(grid))
    with torch.no_grad():
        found = warp(moving, result.transform, interpolation=medreg.CubicBSpline(), outside=medreg.Edge())
        axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid.shape), indexing="ij")
        points = torch.stack(axes[::-1], -1).view(-1, 2)
        truth = swirled(points)
        missed = (result.transform(points) - truth).norm(dim=1).mean().item()
    return Registered(
        before=(moving.data - fixed.data).square().sum().item(),
        after=(found.data - fixed.data).square().sum().item(),
        moved_px=(truth - points).norm(dim=1).mean().item(),
        missed_px=missed,
        folded=result.folded,
        picture=side_by_side(moving.data, found.data, fixed.data),
    )


def swirl(grid: medreg.Grid, turn: float) -> Callable[[Tensor], Tensor]:
    """A map of points (N, 2): a turn about the middle of the grid that fades towards its border."""
    centre, radius = torch.tensor(grid.centre, dtype=torch.float64), 0.18 * min(grid.extent)

    def swirled(points: Tensor) -> Tensor:
        away = points - centre
        angle = turn * torch.exp(-away.square().sum(1) / (2 * radius**2))
        x, y = away.unbind(1)
        return centre + torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], 1)

    return swirled


def ellipses(seed: int) -> medreg.MedImage:
    """Forty grey ellipses with soft edges, 128 x 128 pixels."""
    random = np.random.default_rng(seed)
    grid = medreg.Grid.regular((128, 128), (1.0, 1.0))
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid.shape), indexing="ij")
    values = 0.3 + x / 600 + y / 900
    for _ in range(40):
        middle, (a, b), angle = random.uniform(0, 128, 2), random.uniform(3, 14, 2), random.uniform(0, math.pi)
        along = (x - middle[0]) * math.cos(angle) + (y - middle[1]) * math.sin(angle)
        across = (y - middle[1]) * math.cos(angle) - (x - middle[0]) * math.sin(angle)
        inside = torch.sigmoid(2 * min(a, b) * (1 - torch.hypot(along / a, across / b)))
        values = torch.lerp(values, torch.full_like(values, random.uniform(0, 1)), inside)
    return medreg.MedImage.on(grid, values[None])


def main() -> None:
    """Register, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Register a swirled picture by a small neural network.")
    parser.add_argument("--turn", type=float, default=1.2, help="radians by which the middle is turned")
    parser.add_argument("--seed", type=int, default=0, help="another picture")
    parser.add_argument("--out", help="PNG of before | after | target")
    given = parser.parse_args()
    found = register(given.turn, given.seed)
    left = 100 * found.after / found.before
    print(f"squared differences {found.before:.1f} -> {found.after:.2f}, {left:.2f} % left")  # noqa: T201
    print(f"pixels moved by {found.moved_px:.2f} px, followed to {found.missed_px:.2f} px")  # noqa: T201
    print(f"the map folds at {100 * found.folded:.1f} % of the pixels")  # noqa: T201
    if given.out:
        medreg.write_image(found.picture, given.out)


if __name__ == "__main__":
    main()
