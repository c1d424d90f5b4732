"""Finds a volume in space by one picture of it taken through it, by gradient descent through medreg's projector.

    python docs/examples/project_volume.py --out picture.png

A head-like volume of ellipsoids, 2 x 2 x 2.5 mm, is projected from a point as an X-ray tube does. The picture is then
all that is known: six numbers of the pose, 6 degrees and 8 mm off at the start, are moved until the projection of the
volume looks like it. Blurred first, sharper later. The example also makes the same projection from the volume's voxels
as points, and tells how far the two differ.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from showing import side_by_side
from torch import Tensor

import medreg
from medreg.sample import smooth
from medreg.vision.rasterisation import (
    Perspective,
    cloud,
    degrees_between,
    from_axis_angle,
    half_width_mm,
    raster,
    ray_sums,
)

SIZE = (64, 64)
CAMERA = Perspective(focal=4.0)
AWAY = 4.0
"""Half widths from the eye to the volume's centre: there, the picture is one half width to each side."""

LEVELS = ((3.0, 25), (0.7, 35))
"""Blur in pixels, and steps of L-BFGS."""

ELLIPSOIDS = (
    ((0, 0, 0), (60, 75, 68), 1.0),
    ((0, 3, 2), (54, 68, 61), -0.6),
    ((20, -38, -12), (12, 10, 9), -0.35),
    ((-20, -38, -12), (12, 10, 9), -0.35),
    ((-15, 20, 25), (10, 16, 12), 0.5),
    ((25, 30, -20), (8, 8, 14), 0.8),
)
"""Centre and half axes in mm, value: bone, brain, eyes, and two things that make the sides differ."""


@dataclass(frozen=True)
class Found:
    """What became of the pose.

    Attributes:
        start_degrees: how far the rotation was off.
        degrees: and is.
        start_mm: how far the corners of the head's box were off, root mean square.
        millimetres: and are.
        points_apart: largest difference of the projection of voxels as points from the sums along rays, both blurred by
            a pixel, as a share of the largest value.
        picture: what differs before | what differs after | the picture that was looked for.
    """

    start_degrees: float
    degrees: float
    start_mm: float
    millimetres: float
    points_apart: float
    picture: medreg.MedImage


def find(seed: int = 0) -> Found:
    """From a start that `seed` draws."""
    volume = head()
    random = torch.Generator().manual_seed(seed)
    half = half_width_mm(volume.grid)
    truth = from_axis_angle(0.5 * torch.randn(3, generator=random, dtype=torch.float64))
    place = torch.tensor([0.05, -0.04, AWAY], dtype=torch.float64)
    turn, shift = (torch.randn(3, generator=random, dtype=torch.float64) for _ in range(2))
    start = from_axis_angle(math.radians(6) * turn / turn.norm()) @ truth
    at = place + 8 / half * shift / shift.norm()
    goal = ray_sums(volume, SIZE, truth, place, camera=CAMERA)
    step = torch.zeros(6, dtype=torch.float64, requires_grad=True)

    def pose() -> tuple[Tensor, Tensor]:
        return from_axis_angle(step[:3]) @ start, at + step[3:]

    def seen() -> Tensor:
        return ray_sums(volume, SIZE, *pose(), camera=CAMERA, step_mm=2.0)

    def off_by(blur: float) -> Tensor:
        return (smooth(seen(), blur, (1.0, 1.0)) - smooth(goal, blur, (1.0, 1.0))).square().mean()

    before = seen().detach()
    start_mm = corners_apart(pose(), (truth, place), half)
    for blur, steps in LEVELS:
        descend(step, partial(off_by, blur), steps)
    rotation, translation = (t.detach() for t in pose())
    return Found(
        float(degrees_between(start, truth)),
        float(degrees_between(rotation, truth)),
        start_mm,
        corners_apart((rotation, translation), (truth, place), half),
        apart(goal, as_points(volume, truth, place)),
        side_by_side(*shown(before - goal, seen().detach() - goal, goal), times=4),
    )


