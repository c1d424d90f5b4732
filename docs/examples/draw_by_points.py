"""Draws a picture with points: they are scattered at random, and gradient descent moves them to where it is bright.

    python docs/examples/draw_by_points.py --out picture.png

5,000 points become an image by `raster` and a Gaussian blur. Where they lie, what they weigh (all the same), and how
wide the blur is, are learnt at once. A point feels only what its blur reaches, so both images are blurred more at
first, and less and less.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import torch
from showing import side_by_side
from torch import Tensor

import medreg
from medreg.vision.filters import gaussian
from medreg.vision.rasterisation import raster

SIZE = (300, 203)
COUNT = 5000
BLURS = ((16.0, 30), (8.0, 30), (4.0, 30), (2.0, 30), (0.0, 60))
"""Pixels that both images are blurred by, and steps."""


@dataclass(frozen=True)
class Drawn:
    """What became of the points.

    Attributes:
        points: (N, 2) where they lie.
        weight: of each.
        sigma: of the blur, pixels.
        losses: sums of squared differences, at the start and after each blur.
        picture: the points before | after | the picture to draw.
    """

    points: Tensor
    weight: float
    sigma: float
    losses: tuple[float, ...]
    picture: medreg.MedImage


def draw(seed: int = 0) -> Drawn:
    """From points that `seed` scatters."""
    goal = mark()
    random = torch.Generator().manual_seed(seed)
    points = (2 * torch.rand(COUNT, 2, generator=random) - 1).requires_grad_()
    weight, sigma = (torch.tensor(math.log(x), requires_grad=True) for x in (float(goal.sum()) / COUNT, 1.0))
    identity, middle = torch.eye(2), torch.zeros(2)

    def seen() -> Tensor:
        image = raster(SIZE, points, identity, middle, point_weight=weight.exp())
        return gaussian(image, sigma.exp(), dimension=2)

    def left() -> float:
        return (seen() - goal).detach().square().sum().item()

    before, losses = seen().detach(), [left()]
    rule = torch.optim.Adam([{"params": [points]}, {"params": [weight, sigma]}], lr=1e-2)
    for blur, steps in BLURS:
        rule.param_groups[0]["lr"] = (
            2 * max(blur, 1.0) / 10 / SIZE[1]
        )  # a tenth of what the blur reaches, in half widths
        fixed = blurred(goal, blur)
        for _ in range(steps):
            rule.zero_grad()
            (blurred(seen(), blur) - fixed).square().sum().backward()
            rule.step()
        losses.append(left())
    picture = side_by_side(before, seen().detach(), goal)
    return Drawn(points.detach(), weight.exp().item(), sigma.exp().item(), tuple(losses), picture)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """(y, x) smoothed by so many pixels."""
    return gaussian(image, sigma, dimension=2) if sigma else image


def mark() -> Tensor:
    """The picture (y, x): an R in a ring, the mark of what is registered, bright on dark and soft at its edges."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in SIZE[::-1]), indexing="ij")
    ring = 7 - (torch.hypot(x, y) - 88).abs()
    stem = bar(x, y, (-28.0, -48.0), (-28.0, 48.0))
    bowl = 7 - (torch.hypot((x - 4).clamp(min=0), y + 23) - 25).abs()
    bowl = torch.where(x < -28, torch.full_like(x, -9.0), bowl)
    leg = bar(x, y, (0.0, 4.0), (30.0, 48.0))
    shapes = torch.stack([ring, stem, bowl, leg])
    return torch.sigmoid(shapes).amax(0)


def bar(x: Tensor, y: Tensor, start: tuple[float, float], end: tuple[float, float]) -> Tensor:
    """How deep (px) places lie within 7 px of a line from start to end; below 0 outside."""
    (a, b), (c, d) = start, end
    along = (((x - a) * (c - a) + (y - b) * (d - b)) / ((c - a) ** 2 + (d - b) ** 2)).clamp(0, 1)
    return 7 - torch.hypot(x - a - along * (c - a), y - b - along * (d - b))


def main() -> None:
    """Draw, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Draw a picture with points, by gradient descent.")
    parser.add_argument("--seed", type=int, default=0, help="other points to begin with")
    parser.add_argument("--out", help="PNG of points before | after | the picture to draw")
    given = parser.parse_args()
    drawn = draw(given.seed)
    first, *_, last = drawn.losses
    print(f"squared differences {first:.0f} -> {last:.1f}, {100 * last / first:.2f} % left")  # noqa: T201
    print(f"each point weighs {drawn.weight:.2f} and is {drawn.sigma:.2f} px wide")  # noqa: T201
    if given.out:
        medreg.write_image(drawn.picture, given.out)


if __name__ == "__main__":
    main()
