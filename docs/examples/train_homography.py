"""Learns a homography by gradient descent through medreg's differentiable resampler.

    python docs/examples/train_homography.py --out picture.png

A picture is seen from another side, by a homography that moves its corners by up to 16 px, and the map is sought again
from the identity. On the nine entries of the matrix descent hardly moves: a rate at which the first ones shift the
picture by a pixel throws the far corner across the frame through the last ones. Here it moves along eight generators of
sl(3) instead (`matrix_of`), each of which moves points 80 px from the centre by about a pixel, so that one rate serves
all; and from coarse to fine.
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
from medreg.transform.homography import Homography
from medreg.transform.kind import Kind
from medreg.transform.linear import matrix_of

LEVELS = ((8.0, 30, 1.0), (4.0, 30, 0.5), (2.0, 20, 0.25), (0.0, 20, 0.1))
"""Blur (standard deviation, px), steps, and rate (px a step) of each level."""

RADIUS = 80.0
"""Pixels; a usual distance from the centre."""


@dataclass(frozen=True)
class Trained:
    """What became of the homography.

    Attributes:
        found: as it was learnt.
        truth: as it should be.
        losses: sums of squared differences of the unblurred pictures, at the start and after each level.
        corner_errors: pixels by which the found map misses at the frame's four corners.
        steps: of gradient descent, over all levels.
        picture: before | after | target.
    """

    found: Homography
    truth: Homography
    losses: tuple[float, ...]
    corner_errors: tuple[float, ...]
    steps: int
    picture: medreg.MedImage


def train(seed: int = 4, shift: float = 16.0) -> Trained:
    """Learn a random homography that moves the corners by up to `shift` pixels along x and y."""
    before = shapes(seed)
    grid = before.grid
    truth = moving_corners(grid, shift, seed)
    # the target comes from splines and the training from lines between pixels, so that they never agree by themselves
    goal = medreg.resample(before, grid, truth, medreg.CubicBSpline())
    parameters = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([parameters])

    def matrix() -> Tensor:
        return matrix_of(parameters, Kind.HOMOGRAPHY, grid.centre, RADIUS)

    def left() -> float:
        return (medreg.resample(before, grid, matrix().detach()).data - goal.data).square().sum().item()

    losses = [left()]
    for sigma, steps, rate in LEVELS:
        moving = before.with_data(smooth(before.data, sigma, grid.spacing))
        fixed = smooth(goal.data, sigma, grid.spacing)
        optimiser.param_groups[0]["lr"] = rate
        for _ in range(steps):
            optimiser.zero_grad()
            (medreg.resample(moving, grid, matrix()).data - fixed).square().sum().backward()
            optimiser.step()
        losses.append(left())
    found = Homography(matrix().detach().numpy(), grid.centre)
    errors = np.linalg.norm(found.map(grid.corners) - truth.map(grid.corners), axis=1)
    after = medreg.resample(before, grid, found)
    picture = side_by_side(before.data, after.data, goal.data)
    return Trained(found, truth, tuple(losses), tuple(errors.tolist()), sum(n for _, n, _ in LEVELS), picture)


def moving_corners(grid: medreg.Grid, shift: float, seed: int) -> Homography:
    """The homography that takes each corner of the frame to a random place within `shift` pixels along x and y."""
    corners = grid.corners
    goals = corners + np.random.default_rng(seed).uniform(-shift, shift, corners.shape)
    # u (g x + h y + 1) = a x + b y + c, v (g x + h y + 1) = d x + e y + f: eight equations for a to h
    rows = [
        row
        for (x, y), (u, v) in zip(corners, goals, strict=True)
        for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
    ]
    return Homography(np.append(np.linalg.solve(rows, goals.ravel()), 1).reshape(3, 3), grid.centre)


def shapes(seed: int) -> medreg.MedImage:
    """Sixty coloured ellipses and bars over a slow ramp, 200 x 200 pixels."""
    random = np.random.default_rng(seed)
    grid = medreg.Grid.regular((200, 200), (1.0, 1.0))
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid.shape), indexing="ij")
    values = torch.stack([0.3 + x / 700, 0.5 - y / 1000, 0.4 + (x + y) / 2000])
    for number in range(60):
        middle, (a, b), angle = random.uniform(0, 200, 2), random.uniform(4, 25, 2), random.uniform(0, math.pi)
        along = (x - middle[0]) * math.cos(angle) + (y - middle[1]) * math.sin(angle)
        across = (y - middle[1]) * math.cos(angle) - (x - middle[0]) * math.sin(angle)
        ellipse = (1 - torch.hypot(along / a, across / b)) * min(a, b)
        depth = ellipse if number % 2 else torch.minimum(a - along.abs(), b - across.abs())
        values = torch.lerp(values, torch.from_numpy(random.uniform(0, 1, (3, 1, 1))), torch.sigmoid(2 * depth))
    return medreg.MedImage.on(grid, values)


def main() -> None:
    """Train, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Learn a homography by gradient descent.")
    parser.add_argument("--seed", type=int, default=4, help="another picture and another homography")
    parser.add_argument("--shift", type=float, default=16.0, help="pixels by which the corners are moved, at most")
    parser.add_argument("--out", help="PNG of before | after | target")
    given = parser.parse_args()
    trained = train(given.seed, given.shift)
    first, *_, last = trained.losses
    print(f"squared differences {first:.1f} -> {last:.2f}, {100 * last / first:.2f} % left")  # noqa: T201
    print(f"corners off by at most {max(trained.corner_errors):.3f} px after {trained.steps} steps")  # noqa: T201
    if given.out:
        medreg.write_image(trained.picture, given.out)


if __name__ == "__main__":
    main()