def descend(parameters: Tensor, off_by: Callable[[], Tensor], steps: int) -> None:
    """Steps of L-BFGS to where projections differ least."""
    rule = torch.optim.LBFGS([parameters], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        rule.zero_grad()
        value = off_by()
        value.backward()
        return value

    rule.step(loss)


def head() -> medreg.MedImage:
    """64 x 80 x 60 voxels, values about 0 to 1, oblique."""
    turned = np.array([[0.9987503, -0.0499792, 0.0], [0.0499792, 0.9987503, 0.0], [0.0, 0.0, 1.0]])
    grid = medreg.Grid((64, 80, 60), (2.0, 2.0, 2.5), (0.0, 0.0, 0.0), tuple(map(tuple, turned.tolist())))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij")[::-1], -1).reshape(-1, 3)
    world = torch.from_numpy(grid.to_world(index) - grid.centre)
    values = torch.zeros(len(world), dtype=torch.float64)
    for centre, axes, value in ELLIPSOIDS:
        radius = ((world - torch.tensor(centre)) / torch.tensor(axes)).norm(dim=1)
        values += value * torch.sigmoid((1 - radius) * min(axes) / 1.5)  # the edge is a few millimetres wide
    return medreg.MedImage.on(grid, values.view(1, *grid.shape).float())


def as_points(volume: medreg.MedImage, rotation: Tensor, translation: Tensor) -> Tensor:
    """(1, y, x): the same projection, from voxels as points that all are as deep as the middle."""
    voxels = cloud(volume, above=0.01)
    points, weights = voxels.points.double(), voxels.weights.double()
    depth = points @ rotation[2] + translation[2]
    pixel_mm2 = (2 * half_width_mm(volume.grid) / SIZE[0]) ** 2
    # a pixel sees a wider part of what is deeper: its rays spread by depth, and their samples' shares with the square
    weights = weights / pixel_mm2 * (AWAY / depth) ** 2
    image = raster(SIZE, points, rotation, translation, point_weight=weights, camera=CAMERA)
    return image[None]


def apart(rays: Tensor, points: Tensor) -> float:
    """Largest difference over the largest value; both smoothed, since voxels as points leave a pattern."""
    rays, points = (smooth(image.double(), 1.0, (1.0, 1.0)) for image in (rays, points))
    return float((rays - points).abs().max() / rays.max())


def corners_apart(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], half_mm: float) -> float:
    """Root mean square distance in mm of where two poses put the corners of a box of 100 mm."""
    corners = torch.cartesian_prod(*[torch.tensor([-50.0, 50.0], dtype=torch.float64)] * 3) / half_mm
    (r, t), (s, u) = (tuple(x.detach() for x in pose) for pose in (one, other))
    return float(((corners @ (r - s).T + t - u) * half_mm).square().sum(1).mean().sqrt())


def shown(before: Tensor, after: Tensor, goal: Tensor) -> list[Tensor]:
    """Differences as grey where there are none and black or white from a quarter of the largest value, and the goal."""
    most = goal.max()
    return [before / most * 2 + 0.5, after / most * 2 + 0.5, goal / most]


def main() -> None:
    """Descend, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Recover the pose of a volume from one projection.")
    parser.add_argument("--seed", type=int, default=0, help="another pose")
    parser.add_argument("--out", help="PNG of what differs before | after | the projection")
    given = parser.parse_args()
    found = find(given.seed)
    print(f"rotation off by {found.start_degrees:.2f} -> {found.degrees:.3f} degrees")  # noqa: T201
    print(f"corners off by {found.start_mm:.1f} -> {found.millimetres:.2f} mm")  # noqa: T201
    print(f"voxels as points differ from rays by {100 * found.points_apart:.1f} %")  # noqa: T201
    if given.out:
        medreg.write_image(found.picture, given.out)


if __name__ == "__main__":
    main()
