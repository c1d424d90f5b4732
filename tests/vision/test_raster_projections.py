"""Rotations to learn, and volumes projected: sums along rays and voxels as points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medreg.errors import ImageError, TransformError, UsageError
from medreg.geometry.affine import rotation_exp
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.vision.rasterisation import (
    Perspective,
    cloud,
    degrees_between,
    from_axis_angle,
    from_quaternion,
    half_width_mm,
    raster,
    ray_sums,
)

SIZE = (24, 20)
SIGMA = 9.0
OBLIQUE = rotation_exp(np.array([0.3, -0.2, 0.5]))
FLIPPED = np.diag([-1.0, 1.0, -1.0])


def ball(direction: np.ndarray) -> MedImage:
    """exp(-r^2 / 2 sigma^2) about a point off the centre, on an anisotropic grid that reaches 4 sigma."""
    grid = Grid((41, 52, 34), (2.0, 1.5, 2.5), (10.0, -7.0, 3.0), tuple(map(tuple, direction.tolist())))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij")[::-1], -1).reshape(-1, 3)
    away = grid.to_world(index) - grid.centre - [4.0, -3.0, 2.0]
    values = np.exp(-np.square(away).sum(1) / (2 * SIGMA**2)).reshape(1, *grid.shape)
    return MedImage.on(grid, torch.from_numpy(values))


def along_rays(rotation: Tensor, translation: Tensor, half: float, camera: Perspective | None) -> Tensor:
    """The closed form: a ray at distance d from the ball's centre holds sqrt(2 pi) sigma exp(-d^2 / 2 sigma^2)."""
    centre = rotation @ (torch.tensor([4.0, -3.0, 2.0], dtype=torch.float64) / half) + translation
    x, y = ((torch.arange(n, dtype=torch.float64) + 0.5) * 2 / n - 1 for n in SIZE)
    plane = torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones(SIZE[::-1], dtype=torch.float64)], -1)
    if camera is None:
        distance = (plane[..., :2] - centre[:2]).norm(dim=-1)
    else:
        ray = plane / torch.tensor([camera.focal, camera.focal, 1.0])
        distance = torch.linalg.cross(ray, centre.expand_as(ray)).norm(dim=-1) / ray.norm(dim=-1)
    return math.sqrt(2 * math.pi) * SIGMA * torch.exp(-((distance * half) ** 2) / (2 * SIGMA**2))


ROTATION = from_axis_angle(torch.tensor([0.4, -0.7, 0.2], dtype=torch.float64))


@pytest.mark.parametrize("direction", [np.eye(3), FLIPPED, OBLIQUE], ids=["plain", "flipped", "oblique"])
@pytest.mark.parametrize("camera", [None, Perspective(focal=4.0)], ids=["parallel", "perspective"])
def test_sums_along_rays_are_the_integrals(direction: np.ndarray, camera: Perspective | None) -> None:
    image = ball(direction)
    translation = torch.tensor([0.1, -0.05, 4.0], dtype=torch.float64)
    how = {} if camera is None else {"camera": camera}
    got = ray_sums(image, SIZE, ROTATION, translation, **how)[0]
    wanted = along_rays(ROTATION, translation, half_width_mm(image.grid), camera)
    # linear interpolation between voxels of up to 2.5 mm loses up to h^2 / 12 of the curvature: 0.6 %
    torch.testing.assert_close(got, wanted, atol=0.01 * float(wanted.max()), rtol=0)


def test_voxels_as_points_hold_the_same_integrals_and_all_the_mass() -> None:
    image = ball(OBLIQUE)
    half = half_width_mm(image.grid)
    voxels = cloud(image)
    area = 4 * half**2 / (SIZE[0] * SIZE[1])
    shift = torch.tensor([0.1, -0.05], dtype=torch.float64)
    got = raster(SIZE, voxels.points, ROTATION[:2], shift, point_weight=voxels.weights / area)
    wanted = along_rays(ROTATION, torch.tensor([0.1, -0.05, 0.0]).double(), half, None)
    assert float(got.sum()) * area == pytest.approx(float(image.data.sum()) * image.grid.voxel_volume, rel=1e-9)
    # pixels of 4.7 mm average over tents: h^2 / 4 of the curvature 1 / sigma^2, 6 % at the top, and there is a pattern
    torch.testing.assert_close(got, wanted, atol=0.1 * float(wanted.max()), rtol=0)


