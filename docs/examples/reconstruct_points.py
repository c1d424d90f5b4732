"""Tomography of a cloud: where points lie in space, from 32 projections of them.

    python docs/examples/reconstruct_points.py --out picture.png

60 points are seen on 64 x 64 pixels from 32 known directions. Nothing is known of where they are but that all weigh
alike. A first guess are places that are bright in every projection, found one after the other, the share of each being
taken out of the projections before the next; then all are moved at once by gradient descent through the rasteriser.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from showing import lit, side_by_side
from torch import Tensor

import medreg
from medreg.sample import sample, smooth
from medreg.vision.rasterisation import from_quaternion, raster

PIXELS = 64
VIEWS = 32
COARSE = 40
"""Places along each axis where the guess looks."""

BLURS = (1.5, 0.75, 0.0)
"""Pixels, from coarse to fine."""


@dataclass(frozen=True)
class Reconstructed:
    """What became of the points.

    Attributes:
        guess_voxels: root mean square distance of the true points from their own in the first guess, in voxels.
        voxels: the same after the descent.
        losses: squared differences of all projections, before the descent and after.
        picture: the cloud from above: guess, result, truth, as raster makes them.
    """

    guess_voxels: float
    voxels: float
    losses: tuple[float, float]
    picture: medreg.MedImage


def reconstruct(seed: int = 0, count: int = 60, noise: float = 0.0) -> Reconstructed:
    """Of a cloud that `seed` draws; `noise` is the standard deviation added to every pixel, where a point weighs 1."""
    random = torch.Generator().manual_seed(seed)
    truth = scattered(count, random)
    poses = from_quaternion(torch.randn(VIEWS, 4, generator=random, dtype=torch.float64))[:, :2]
    views = seen(truth, poses)
    views = views + noise * torch.randn(views.shape, generator=random, dtype=torch.float64)
    guess = guessed(views, poses, count)
    points = guess.clone().requires_grad_()
    first = squares(seen(guess, poses) - views)
    for blur in BLURS:
        descend(points, poses, blurred(views, blur), blur)
    found = points.detach()
    above = torch.eye(3, dtype=torch.float64)[None, :2]
    pictures = [smooth(seen(cloud, above), 1.0, (1.0, 1.0))[0] for cloud in (guess, found, truth)]
    return Reconstructed(
        missed(guess, truth),
        missed(found, truth),
        (first, squares(seen(found, poses) - views)),
        side_by_side(*lit(*pictures), times=4),
    )


def scattered(count: int, random: torch.Generator) -> Tensor:
    """Points in a ball of 0.85 half widths, none nearer to another than 0.12."""
    points = torch.empty(0, 3, dtype=torch.float64)
    while len(points) < count:
        point = 1.7 * torch.rand(1, 3, generator=random, dtype=torch.float64) - 0.85
        if point.norm() < 0.85 and not bool(((points - point).norm(dim=1) < 0.12).any()):
            points = torch.cat([points, point])
    return points


def seen(points: Tensor, poses: Tensor) -> Tensor:
    """All projections (views, y, x)."""
    return raster((PIXELS, PIXELS), points, poses, torch.zeros(2, dtype=torch.float64))


def guessed(views: Tensor, poses: Tensor, count: int) -> Tensor:
    """Places whose projections are all bright, one after the other."""
    axis = torch.linspace(-0.9, 0.9, COARSE, dtype=torch.float64)
    places = torch.cartesian_prod(axis, axis, axis)
    places = places[places.norm(dim=1) < 0.9]
    found: list[Tensor] = []
    left = blurred(views, 1.5)
    pixels = ((places @ poses.transpose(1, 2)) + 1) * PIXELS / 2 - 0.5  # (views, places, 2)
    bright = sample(left[:, None], pixels)[:, 0]
    for _ in range(count):
        # the dimmest views decide: there nothing else covers the place
        best = places[bright.kthvalue(4, dim=0).values.argmax()]
        found.append(best)
        share = blurred(seen(best[None], poses), 1.5)
        bright = bright - sample(share[:, None], pixels)[:, 0]
    return torch.stack(found)


def descend(points: Tensor, poses: Tensor, views: Tensor, blur: float) -> None:
    """40 steps of L-BFGS to where the blurred projections differ least from `views`."""
    rule = torch.optim.LBFGS([points], max_iter=40, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        rule.zero_grad()
        value = (blurred(seen(points, poses), blur) - views).square().sum()
        value.backward()
        return value

    rule.step(loss)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """(views, y, x) smoothed by so many pixels."""
    return smooth(images, sigma, (1.0, 1.0)) if sigma else images


def missed(found: Tensor, truth: Tensor) -> float:
    """Root mean square distance, in voxels, of pairs: the nearest first, each point in one pair."""
    apart = torch.cdist(found, truth).numpy() * PIXELS / 2
    total = []
    for _ in range(len(truth)):
        i, j = np.unravel_index(apart.argmin(), apart.shape)
        total.append(apart[i, j])
        apart[i], apart[:, j] = np.inf, np.inf
    return float(np.sqrt(np.mean(np.square(total))))


def squares(difference: Tensor) -> float:
    """The sum of squares."""
    return difference.detach().square().sum().item()


def main() -> None:
    """Reconstruct, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Where points lie, from 32 projections of them.")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation; a point weighs 1")
    parser.add_argument("--seed", type=int, default=0, help="other points")
    parser.add_argument("--out", help="PNG of guess | result | truth, from above")
    given = parser.parse_args()
    found = reconstruct(given.seed, noise=given.noise)
    print(f"squared differences {found.losses[0]:.1f} -> {found.losses[1]:.2e}")  # noqa: T201
    print(f"points off by {found.guess_voxels:.2f} -> {found.voxels:.1e} voxels (root mean square)")  # noqa: T201
    if given.out:
        medreg.write_image(found.picture, given.out)


if __name__ == "__main__":
    main()
