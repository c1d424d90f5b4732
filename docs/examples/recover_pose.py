"""Finds the pose of a particle from one picture of it, by gradient descent through medreg's rasteriser.

    python docs/examples/recover_pose.py --out picture.png

200 points in space, seen along one direction on 64 x 64 pixels. The descent starts 10 degrees and 0.1 half widths away.
Its six numbers are those of a turn about an axis, which stays a rotation, and of a shift across the view. Both pictures
are blurred first, so that points that do not meet yet feel each other, and less and less so.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from showing import lit, side_by_side
from torch import Tensor

import medreg
from medreg.sample import smooth
from medreg.vision.rasterisation import degrees_between, from_axis_angle, raster

SIZE = (64, 64)
BLURS = (4.0, 2.0, 1.0, 0.5, 0.0)
"""Standard deviations in pixels, from coarse to fine."""


@dataclass(frozen=True)
class Recovered:
    """What became of the pose.

    Attributes:
        start_degrees: how far the rotation was off at the start.
        degrees: and at the end.
        shift: the same of the shift, in half widths of the picture.
        losses: squared differences of the sharp pictures, at the start and after each blur.
        picture: before | after | target.
    """

    start_degrees: float
    degrees: float
    shift: float
    losses: tuple[float, ...]
    picture: medreg.MedImage


def recover(off_degrees: float = 10.0, off: float = 0.1, seed: int = 0) -> Recovered:
    """Start so far from the truth, in a direction that `seed` draws together with the particle."""
    random = torch.Generator().manual_seed(seed)
    points = 0.3 * torch.randn(200, 3, generator=random, dtype=torch.float64).clamp(-2, 2)
    truth = from_axis_angle(torch.randn(3, generator=random, dtype=torch.float64))
    direction = torch.randn(3, generator=random, dtype=torch.float64)
    start = from_axis_angle(math.radians(off_degrees) * direction / direction.norm()) @ truth
    shift = torch.randn(2, generator=random, dtype=torch.float64)
    shift *= off / shift.norm()
    goal = raster(SIZE, points, truth[:2], torch.zeros(2, dtype=torch.float64))
    turn, move = torch.zeros(3, dtype=torch.float64), shift.clone()
    for leaf in (turn, move):
        leaf.requires_grad_()

    def seen() -> Tensor:
        return raster(SIZE, points, (from_axis_angle(turn) @ start)[:2], move)

    def off_by(blur: float) -> Tensor:
        return (blurred(seen(), blur) - blurred(goal, blur)).square().sum()

    before, losses = seen().detach(), [squares(seen() - goal)]
    for blur in BLURS:
        descend([turn, move], partial(off_by, blur))
        losses.append(squares(seen() - goal))
    found = (from_axis_angle(turn) @ start).detach()
    return Recovered(
        float(degrees_between(start, truth)),
        float(degrees_between(found, truth)),
        float(move.detach().norm()),
        tuple(losses),
        side_by_side(*lit(before, seen().detach(), goal), times=4),
    )


def descend(parameters: list[Tensor], off_by: Callable[[], Tensor]) -> None:
    """60 steps of L-BFGS to where pictures differ least."""
    rule = torch.optim.LBFGS(parameters, max_iter=60, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        rule.zero_grad()
        value = off_by()
        value.backward()
        return value

    rule.step(loss)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """(y, x) smoothed by so many pixels."""
    return smooth(image[None], sigma, (1.0, 1.0))[0] if sigma else image


def squares(difference: Tensor) -> float:
    """The sum of squares."""
    return difference.detach().square().sum().item()


def main() -> None:
    """Descend, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Recover the pose of a particle from one projection.")
    parser.add_argument("--degrees", type=float, default=10.0, help="how far the start is turned away")
    parser.add_argument("--seed", type=int, default=0, help="another particle")
    parser.add_argument("--out", help="PNG of before | after | target")
    given = parser.parse_args()
    found = recover(given.degrees, seed=given.seed)
    first, *_, last = found.losses
    print(f"squared differences {first:.1f} -> {last:.2e}")  # noqa: T201
    print(f"rotation off by {found.start_degrees:.2f} -> {found.degrees:.1e} degrees")  # noqa: T201
    print(f"shift off by 0.1 -> {found.shift:.1e} half widths")  # noqa: T201
    if given.out:
        medreg.write_image(found.picture, given.out)


if __name__ == "__main__":
    main()
