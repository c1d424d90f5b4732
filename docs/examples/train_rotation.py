"""Learns an angle by plain gradient descent through medreg's differentiable resampler.

    python docs/examples/train_rotation.py --out picture.png

A picture of dots is turned about its centre until it looks like its own copy, turned by pi/6. Two things make it quick:

- The units. The sum of squared differences is divided by the target's squared slopes along a turn, so that it is half
  the squared error of the angle, and a rate of 1 goes all the way wherever that is exact.
- The order, from coarse to fine. Sharp dots that do not overlap feel no pull; blurred ones do, so that the descent gets
  under way from an angle of 0, too.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
import torch
from showing import side_by_side
from torch import Tensor

import medreg
from medreg.sample import smooth

LEVELS = ((12.0, 15), (6.0, 10), (3.0, 10), (0.0, 10))
"""Blur (standard deviation, px) and steps of each level."""

RATE = 1.0


@dataclass(frozen=True)
class Trained:
    """What became of the angle.

    Attributes:
        angle: as it was learnt, radians.
        target: as it should be.
        losses: sums of squared differences of the unblurred pictures, at the start and after each level.
        steps: of gradient descent, over all levels.
        picture: before | after | target.
    """

    angle: float
    target: float
    losses: tuple[float, ...]
    steps: int
    picture: medreg.MedImage


def train(start: float = 0.05, target: float = math.pi / 6, seed: int = 0) -> Trained:
    """Learn the angle `target` (radians) from `start`; `seed` places the dots."""
    before = dots(seed)
    grid = before.grid
    # the target comes from splines and the training from lines between pixels, so that they never agree by themselves
    goal = medreg.resample(before, grid, turn(torch.tensor(target), grid.centre), medreg.CubicBSpline())
    angle = torch.tensor(start, dtype=torch.float64, requires_grad=True)

    def turned(image: medreg.MedImage) -> Tensor:
        return medreg.resample(image, grid, turn(angle, grid.centre)).data

    losses = [squares(turned(before) - goal.data)]
    for sigma, steps in LEVELS:
        moving = before.with_data(smooth(before.data, sigma, grid.spacing))
        fixed = smooth(goal.data, sigma, grid.spacing)
        scale = slope_of_a_turn(fixed, grid).square().sum()
        for _ in range(steps):
            loss = (turned(moving) - fixed).square().sum() / (2 * scale)
            (slope,) = torch.autograd.grad(loss, angle)
            with torch.no_grad():
                angle -= RATE * slope
        losses.append(squares(turned(before) - goal.data))
    picture = side_by_side(before.data, turned(before).detach(), goal.data)
    return Trained(angle.item(), target, tuple(losses), sum(n for _, n in LEVELS), picture)


def turn(angle: Tensor, centre: tuple[float, ...]) -> Tensor:
    """The 3x3 matrix of a turn by `angle` (radians) about `centre`, differentiable."""
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    linear = torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])
    point = torch.tensor(centre).to(angle)
    top = torch.cat([linear, (point - linear @ point)[:, None]], 1)
    return torch.cat([top, torch.stack([zero, zero, zero + 1])[None]])


def slope_of_a_turn(values: Tensor, grid: medreg.Grid) -> Tensor:
    """How pixels (3, y, x) change per radian when a picture is turned about its centre."""
    x, y = offsets(grid)
    along_y, along_x = torch.gradient(values, dim=(1, 2))
    return along_y * x - along_x * y


def dots(seed: int) -> medreg.MedImage:
    """Twelve coloured dots on black, 135 x 125 pixels, none cut off by a turn."""
    random = np.random.default_rng(seed)
    grid = medreg.Grid.regular((135, 125), (1.0, 1.0))
    x, y = offsets(grid)
    values = torch.zeros(3, *grid.shape, dtype=torch.float64)
    for _ in range(12):
        direction, distance = random.uniform(0, 2 * math.pi), 46 * math.sqrt(random.uniform())
        radius, colour = random.uniform(4, 11), torch.from_numpy(random.uniform(0.2, 1, (3, 1, 1)))
        away = torch.hypot(x - distance * math.cos(direction), y - distance * math.sin(direction))
        values = torch.lerp(values, colour, torch.sigmoid(2 * (radius - away)))
    return medreg.MedImage.on(grid, values)


def offsets(grid: medreg.Grid) -> tuple[Tensor, Tensor]:
    """How far each pixel is from the centre along x and along y, both (y, x)."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid.shape), indexing="ij")
    return x - grid.centre[0], y - grid.centre[1]


def squares(difference: Tensor) -> float:
    """The sum of squares."""
    return difference.detach().square().sum().item()


def main() -> None:
    """Train, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Learn an angle by gradient descent.")
    parser.add_argument("--start", type=float, default=0.05, help="radians")
    parser.add_argument("--target", type=float, default=math.pi / 6, help="radians")
    parser.add_argument("--seed", type=int, default=0, help="another picture")
    parser.add_argument("--out", help="PNG of before | after | target")
    given = parser.parse_args()
    trained = train(given.start, given.target, given.seed)
    first, *_, last = trained.losses
    print(f"squared differences {first:.1f} -> {last:.2f}, {100 * last / first:.2f} % left")  # noqa: T201
    print(  # noqa: T201
        f"angle {given.start:.4f} -> {trained.angle:.6f} rad, {abs(trained.angle - trained.target):.1e} rad from "
        f"{trained.target:.6f}, after {trained.steps} steps"
    )
    if given.out:
        medreg.write_image(trained.picture, given.out)


if __name__ == "__main__":
    main()
