"""Self-similarity context: a voxel-by-voxel rendering of its formula, SciPy's shifts, turned grids, gradcheck."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates
from scipy.spatial.transform import Rotation

from medreg.errors import ImageError
from medreg.metric.self_similarity import right_angled_pairs, self_similarity, shifted


def blobs(size: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """(1, ...) a smooth random volume, float64."""
    noise = np.random.default_rng(seed).standard_normal(size)
    return torch.from_numpy(100 * gaussian_filter(noise, 1.0))[None]


OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * 1.7
STEPS = pytest.mark.parametrize(
    ("size", "steps"),
    [
        ((8, 9, 10), np.eye(3)),
        ((8, 9, 10), OBLIQUE / [1.0, 0.8, 2.5]),
        ((11, 12), 2 * np.eye(2)),
        ((11, 12), np.array([[1.2, 0.9], [-1.8, 2.4]])),
    ],
    ids=["3d", "3d oblique", "2d", "2d oblique"],
)


def by_scipy(volume: np.ndarray, steps: np.ndarray, patch: float) -> np.ndarray:
    """The descriptor (12, z, y, x) or (4, y, x) from SciPy's interpolation and Gaussian."""
    places = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij")).astype(float)

    def beside(way: np.ndarray) -> np.ndarray:
        moved = places + way[::-1].reshape(-1, *(1,) * volume.ndim)
        return map_coordinates(volume, moved, order=1, mode="nearest")

    around = {(k, sign): beside(sign * row) for k, row in enumerate(steps) for sign in (1, -1)}
    neighbours = list(around)
    distances = []
    for i, a in enumerate(neighbours):
        for b in neighbours[i + 1 :]:
            if a[0] != b[0]:
                square = (around[a] - around[b]) ** 2
                for axis in range(volume.ndim if patch else 0):
                    sigma = patch * np.linalg.norm(steps[:, volume.ndim - 1 - axis])
                    square = gaussian_filter1d(square, sigma, axis, mode="nearest")
                distances.append(square)
    d = np.stack(distances)
    v = d.mean(0).clip(1e-3 * d.mean(), 1e3 * d.mean())
    return np.exp(-(d - d.min(0)) / v)


@pytest.mark.parametrize(("dimension", "count"), [(2, 4), (3, 12)])
def test_pairs_are_all_neighbours_at_right_angles(dimension, count):
    ways = [sign * axis for axis in np.eye(dimension) for sign in (1, -1)]
    pairs = right_angled_pairs(dimension)
    assert len(set(pairs)) == len(pairs) == count
    assert all(ways[a] @ ways[b] == 0 for a, b in pairs)


@STEPS
@pytest.mark.parametrize("patch", [0.5, 0.0])
def test_the_descriptor_is_the_one_made_with_scipy(size, steps, patch):
    volume = blobs(size)
    ours = self_similarity(volume, steps, patch)
    assert ours.shape == (12 if len(size) == 3 else 4, *size)
    np.testing.assert_allclose(ours.numpy(), by_scipy(volume[0].numpy(), steps, patch), atol=1e-12)


@pytest.mark.parametrize("offset", [(1, 0, 0), (0, -2, 0), (0.25, -1.5, 3.75), (40, -40, 0.5)])
def test_a_shift_is_scipys_linear_interpolation_with_repeated_edges(offset):
    volume = blobs((6, 7, 8))[0]
    places = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij")) + np.reshape(
        offset[::-1], (3, 1, 1, 1)
    )
    expected = map_coordinates(volume.numpy(), places, order=1, mode="nearest")
    np.testing.assert_allclose(shifted(volume, np.array(offset, float)).numpy(), expected, atol=1e-12)


@STEPS
def test_values_lie_between_0_and_1_and_the_largest_of_a_voxel_is_1(size, steps):
    descriptor = self_similarity(blobs(size).float(), steps)
    assert float(descriptor.min()) > 0
    assert (descriptor.amax(0) == 1).all()
    assert float(descriptor.min()) < 0.5


@STEPS
def test_gain_and_offset_of_the_image_do_not_matter(size, steps):
    volume = blobs(size)
    torch.testing.assert_close(self_similarity(500 - 3 * volume, steps), self_similarity(volume, steps))


def test_a_turned_grid_with_the_same_steps_in_its_own_voxels_gives_the_same_descriptor():
    volume = blobs((8, 9, 10))
    turned = volume.permute(0, 2, 3, 1).flip(
        1
    )  # the new x is the old z, the new y the old x, the new z minus the old y
    rotation = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]])
    steps = OBLIQUE / [1.0, 0.8, 2.5]
    expected = self_similarity(volume, steps).permute(0, 2, 3, 1).flip(1)
    torch.testing.assert_close(self_similarity(turned, steps @ rotation.T), expected)
    assert not torch.allclose(self_similarity(turned, steps), expected, atol=0.1)


def test_finer_voxels_with_steps_of_the_same_length_give_nearly_the_same_descriptor():
    noise = np.random.default_rng(0).standard_normal((40, 40))
    fine = torch.from_numpy(gaussian_filter(noise, 4.0))[None]
    descriptor = self_similarity(fine, 8 * np.eye(2))[:, ::2, ::2]
    coarse = self_similarity(fine[:, ::2, ::2], torch.tensor([[4.0, 0.0], [0.0, 4.0]]))
    inner = (slice(None), slice(6, -6), slice(6, -6))
    # the same Gaussian sampled at half the distance, over squares that are a little rougher than the image
    assert float((descriptor - coarse)[inner].abs().max()) < 0.05


@STEPS
def test_the_descriptor_passes_gradcheck(size, steps):
    volume = blobs(tuple(n // 2 for n in size)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: self_similarity(v, steps), (volume,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, -1000.0, 1234.5])
def test_a_constant_volume_is_alike_everywhere(constant, dtype):
    flat = torch.full((1, 5, 6, 7), constant, dtype=dtype).requires_grad_()
    descriptor = self_similarity(flat, OBLIQUE)
    descriptor.sum().backward()
    assert (descriptor == 1).all()
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize(
    ("shape", "steps", "patch"),
    [
        ((2, 4, 4), np.eye(2), 0.5),
        ((1, 4, 4), np.eye(3), 0.5),
        ((1, 4, 4), np.eye(2) * np.nan, 0.5),
        ((1, 4, 4), np.eye(2), -1.0),
    ],
)
def test_steps_and_volumes_that_do_not_fit_are_refused(shape, steps, patch):
    with pytest.raises(ImageError, match="self-similarity needs"):
        self_similarity(torch.zeros(shape), steps, patch)
