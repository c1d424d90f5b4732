"""Many poses at once: scores by plain numpy, gradients by finite differences, and descents that come home."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.geometry.affine import homogeneous, map_points, rotation_exp
from medreg.image import MedImage
from medreg.registration import recipe
from medreg.registration.batch import Batch, Poses
from medreg.registration.levels import LevelImage, Pyramid
from medreg.registration.samples import Placement, draw
from medreg.transform.generators import about, exponential, generators
from medreg.transform.kind import Kind

BINS = 16
DIMENSIONS = pytest.mark.parametrize("dimension", [2, 3])
MASKED = pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])


def holed(image: MedImage) -> torch.Tensor:
    """A mask without a third and without one voxel in fifty."""
    mask = torch.rand(image.data.shape, generator=torch.Generator().manual_seed(5)) > 0.02
    mask[..., : image.size[0] // 3] = False
    return mask


def made(fixed: MedImage, moving: MedImage, masked: bool = False, count: int = 1500) -> Batch:
    samples = draw(fixed.data, fixed.grid, count, fixed.grid.centre, 3, Placement.SCATTERED)
    return Batch(samples, LevelImage(moving.data, holed(moving) if masked else None, moving.grid), BINS)


def poses(dimension: int, count: int = 7, degrees: float = 40.0, shift_mm: float = 15.0) -> np.ndarray:
    """Random rigid ones, the identity first, and one that shows nothing last."""
    random = np.random.default_rng(0)
    found = [np.eye(dimension + 1)]
    for _ in range(count - 2):
        vector = np.radians(random.uniform(-degrees, degrees, 3)) * ([0, 0, 1] if dimension == 2 else [1, 1, 1])
        turn = rotation_exp(vector)[:dimension, :dimension]
        found.append(homogeneous(turn, random.uniform(-shift_mm, shift_mm, dimension)))
    return np.stack([*found, homogeneous(np.eye(dimension), np.full(dimension, 5000.0))])


def entropy(p: np.ndarray) -> float:
    """Nats."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def information(joint: np.ndarray) -> float:
    """Nats, of counts."""
    p = joint / joint.sum()
    return entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p)


def scored(joint: np.ndarray, samples: int) -> tuple[float, float]:
    """The score and the overlap that counts stand for."""
    if joint.sum() == 0:
        return 1.0, 0.0
    p, overlap = joint / joint.sum(), joint.sum() / samples
    feigned = (np.exp(entropy(p.sum(0))) - 1) * (np.exp(entropy(p.sum(1))) - 1) / (2 * samples)
    return feigned - information(joint) * overlap, overlap


