"""Points through `medreg apply`, beside SimpleITK's TransformPoint and the images that they lie in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medreg.cli.tasks.moving_points import is_points
from medreg.io.points import Space, read_points

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]
FIXED = np.random.default_rng(3).uniform(-60, 60, (7, 3))
"""LPS mm."""


@pytest.fixture
def itk(tmp_path: Path) -> sitk.AffineTransform:
    """A transform of SimpleITK, fixed to moving points, kept as t.tfm."""
    linear = Rotation.from_euler("xyz", [4, -6, 8], degrees=True).as_matrix() * [1.05, 0.97, 1.02]
    transform = sitk.AffineTransform(linear.ravel().tolist(), (3.5, -2.25, 1.75), (5.0, -8.0, 2.0))
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    return transform


def moving_of(itk: sitk.AffineTransform) -> np.ndarray:
    return np.array([itk.TransformPoint(p.tolist()) for p in FIXED])


def csv(path: Path, points: np.ndarray, header: str = "x,y,z") -> Path:
    np.savetxt(path, points, delimiter=",", header=header, comments="", fmt="%.17g")
    return path


def test_what_is_in_the_moving_space_comes_to_the_fixed_one_as_images_do(
    itk: sitk.AffineTransform, medreg: Run, tmp_path: Path
) -> None:
    points, out = csv(tmp_path / "moving.csv", moving_of(itk)), tmp_path / "o.csv"
    result = medreg("apply", points, "-t", tmp_path / "t.tfm", "--out", out)
    assert result.exit_code == 0, result.output
    assert "7 points, now in the fixed image's space, LPS mm" in result.stdout
    np.testing.assert_allclose(read_points(out).coordinates, FIXED, atol=1e-9)  # mm


@pytest.mark.parametrize("flags", [["--space", "fixed"], ["--inverse"]])
def test_the_space_fixed_goes_the_other_way(
    flags: list[str], itk: sitk.AffineTransform, medreg: Run, tmp_path: Path
) -> None:
    points, out = csv(tmp_path / "fixed.csv", FIXED), tmp_path / "o.csv"
    result = medreg("apply", points, "-t", tmp_path / "t.tfm", "--out", out, *flags)
    assert result.exit_code == 0, result.output
    assert "now in the moving image's space" in result.stdout
    np.testing.assert_allclose(read_points(out).coordinates, moving_of(itk), atol=1e-9)


def test_points_follow_the_image_that_they_lie_in(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    """The brightest place of the moved image is where the point of the brightest place of the moving image comes."""
    moving = sitk.ReadImage(str(pair.moving))
    at = np.unravel_index(int(sitk.GetArrayFromImage(moving).argmax()), sitk.GetArrayFromImage(moving).shape)[::-1]
    peak = np.array(moving.TransformIndexToPhysicalPoint([int(i) for i in at]))
    truth = sitk.AffineTransform(pair.truth[:3, :3].ravel().tolist(), pair.truth[:3, 3].tolist(), (0.0, 0.0, 0.0))
    sitk.WriteTransform(truth, str(tmp_path / "truth.tfm"))
    chain = ["-t", tmp_path / "truth.tfm"]
    medreg("apply", pair.moving, *chain, "--like", pair.fixed, "-o", tmp_path / "o.nii", "--interpolation", "cubic")
    medreg("apply", csv(tmp_path / "p.csv", peak[None]), *chain, "-o", tmp_path / "p_o.csv")
    moved = sitk.ReadImage(str(tmp_path / "o.nii"))
    values = sitk.GetArrayFromImage(moved)
    there = moved.TransformPhysicalPointToContinuousIndex(read_points(tmp_path / "p_o.csv").coordinates[0].tolist())
    brightest = np.unravel_index(int(values.argmax()), values.shape)[::-1]
    assert np.abs(np.array(there) - brightest).max() < 1.5  # voxels: the peak is flat


def test_a_chain_of_points_is_simpleitks_composite(itk: sitk.AffineTransform, medreg: Run, tmp_path: Path) -> None:
    shift = sitk.TranslationTransform(3, (5.0, 6.0, -7.0))
    sitk.WriteTransform(shift, str(tmp_path / "s.tfm"))
    chain = ["-t", tmp_path / "t.tfm", "-t", f"inverse:{tmp_path / 's.tfm'}"]
    composite = sitk.CompositeTransform([itk, shift.GetInverse()])
    points = csv(tmp_path / "moving.csv", np.array([composite.TransformPoint(p.tolist()) for p in FIXED]))
    assert medreg("apply", points, *chain, "-o", tmp_path / "o.csv").exit_code == 0
    np.testing.assert_allclose(read_points(tmp_path / "o.csv").coordinates, FIXED, atol=1e-9)


@pytest.mark.parametrize("suffix", [".fcsv", ".mrk.json", ".json", ".vtk", ".csv", ".txt"])
def test_every_format_is_told_from_an_image_and_comes_to_the_same_place(
    suffix: str, itk: sitk.AffineTransform, medreg: Run, tmp_path: Path
) -> None:
    points = csv(tmp_path / "moving.csv", moving_of(itk))
    given, out = tmp_path / f"given{suffix}", tmp_path / f"o{suffix}"
    sitk.WriteTransform(sitk.TranslationTransform(3), str(tmp_path / "same.tfm"))
    assert medreg("apply", points, "-t", tmp_path / "same.tfm", "-o", given).exit_code == 0
    assert is_points(given)
    assert medreg("apply", given, "-t", tmp_path / "t.tfm", "-o", out).exit_code == 0
    np.testing.assert_allclose(read_points(out).coordinates, FIXED, atol=1e-4)  # mm: VTK's float


def test_coordinates_say_what_the_numbers_are(itk: sitk.AffineTransform, medreg: Run, tmp_path: Path) -> None:
    ras = csv(tmp_path / "ras.csv", moving_of(itk) * [-1, -1, 1])
    out = tmp_path / "o.csv"
    result = medreg("apply", ras, "-t", tmp_path / "t.tfm", "-o", out, "--coordinates", "RAS")
    assert result.exit_code == 0, result.output
    assert "RAS mm" in result.stdout
    np.testing.assert_allclose(read_points(out, Space.RAS).coordinates, FIXED, atol=1e-9)


def test_points_of_pictures_go_through_homographies(medreg: Run, tmp_path: Path) -> None:
    matrix = np.array([[1.0, 0.02, 5.0], [0.01, 0.98, -3.0], [0.001, -0.0005, 1.0]])
    (tmp_path / "h.json").write_text(json.dumps({"transform": {"matrix": matrix.tolist()}}))
    points = csv(tmp_path / "p.csv", np.array([[100.0, 50.0], [3.0, 4.0]]), "x,y")
    assert (
        medreg("apply", points, "--space", "fixed", "-t", tmp_path / "h.json", "-o", tmp_path / "o.csv").exit_code == 0
    )
    expected = [[(100 + 1 + 5) / 1.075, (1 + 49 - 3) / 1.075], [(3 + 0.08 + 5) / 1.001, (0.03 + 3.92 - 3) / 1.001]]
    np.testing.assert_allclose(read_points(tmp_path / "o.csv").coordinates, expected, atol=1e-9)
    csv(tmp_path / "far.csv", np.array([[0.0, 0.0], [1.0, 1.0], [-2000.0, 0.0]]), "x,y")
    far = medreg("apply", tmp_path / "far.csv", "--space", "fixed", "-t", tmp_path / "h.json", "-o", tmp_path / "f.csv")
    assert (far.exit_code, "point 3 lies on or beyond the horizon" in far.stderr) == (10, True)


def test_a_transform_that_counts_in_voxels_asks_for_the_images(
    pair: Pair, itk: sitk.AffineTransform, medreg: Run, tmp_path: Path
) -> None:
    flirt, out = tmp_path / "flirt.mat", tmp_path / "o.csv"
    images = ["--fixed", pair.fixed, "--moving", pair.moving]
    assert medreg("compose", tmp_path / "t.tfm", "-o", flirt, "--to", "fsl", *images).exit_code == 0
    points = csv(tmp_path / "moving.csv", moving_of(itk))
    asked = medreg("apply", points, "-t", flirt, "-o", out)
    assert asked.exit_code == 2
    assert "--of" in asked.stderr
    given = medreg("apply", points, "-t", flirt, "--of", pair.moving, "--like", pair.fixed, "-o", out)
    assert given.exit_code == 0, given.output
    np.testing.assert_allclose(read_points(out).coordinates, FIXED, atol=1e-4)  # mm: FLIRT's decimals


def test_what_cannot_be_done_is_said_and_nothing_is_written(
    pair: Pair, itk: sitk.AffineTransform, medreg: Run, tmp_path: Path
) -> None:
    points, t = csv(tmp_path / "p.csv", FIXED), ["-t", tmp_path / "t.tfm"]
    for flags, code, told in (
        ([*t, "-o", tmp_path / "o.nii.gz"], 7, "no file of points"),
        ([*t, "-o", tmp_path / "o.csv", "--interpolation", "cubic"], 2, "points have no --interpolation"),
        (["-o", tmp_path / "o.csv"], 2, "name it with --transform"),
        ([*t, "-o", points], 7, "--overwrite"),
    ):
        result = medreg("apply", points, *flags)
        assert (result.exit_code, told in result.stderr) == (code, True), result.stderr
    image = medreg("apply", pair.moving, *t, "--like", pair.fixed, "-o", tmp_path / "o.nii", "--coordinates", "RAS")
    assert (image.exit_code, "an image has no --coordinates" in image.stderr) == (2, True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.csv", "t.tfm"]


def test_the_output_is_named_after_the_points(
    itk: sitk.AffineTransform, medreg: Run, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    csv(tmp_path / "p.csv", FIXED)
    assert medreg("apply", "p.csv", "-t", "t.tfm", "-q").stdout == ""
    assert (tmp_path / "p_moved.csv").exists()
