"""Warping: every shortcut gives what points sampled one by one give, and keeps out of the way where it must."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.errors import ImageError, TransformError
from medreg.geometry.affine import rotation_exp
from medreg.sample import CubicBSpline, Edge, Fill, Linear, Nearest, WindowedSinc, planes, tiles, warp
from medreg.sample.warping import by_points

KERNELS = [Nearest(), Linear(), CubicBSpline(), WindowedSinc(2)]
SHAPE = {2: (19, 23), 3: (13, 19, 23)}


def about_middle(linear: np.ndarray, size: tuple[int, ...], shape: tuple[int, ...]) -> torch.Tensor:
    d = len(size)
    matrix = np.eye(d + 1)
    matrix[:d, :d] = linear
    matrix[:d, d] = (np.array(size[::-1]) - 1) / 2 - linear @ ((np.array(shape[::-1]) - 1) / 2) + 0.0123
    return torch.tensor(matrix)


def maps(d: int) -> dict[str, np.ndarray]:
    """Linear parts that each go another way."""
    swap = np.eye(d)[[1, 0, *range(2, d)]]
    turns = {f"plane {k}": rotation_exp(0.4 * np.eye(3)[k]) for k in range(3)} if d == 3 else {}
    mixed = rotation_exp(np.array([0.2, 0.3, -0.4]))[:d, :d] if d == 3 else rotation_exp(np.array([0, 0, 0.4]))[:2, :2]
    return {
        "axes": np.diag([0.7, -1.3, 0.9][:d]),
        "swapped axes": swap @ np.diag([0.7, 1.3, -1.9][:d]),
        "one axis": np.diag([1.0, 0.61, 1.0][:d]),
        **turns,
        **(
            {"swapped plane": swap @ turns["plane 0"], "scaled plane": turns["plane 2"] @ np.diag([1, 1, 0.7])}
            if turns
            else {}
        ),
        "tiles": mixed,
        "steep tiles": mixed * 3.1,
    }


@pytest.mark.parametrize("interpolation", KERNELS, ids=str)
@pytest.mark.parametrize(
    "outside", [Fill(-3.0), Edge(), Fill(torch.tensor([[7.0], [9.0]]))], ids=["fill", "edge", "each"]
)
def test_every_way_gives_what_single_points_give(dimension, interpolation, outside):
    volume = torch.from_numpy(np.random.default_rng(1).standard_normal((2, *SHAPE[dimension])))
    shape = (17, 22, 21)[-dimension:]
    for name, linear in maps(dimension).items():
        matrix = about_middle(linear, SHAPE[dimension], shape)
        ours, points = (f(volume, matrix, shape, interpolation, outside) for f in (warp, by_points))
        assert (ours - points).abs().max() < 1e-12, name
        single = warp(volume.float(), matrix, shape, interpolation, outside)
        assert single.dtype == torch.float32
        assert (single - points).abs().max() < 1e-5, name


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float64, torch.bool])
def test_types_are_those_of_single_points(dimension, dtype):
    volume = (torch.rand(1, *SHAPE[dimension]) * 2).to(dtype)
    for linear in maps(dimension).values():
        matrix = about_middle(linear, SHAPE[dimension], SHAPE[dimension])
        for interpolation in (Nearest(), Linear()):
            ours, points = (f(volume, matrix, SHAPE[dimension], interpolation, Fill(1)) for f in (warp, by_points))
            assert ours.dtype == points.dtype
            assert (ours.double() - points.double()).abs().max() < 1e-6


def test_thin_images_and_single_voxels_go_the_same_ways():
    for size in ((1, 9, 8), (9, 1, 8), (9, 8, 1), (1, 1, 1), (2, 2, 2)):
        volume = torch.rand(1, *size, dtype=torch.float64)
        for linear in maps(3).values():
            matrix = about_middle(linear, size, (5, 6, 7))
            for interpolation in KERNELS:
                ours, points = (f(volume, matrix, (5, 6, 7), interpolation, Fill(2.0)) for f in (warp, by_points))
                assert (ours - points).abs().max() < 1e-12


def test_what_is_not_a_number_spoils_its_neighbours_alone(dimension):
    volume = torch.rand(1, *SHAPE[dimension])
    volume[(0, *[5] * dimension)] = torch.nan
    for linear in maps(dimension).values():
        matrix = about_middle(linear, SHAPE[dimension], SHAPE[dimension])
        ours, points = (f(volume, matrix, SHAPE[dimension], Linear(), Fill(0.0)).isnan() for f in (warp, by_points))
        assert torch.equal(ours, points)
        assert ours.sum() < 200


def test_whole_steps_copy_voxels_with_every_kernel(dimension):
    volume = torch.rand(1, *SHAPE[dimension])
    matrix = torch.eye(dimension + 1, dtype=torch.float64)
    matrix[0, 0], matrix[0, -1] = -1.0, volume.shape[-1] + 1.0 + 1e-13
    for interpolation in KERNELS:
        ours = warp(volume, matrix, SHAPE[dimension], interpolation, Fill(4.0))
        assert torch.equal(ours[..., 2:], volume.flip(-1)[..., :-2])
        assert (ours[..., :2] == 4).all()


def test_voxels_get_their_gradient_on_every_way(dimension):
    size = (3, 4, 3)[-dimension:]
    volume = torch.rand(1, *size, dtype=torch.float64, requires_grad=True)
    for linear in maps(dimension).values():
        matrix = about_middle(linear, size, (4, 3, 4)[-dimension:])
        for interpolation in KERNELS:
            assert torch.autograd.gradcheck(
                lambda v, m=matrix, k=interpolation: warp(v, m, (4, 3, 4)[-dimension:], k), (volume,), fast_mode=True
            )


def test_tiles_of_any_size_change_no_bit(dimension, monkeypatch):
    volume = torch.rand(1, *SHAPE[dimension])
    matrix = about_middle(maps(dimension)["tiles"], SHAPE[dimension], SHAPE[dimension])
    whole = [warp(volume, matrix, SHAPE[dimension], k) for k in (Nearest(), Linear())]
    monkeypatch.setattr(tiles, "SIDES", (5, 3, 2))
    monkeypatch.setattr(tiles, "SIDES_2D", (4, 7))
    for wanted, kernel in zip(whole, (Nearest(), Linear()), strict=True):
        assert torch.equal(warp(volume, matrix, SHAPE[dimension], kernel), wanted)
        assert torch.equal(by_points(volume, matrix, SHAPE[dimension], kernel, Fill(0.0)), wanted)


@pytest.mark.parametrize("alone", range(3))
def test_planes_in_steps_of_any_size_change_no_bit(alone, monkeypatch):
    volume = torch.rand(2, *SHAPE[3])
    matrix = about_middle(maps(3)[f"plane {alone}"], SHAPE[3], (17, 22, 21))
    whole = [warp(volume, matrix, (17, 22, 21), k, Fill(2.0)) for k in (Nearest(), Linear())]
    for points, values, parts in ((1, 1, 1), (50, 100, 3), (10_000, 300, 100)):
        monkeypatch.setattr(planes, "POINTS", points)
        monkeypatch.setattr(planes, "VALUES", values)
        monkeypatch.setattr(planes, "PARTS", parts)
        for wanted, kernel in zip(whole, (Nearest(), Linear()), strict=True):
            assert torch.equal(warp(volume, matrix, (17, 22, 21), kernel, Fill(2.0)), wanted)
            assert (by_points(volume, matrix, (17, 22, 21), kernel, Fill(2.0)) - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("way", ["plane 0", "plane 1", "plane 2", "tiles"])
def test_an_infinite_fill_value_stays_outside(way):
    volume = torch.rand(1, *SHAPE[3])
    matrix = about_middle(maps(3)[way], SHAPE[3], (17, 22, 21))
    zero, endless = (warp(volume + 1, matrix, (17, 22, 21), Linear(), Fill(value)) for value in (0.0, torch.inf))
    assert torch.equal(endless, torch.where(zero == 0, torch.inf, zero))


def test_a_turn_that_leaves_nothing_inside_is_all_fill():
    for k in range(3):
        matrix = about_middle(maps(3)[f"plane {k}"], SHAPE[3], SHAPE[3])
        matrix[(k + 1) % 3, 3] += 100.0
        for interpolation in KERNELS:
            assert (warp(torch.rand(1, *SHAPE[3]), matrix, SHAPE[3], interpolation, Fill(8.0)) == 8).all()


def test_far_and_degenerate_maps_are_outside_or_constant():
    volume = torch.rand(1, 5, 6, 7)
    far = torch.eye(4, dtype=torch.float64)
    far[:3, 3] = 1e12
    far[0, 1] = 0.3
    assert (warp(volume, far, (4, 4, 4), outside=Fill(8.0)) == 8).all()
    flat = torch.diag(torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64))
    flat[:3, 3] = 2.0
    assert torch.equal(warp(volume, flat, (2, 2, 2)), volume[:, 2, 2, 2].expand(1, 2, 2, 2))


def test_shapes_and_values_that_do_not_fit_are_told():
    with pytest.raises(TransformError, match="4x4 matrix"):
        warp(torch.zeros(1, 2, 2, 2), torch.eye(3), (2, 2, 2))
    with pytest.raises(TransformError, match="batch of 2 matrices"):
        warp(torch.zeros(3, 1, 2, 2), torch.eye(3).expand(2, 3, 3), (2, 2))
    for linear in (torch.eye(3), torch.tensor([[0.9, 0.1, 0.0], [-0.1, 0.9, 0.0], [0.0, 0.0, 1.0]])):
        with pytest.raises(ImageError, match="cannot hold the fill value"):
            warp(torch.zeros(1, 2, 2, dtype=torch.uint8), linear, (2, 2), Nearest(), Fill(-1.0))