def test_a_batch_of_poses_is_the_projections_one_by_one() -> None:
    image = ball(np.eye(3))
    turns = torch.stack([ROTATION, torch.eye(3, dtype=torch.float64)])
    both = ray_sums(image, SIZE, turns, torch.zeros(3, dtype=torch.float64))
    assert both.shape == (2, 1, *SIZE[::-1])
    for one, turn in zip(both, turns, strict=True):
        torch.testing.assert_close(one, ray_sums(image, SIZE, turn, torch.zeros(3, dtype=torch.float64)))


@pytest.mark.parametrize("camera", [None, Perspective(focal=3.0)])
def test_gradients_to_volume_and_pose_equal_finite_differences(camera: Perspective | None) -> None:
    random = torch.Generator().manual_seed(0)
    grid = Grid((4, 5, 3), (1.0, 1.2, 1.5), (0.0, 0.0, 0.0), tuple(map(tuple, OBLIQUE.tolist())))
    data = torch.rand(1, *grid.shape, generator=random, dtype=torch.float64).requires_grad_()
    step = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    move = torch.tensor([0.02, 0.01, 3.0], dtype=torch.float64, requires_grad=True)
    how = {} if camera is None else {"camera": camera}

    def projected(values: Tensor, step: Tensor, move: Tensor) -> Tensor:
        # over the middle alone: at the volume's faces the values jump to 0, which no gradient sees
        rotation = from_axis_angle(step) @ ROTATION
        return ray_sums(MedImage.on(grid, values), (4, 4), rotation, move, width_mm=12.0, step_mm=0.9, **how)

    assert torch.autograd.gradcheck(lambda v: projected(v, step.detach(), move.detach()), [data])
    edged = torch.nn.functional.pad(data.detach()[:, :1, 1:3, 1:3], (1, 1, 2, 2, 1, 1))[:, :, :5]
    assert edged.shape == data.shape  # zero on all faces: so there is no jump
    assert torch.autograd.gradcheck(lambda s, m: projected(edged, s, m), [step, move], atol=1e-4)


def test_a_cloud_keeps_the_graph_of_its_image_and_its_channels() -> None:
    grid = Grid.regular((3, 2, 2), (1.0, 2.0, 3.0))
    data = torch.arange(24.0).view(2, 2, 2, 3).requires_grad_()
    got = cloud(MedImage.on(grid, data), above=9.5)
    assert got.weights.tolist() == [[60.0, 132.0], [66.0, 138.0]]  # mm^3
    got.weights.sum().backward()
    assert data.grad is not None
    assert float(data.grad.sum()) == 4 * 6
    half = math.sqrt(2**2 + 2**2 + 3**2) / 2
    torch.testing.assert_close(got.points * half, torch.tensor([[0.0, 1.0, 1.5], [1.0, 1.0, 1.5]]))


# ------------------------------------------------------------------------------------------------------------ rotations


def test_axis_and_angle_are_rodrigues_and_quaternions_agree() -> None:
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(5, 3, generator=random, dtype=torch.float64)
    got = from_axis_angle(vectors)
    for matrix, vector in zip(got, vectors, strict=True):
        np.testing.assert_allclose(matrix.numpy(), rotation_exp(vector.numpy()), atol=1e-14)
    angle = vectors.norm(dim=1, keepdim=True)
    quaternions = torch.cat([(angle / 2).cos(), vectors / angle * (angle / 2).sin()], 1)
    torch.testing.assert_close(from_quaternion(3 * quaternions), got, atol=1e-14, rtol=0)
    torch.testing.assert_close(from_quaternion(-quaternions), got, atol=1e-14, rtol=0)