def hard(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.floor((values - low) / (high - low) * BINS).clip(0, BINS - 1).astype(int)


@DIMENSIONS
@MASKED
def test_a_scan_is_numpys_joint_histogram_of_nearest_neighbours(texture, dimension, masked):
    fixed, moving = texture(dimension, seed=0), texture(dimension, seed=1, sheared=True)
    moving = moving.with_data(moving.data + fixed.data[(0, *map(slice, moving.data.shape[1:]))][None])  # some relation
    batch = made(fixed, moving, masked)
    matrices = poses(dimension)
    found = batch.scan(matrices)
    values = batch.samples.values[0].numpy()
    rows = hard(values, values.min(), values.max())
    volume = moving.data[0].numpy()
    counts = holed(moving)[0].numpy() if masked else np.ones(volume.shape, bool)
    points = batch.samples.homogeneous[:, :-1].numpy() + batch.samples.centre
    for k, matrix in enumerate(matrices):
        nearest = np.floor(moving.grid.to_index(map_points(matrix, points)) + 0.5).astype(int)
        inside = ((nearest >= 0) & (nearest < np.array(moving.size))).all(1)
        place = tuple(nearest[inside].T[::-1])
        used = counts[place]
        joint = np.zeros((BINS, BINS))
        np.add.at(joint, (rows[inside][used], hard(volume[place][used], volume.min(), volume.max())), 1)
        score, overlap = scored(joint, len(values))
        assert found.scores[k] == pytest.approx(score, abs=1e-5)  # counts are float32
        assert found.overlaps[k] == pytest.approx(overlap, abs=1e-6)
    assert np.array_equal(found.matrices, matrices)
    assert (found.overlaps[-1], found.scores[-1]) == (0, 1)  # nowhere is worse than anywhere
    assert 0.2 < found.overlaps[0] <= 1


@DIMENSIONS
def test_each_pose_is_scored_as_if_alone(texture, dimension):
    batch = made(texture(dimension, seed=0), texture(dimension, seed=1))
    matrices = poses(dimension)
    for score in (batch.scan, batch.at):
        whole = score(matrices)
        alone = [score(matrix[None]) for matrix in matrices]
        np.testing.assert_allclose(whole.scores, [a.scores[0] for a in alone], atol=1e-6)
        np.testing.assert_allclose(whole.overlaps, [a.overlaps[0] for a in alone], atol=1e-7)


def test_what_independent_images_share_by_chance_counts_as_nothing(texture):
    """Without the correction few samples of noise would share about 15 x 15 / 2N = 0.2 nats."""
    random = torch.Generator().manual_seed(0)
    fixed, moving = (texture(3).with_data(torch.rand(texture(3).data.shape, generator=random)) for _ in range(2))
    scores = [made(fixed, moving, count=count).scan(np.eye(4)[None]).scores[0] for count in (500, 4000)]
    assert abs(scores[0]) < 0.1  # nats; 0.056, where 0.26 are read off
    assert abs(scores[1]) < 0.02


@DIMENSIONS
@MASKED
@pytest.mark.parametrize("kind", [Kind.TRANSLATION, Kind.RIGID, Kind.SIMILARITY], ids=str)
def test_the_slope_is_that_of_finite_differences_of_the_mutual_information(texture, dimension, masked, kind):
    batch = made(texture(dimension, seed=0), texture(dimension, seed=1), masked)
    basis = generators(kind, dimension, batch.samples.radius)
    along = torch.einsum("pij,nj->npi", torch.from_numpy(basis[:, :-1]), batch.samples.homogeneous)
    matrices = poses(dimension, degrees=15, shift_mm=3)[:-1]
    gradient = batch._bend(matrices, along).gradient
    width = 1e-6
    for k, matrix in enumerate(matrices):
        moved = [matrix @ about(batch.samples.centre, exponential(sign * width * g)) for g in basis for sign in (1, -1)]
        joints = batch._spread(np.stack(moved)).joint.numpy()
        values = np.array([-information(joint) for joint in joints]).reshape(-1, 2)
        numeric = (values[:, 0] - values[:, 1]) / (2 * width)
        np.testing.assert_allclose(gradient[k], numeric, rtol=5e-3, atol=5e-3 * np.abs(numeric).max())


def near(matrix: np.ndarray, degrees: float, shift_mm: float, seed: int = 0) -> np.ndarray:
    """(5, 4, 4) poses so far off."""
    random = np.random.default_rng(seed)
    off = []
    for _ in range(5):
        axis, way = (v / np.linalg.norm(v) for v in random.standard_normal((2, 3)))
        off.append(matrix @ homogeneous(rotation_exp(axis * np.radians(degrees)), way * shift_mm))
    return np.stack(off)


@pytest.fixture(scope="module")
def heads(fixed, moved_head, truths) -> tuple[Batch, np.ndarray]:
    """T1 against T2 at 8 mm, and the truth."""
    level = [
        Pyramid(i.data, None, i.grid).at(8.0, recipe.MutualInformation())
        for i in (fixed, moved_head(truths[Kind.RIGID], contrast="T2"))
    ]
    samples = draw(level[0].volume, level[0].grid, 3000, (0.0, 4.0, -3.0), 0, Placement.SCATTERED)
    return Batch(samples, level[1], BINS), truths[Kind.RIGID]


def test_poses_ten_degrees_off_come_home(heads, furthest):
    batch, truth = heads
    found = batch.descend(near(truth, 10, 10), Kind.RIGID, [(5, 20)])
    for matrix in found.matrices:
        assert furthest(matrix, truth) < 4  # mm, half a voxel of 8 mm: another contrast, 3,000 samples


def test_poses_keep_their_order_and_only_the_best_go_on(heads):
    batch, truth = heads
    start = np.concatenate([near(truth, 8, 5), near(truth, 120, 40)])[[5, 0, 6, 1, 7, 2, 8, 3, 9, 4]]
    before = batch.at(start)
    after = batch.descend(start.copy(), Kind.RIGID, [(3, 2), (1, 3)])
    best = set(np.argsort(before.scores)[:3])
    for k in range(10):
        moved = not np.array_equal(after.matrices[k], start[k])
        assert moved == (k in best)
        if not moved:
            assert after.scores[k] == pytest.approx(before.scores[k])
    assert (after.scores <= before.scores + 1e-12).all()
    again = batch.at(after.matrices)
    np.testing.assert_allclose(again.scores, after.scores, atol=1e-6)
    np.testing.assert_allclose(again.overlaps, after.overlaps, atol=1e-6)


def test_poses_given_are_left_as_they_were(heads):
    batch, truth = heads
    start = near(truth, 10, 10)
    kept = start.copy()
    batch.descend(start, Kind.RIGID, [(5, 2)])
    assert np.array_equal(start, kept)


@pytest.mark.parametrize("kind", [Kind.TRANSLATION, Kind.RIGID], ids=str)
def test_a_descent_stays_in_its_family(heads, kind):
    batch, truth = heads
    start = near(truth, 10, 10)
    for one, matrix in zip(start, batch.descend(start.copy(), kind, [(5, 3)]).matrices, strict=True):
        np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-9)
        assert matrix[3].tolist() == [0, 0, 0, 1]
        assert np.allclose(matrix[:3, :3], one[:3, :3], atol=1e-12) == (kind is Kind.TRANSLATION)


def test_poses_are_joined_and_chosen_together():
    first, second = (Poses(np.full((2, 4, 4), v), np.full(2, v), np.full(2, v / 2)) for v in (1.0, 2.0))
    both = first.joined(second)[np.array([3, 0])]
    assert both.scores.tolist() == [2, 1]
    assert both.overlaps.tolist() == [1, 0.5]
    assert both.matrices[:, 0, 0].tolist() == [2, 1]
