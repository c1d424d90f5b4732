"""Random poses against SciPy's rotations and the draws that define them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

PATH = Path(__file__).parents[2] / "benchmarks" / "poses.py"
CENTRE = (12.0, -7.0, 31.0)  # LPS mm
SEEDS = range(300)


@pytest.fixture(scope="module")
def poses():
    spec = importlib.util.spec_from_file_location("benchmark_poses", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def by_definition(seed, max_degrees, max_shift_mm, max_scale):
    """The pose in RAS: axis, angle, scales and shift drawn in this order, the turn about the centre by SciPy."""
    random = np.random.default_rng(seed)
    axis = random.normal(size=3)
    degrees = random.uniform(0.5, 1.0) * max_degrees
    scales = 1 + random.uniform(-1, 1, 3) * max_scale
    shift = random.uniform(-1, 1, 3) * max_shift_mm
    turned = Rotation.from_rotvec(degrees * axis / np.linalg.norm(axis), degrees=True).as_matrix()
    return turned @ np.diag(scales), shift, degrees


@pytest.mark.parametrize("max_scale", [0.0, 0.2])
@pytest.mark.parametrize("seed", [0, 1, 7, 99])
def test_a_seed_names_its_pose(poses, seed, max_scale):
    pose = poses.random_pose(seed, CENTRE, 180, 60, max_scale)
    linear, shift, degrees = by_definition(seed, 180, 60, max_scale)
    centre_ras = np.array(CENTRE) * (-1, -1, 1)
    for ras in (centre_ras, centre_ras + (10, 0, 0), centre_ras + (0, -20, 5)):
        wanted = linear @ (ras - centre_ras) + centre_ras + shift
        lps = pose.matrix @ [*(ras * (-1, -1, 1)), 1]
        np.testing.assert_allclose(lps[:3] * (-1, -1, 1), wanted, atol=1e-10)  # mm
    assert pose.degrees == degrees
    assert pose.shift_mm == pytest.approx(np.linalg.norm(shift))


def test_a_pose_without_scales_is_rigid_by_its_angle(poses):
    for seed in range(20):
        pose = poses.random_pose(seed, CENTRE, 180, 60)
        turned = Rotation.from_matrix(pose.matrix[:3, :3])
        np.testing.assert_allclose(turned.as_matrix(), pose.matrix[:3, :3], atol=1e-12)
        assert np.degrees(turned.magnitude()) == pytest.approx(pose.degrees)
        moved = pose.matrix @ [*CENTRE, 1]
        assert np.linalg.norm(moved[:3] - CENTRE) == pytest.approx(pose.shift_mm)


def test_poses_are_spread_as_they_say(poses):
    found = [poses.random_pose(seed, (0, 0, 0), 180, 60) for seed in SEEDS]
    axes = np.array([Rotation.from_matrix(pose.matrix[:3, :3]).as_rotvec() for pose in found])
    heights = axes[:, 2] / np.linalg.norm(axes, axis=1)
    # Archimedes: the height of a uniform point of the sphere is uniform; seeds are fixed, so this cannot flicker
    assert kstest(heights, "uniform", (-1, 2)).pvalue > 0.01
    assert kstest([pose.degrees for pose in found], "uniform", (90, 90)).pvalue > 0.01
    assert kstest(np.array([pose.matrix[:3, 3] for pose in found]).ravel(), "uniform", (-60, 120)).pvalue > 0.01


def test_a_turn_is_exactly_as_large_as_asked_and_leaves_its_centre(poses):
    for seed in range(20):
        pose = poses.turn(seed, CENTRE, 20.0)
        assert np.degrees(Rotation.from_matrix(pose.matrix[:3, :3]).magnitude()) == pytest.approx(20.0)
        np.testing.assert_allclose(pose.matrix @ [*CENTRE, 1], [*CENTRE, 1], atol=1e-12)