def test_their_gradients_are_right_at_zero_too() -> None:
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(from_axis_angle, [zero])
    assert torch.autograd.gradcheck(
        from_quaternion, [torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).requires_grad_()]
    )


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 10.0, 90.0, 180.0])
def test_the_angle_between_rotations_is_that_of_the_turn_that_parts_them(degrees: float) -> None:
    axis = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    moved = from_axis_angle(math.radians(degrees) * axis) @ ROTATION
    assert float(degrees_between(moved, ROTATION)) == pytest.approx(degrees, rel=1e-6, abs=1e-12)


def test_the_angle_between_rotations_has_the_slopes_of_differences() -> None:
    turns = torch.tensor([[0.3, -0.2, 0.1], [1.0, 1.5, -0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: degrees_between(from_axis_angle(v), ROTATION), [turns])


def test_the_angle_between_equal_rotations_has_a_gradient_of_0() -> None:
    turn = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    degrees_between(from_axis_angle(turn), torch.eye(3, dtype=torch.float64)).backward()
    assert turn.grad is not None
    assert turn.grad.tolist() == [0, 0, 0]


def test_what_does_not_fit_is_told() -> None:
    image = ball(np.eye(3))
    three = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"rotation \(3, 3\)"):
        ray_sums(image, SIZE, ROTATION[:2], three)
    with pytest.raises(UsageError, match="from 3D to 2D"):
        ray_sums(image, (4, 4, 4), ROTATION, three)
    with pytest.raises(UsageError, match="behind the camera's near depth"):
        ray_sums(image, SIZE, ROTATION, three, camera=Perspective())
    with pytest.raises(ImageError, match="no voxel is above 2"):
        cloud(image, above=2.0)
    with pytest.raises(TransformError, match="3 coordinates"):
        from_axis_angle(torch.zeros(2))
    with pytest.raises(TransformError, match="4 numbers"):
        from_quaternion(torch.zeros(3))
    with pytest.raises(TransformError, match="turns nothing"):
        from_quaternion(torch.zeros(4))
    with pytest.raises(TransformError, match=r"floating-point tensor \(..., 3\), got list"):
        from_axis_angle([0.0, 0.0, 1.0])
    with pytest.raises(TransformError, match="a matrix of 3 x 3"):
        degrees_between(ROTATION, torch.eye(2))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"image": torch.zeros(1, 4, 4, 4)}, "image: takes MedImage"),
        ({"size": (-4, 4)}, r"1 pixel or more .* got 3D and a size of \(-4, 4\)"),
        ({"size": 4}, "size: takes a list of whole numbers, got int 4"),
        ({"rotation": np.eye(3)}, "rotation: takes a floating-point tensor, got an array"),
        ({"rotation": torch.eye(3) * torch.nan}, "rotation: takes finite numbers"),
        ({"rotation": torch.zeros(3, 3)}, "rotation: flattens the volume"),
        ({"rotation": torch.eye(3).expand(3, 3, 3), "translation": torch.zeros(2, 3)}, "the batches differ: 3 of rot"),
        ({"step_mm": 0.0}, "step_mm: takes millimetres above 0"),
        ({"width_mm": -1.0}, "width_mm: takes millimetres above 0"),
        ({"camera": Perspective(centre=(0.0,))}, "the camera's centre has 1 coordinates, a pixel 2"),
        ({"camera": "parallel"}, r"camera: takes Orthographic\(...\) or Perspective"),
    ],
)
def test_projections_of_what_does_not_fit_are_refused(settings: dict[str, Any], told: str) -> None:
    fitting = {"image": ball(np.eye(3)), "size": SIZE, "rotation": torch.eye(3), "translation": torch.zeros(3)}
    with pytest.raises(UsageError, match=told):
        ray_sums(**{**fitting, **settings})


def test_a_cloud_needs_an_image_and_a_width() -> None:
    with pytest.raises(UsageError, match="image: takes MedImage"):
        cloud(torch.zeros(1, 4, 4))
    with pytest.raises(UsageError, match="width_mm: takes millimetres above 0"):
        cloud(ball(np.eye(3)), width_mm=0.0)
