"""Where the mass of points goes that lie near the edge of a grid, and beyond it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medreg.vision.rasterisation import Edges, Perspective, raster, raster_pullback

SIZES = {"2D": (6, 5), "3D": (5, 4, 6), "3D to 2D": (7, 5), "3D to a line": (9,), "4D to 3D": (3, 4, 5)}


def scattered(case: str) -> list[Tensor]:
    """The six arguments: three poses of 40 points, most of them far outside, with two channels of weights."""
    random = torch.Generator().manual_seed(len(case))
    normal = lambda *shape: torch.randn(shape, generator=random, dtype=torch.float64)  # noqa: E731
    m, n = len(SIZES[case]), int(case[0])
    weights, backgrounds = 1 + normal(40, 2).abs(), normal(3, 2)
    return [1.5 * normal(40, n), normal(3, m, n), normal(3, m), backgrounds, 1 + normal(3).abs(), weights]


def kept(at: Tensor, size: tuple[int, ...], edges: Edges) -> Tensor:
    """(B, N): the share of its weight that a point at (B, N, m) leaves on the grid, from the table of `Edges`."""
    if edges is Edges.CLAMP:
        return torch.ones_like(at[..., 0])
    voxels = torch.tensor(size, dtype=at.dtype)
    beyond = at.abs() * voxels / 2 - (voxels / 2 - 0.5)  # voxels from the outermost centres outwards
    share = (1 - beyond.clamp(0, 1)).prod(-1)
    return share * (at.abs() <= 1).all(-1) if edges is Edges.DROP else share


@pytest.mark.parametrize("edges", Edges)
@pytest.mark.parametrize("case", SIZES)
def test_the_sum_of_an_image_is_its_background_and_the_shares_that_points_keep(case: str, edges: Edges) -> None:
    size = SIZES[case]
    points, rotation, translation, background, out_weight, weight = given = scattered(case)
    image = raster(size, *given, edges=edges)
    shares = kept(points @ rotation.transpose(1, 2) + translation[:, None], size, edges)
    voxels = image[0, 0].numel()
    wanted = background * voxels + out_weight[:, None] * (shares @ weight)
    scale = float((out_weight[:, None] * weight.sum(0)).max())
    assert (image.flatten(2).sum(2) - wanted).abs().max() < 1e-12 * scale
    assert edges is Edges.CLAMP or bool((shares < 1).any())  # something was lost


@pytest.mark.parametrize("case", SIZES)
def test_clamped_mass_cannot_be_moved_away(case: str) -> None:
    points, _, _, _, out_weight, weight = given = scattered(case)
    ones = torch.ones(3, 2, *SIZES[case][::-1], dtype=torch.float64)  # slopes of the sum over all images
    slopes = raster_pullback(ones, *given, edges=Edges.CLAMP)
    for slope in (slopes.points, slopes.rotation, slopes.translation):
        assert slope is not None
        assert slope.abs().max() < 1e-12 * float(weight.sum())
    assert slopes.point_weight is not None
    assert slopes.out_weight is not None
    torch.testing.assert_close(slopes.point_weight, out_weight.sum().expand(40, 2), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(slopes.out_weight, weight.sum().expand(3), atol=1e-12, rtol=1e-12)


def test_a_perspective_camera_clamps_what_it_sees_and_nothing_behind_it() -> None:
    points = torch.tensor([[0.0, 0.0, 2.0], [50.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=torch.float64)
    camera = Perspective(focal=2.0, near=0.5)
    image = raster((5, 5), points, torch.eye(3).double(), torch.zeros(3).double(), edges=Edges.CLAMP, camera=camera)
    assert float(image.sum()) == pytest.approx(2, abs=1e-12)


def mass(points: Tensor, edges: Edges) -> float:
    return float(raster((5, 5), points, torch.eye(2, dtype=torch.float64), points.new_zeros(2), edges=edges).sum())


@pytest.mark.parametrize("edges", Edges)
def test_points_half_a_voxel_from_the_edge_keep_all_their_mass(edges: Edges) -> None:
    points = 1.6 * torch.rand(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.8
    assert mass(points, edges) == pytest.approx(100, abs=1e-10)


@pytest.mark.parametrize(
    ("x", "y", "cut", "drop"),
    [(0.9, 0, 0.75, 0.75), (1.0, 0, 0.5, 0.5), (1, 1, 0.25, 0.25), (1.1, 0, 0.25, 0), (1.2, 0, 0, 0), (-9, 0, 0, 0)],
)
def test_near_the_edge_mass_is_cut_or_dropped_or_kept(x: float, y: float, cut: float, drop: float) -> None:
    point = torch.tensor([[x, y]], dtype=torch.float64)
    assert mass(point, Edges.CUT) == pytest.approx(cut, abs=1e-12)
    assert mass(point, Edges.DROP) == pytest.approx(drop, abs=1e-12)
    assert mass(point, Edges.CLAMP) == pytest.approx(1, abs=1e-12)
    assert mass(-point, Edges.CUT) == pytest.approx(cut, abs=1e-12)
    assert mass(-point, Edges.DROP) == pytest.approx(drop, abs=1e-12)


def test_a_point_far_outside_feels_no_pull_and_one_on_the_rim_does() -> None:
    points = torch.tensor([[5.0, 0.0], [-5.0, 0.0], [1.1, 0.0]], dtype=torch.float64)
    d_out = torch.ones(5, 5, dtype=torch.float64)
    for edges, wanted in ((Edges.CUT, -2.5), (Edges.DROP, 0.0), (Edges.CLAMP, 0.0)):  # voxels for a unit
        slope = raster_pullback(d_out, points, torch.eye(2), torch.zeros(2), edges=edges).points
        assert slope is not None
        assert slope[:, 0].tolist() == [0, 0, wanted]
