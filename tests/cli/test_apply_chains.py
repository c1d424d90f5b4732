"""Chains of transforms, grids made to measure, and the verbs that compose and invert; SimpleITK's composites beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from medreg.io.transforms import End, read_transform

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def affine(angles: tuple[float, ...], shift: tuple[float, ...], scales: tuple[float, ...] = (1, 1, 1)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * scales
    matrix[:3, 3] = shift
    return matrix


FIRST = affine((4, -6, 8), (3.5, -2.25, 1.75), (1.05, 0.97, 1.02))
SECOND = affine((-9, 2, 5), (-4.0, 6.0, 2.0), (0.9, 1.1, 1.0))


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """Two transforms as files that SimpleITK wrote."""
    for name, matrix in (("first", FIRST), ("second", SECOND)):
        sitk.WriteTransform(itk(matrix), str(tmp_path / f"{name}.tfm"))
    return tmp_path / "first.tfm", tmp_path / "second.tfm"


def itk(matrix: np.ndarray) -> sitk.AffineTransform:
    return sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist(), (0.0, 0.0, 0.0))


def voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float64)


def by_itk(pair: Pair, transform: sitk.Transform) -> np.ndarray:
    """The moving image on the fixed grid, by one linear interpolation of SimpleITK."""
    fixed, moving = sitk.ReadImage(str(pair.fixed)), sitk.ReadImage(str(pair.moving), sitk.sitkFloat64)
    return sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat64))


def test_a_chain_is_simpleitks_composite_in_one_interpolation(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "o.nii.gz"
    first, second = parts
    result = medreg("apply", pair.moving, "-t", first, "-t", second, "--like", pair.fixed, "--out", out)
    assert result.exit_code == 0, result.output
    composite = sitk.CompositeTransform([itk(FIRST), itk(SECOND)])  # ITK applies the last one to points first
    expected = by_itk(pair, composite)
    assert (np.abs(voxels(out) - expected) > 0.51).mean() < 1e-4  # rounded to int16
    other = tmp_path / "other.nii.gz"
    medreg("apply", pair.moving, "-t", second, "-t", first, "--like", pair.fixed, "--out", other)
    assert np.abs(voxels(other) - expected).max() > 100  # the order matters


def test_an_image_passes_the_chain_as_it_would_pass_two_runs(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    """The same order as one after the other; only that the interpolation blurs twice there."""
    first, second = parts
    like, cubic = ["--like", pair.fixed], ["--interpolation", "cubic"]
    medreg("apply", pair.moving, "-t", first, *like, "--out", tmp_path / "half.nii.gz", *cubic)
    medreg("apply", tmp_path / "half.nii.gz", "-t", second, *like, "--out", tmp_path / "two.nii.gz", *cubic)
    medreg("apply", pair.moving, "-t", first, "-t", second, *like, "--out", tmp_path / "one.nii.gz", *cubic)
    inner = (slice(12, -12),) * 3
    one, two = (voxels(tmp_path / name)[inner] for name in ("one.nii.gz", "two.nii.gz"))
    assert np.abs(one - two).max() < 0.02 * one.max()


def test_a_link_may_be_passed_the_other_way(pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path) -> None:
    out = tmp_path / "o.nii.gz"
    first, second = parts
    chain = ["-t", f"inverse:{first}", "-t", second]
    assert medreg("apply", pair.moving, *chain, "--like", pair.fixed, "--out", out).exit_code == 0
    composite = sitk.CompositeTransform([itk(FIRST).GetInverse(), itk(SECOND)])
    assert (np.abs(voxels(out) - by_itk(pair, composite)) > 0.51).mean() < 1e-4
    undone = tmp_path / "undone.nii.gz"
    both = ["-t", first, "-t", f"inverse:{first}"]
    assert medreg("apply", pair.moving, *both, "--like", pair.moving, "--out", undone).exit_code == 0
    assert np.abs(voxels(undone) - voxels(pair.moving)).max() <= 1  # rounded to int16


def test_inverse_and_the_space_fixed_turn_the_whole_chain_round(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    first, second = parts
    chain, like = ["-t", first, "-t", second], ["--like", pair.moving]
    assert medreg("apply", pair.fixed, *chain, "--inverse", *like, "-o", tmp_path / "a.nii").exit_code == 0
    assert medreg("apply", pair.fixed, *chain, "--space", "fixed", *like, "-o", tmp_path / "b.nii").exit_code == 0
    turned = ["-t", f"inverse:{second}", "-t", f"inverse:{first}"]
    assert medreg("apply", pair.fixed, *turned, *like, "-o", tmp_path / "c.nii").exit_code == 0
    assert (voxels(tmp_path / "a.nii") == voxels(tmp_path / "c.nii")).all()
    assert (voxels(tmp_path / "a.nii") == voxels(tmp_path / "b.nii")).all()
    both = medreg("apply", pair.fixed, *chain, "--inverse", "--space", "fixed", *like, "-o", tmp_path / "d.nii")
    assert (both.exit_code, "leave one of them out" in both.stderr) == (2, True)


def test_homographies_take_part_in_chains(medreg: Run, tmp_path: Path, parts: tuple[Path, Path]) -> None:
    tilted = np.array([[1.0, 0.02, 5.0], [0.01, 0.98, -3.0], [0.001, -0.0005, 1.0]])
    shifted = np.array([[0.9, -0.1, 2.0], [0.1, 0.9, 4.0], [0.0, 0.0, 1.0]])
    (tmp_path / "tilted.json").write_text(json.dumps({"transform": {"matrix": tilted.tolist()}}))
    (tmp_path / "shifted.json").write_text(json.dumps({"transform": {"matrix": shifted.tolist()}}))
    names = tmp_path / "tilted.json", f"inverse:{tmp_path / 'shifted.json'}"
    result = medreg("compose", *names, "--out", tmp_path / "both.json", "-q")
    assert result.exit_code == 0, result.output
    got, wanted = read_transform(tmp_path / "both.json"), tilted @ np.linalg.inv(shifted)
    np.testing.assert_allclose(got / got[2, 2], wanted / wanted[2, 2], atol=1e-14)
    assert medreg("compose", *names, "--out", tmp_path / "both.tfm").exit_code == 10  # ITK cannot hold it
    mixed = medreg("compose", tmp_path / "tilted.json", parts[0], "--out", tmp_path / "mixed.json")
    assert (mixed.exit_code, "of one dimension" in mixed.stderr) == (10, True)


@pytest.mark.parametrize("suffix", [".tfm", ".mat", ".h5", ".json"])
def test_what_compose_writes_maps_points_as_simpleitks_composite(
    suffix: str, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    first, second = parts
    out = tmp_path / f"both{suffix}"
    result = medreg("compose", first, f"inverse:{second}", "--out", out, *(["--to", "itk-mat"] * (suffix == ".mat")))
    assert result.exit_code == 0, result.output
    composite = sitk.CompositeTransform([itk(FIRST), itk(SECOND).GetInverse()])
    points = np.random.default_rng(2).uniform(-90, 90, (20, 3))
    theirs = np.array([composite.TransformPoint(p.tolist()) for p in points])
    matrix = read_transform(out)
    assert np.abs(points @ matrix[:3, :3].T + matrix[:3, 3] - theirs).max() < 1e-9  # mm


def test_compose_tells_what_the_result_does(pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path) -> None:
    turn = affine((0, 0, 10), (0, 0, 0))
    sitk.WriteTransform(itk(turn), str(tmp_path / "turn.tfm"))
    twice = [tmp_path / "turn.tfm", tmp_path / "turn.tfm"]
    result = medreg("compose", *twice, "--out", tmp_path / "twice.tfm", "--fixed", pair.fixed, "--moving", pair.moving)
    assert result.exit_code == 0, result.output
    assert "urned 20.0° about the head-foot axis" in result.stdout
    assert "rigid" in result.stdout
    assert "the fixed image's centre" in result.stdout
    without = medreg("compose", *twice, "--out", tmp_path / "twice.tfm", "--overwrite")
    assert "the world's origin" in without.stdout
    told = medreg("compose", *twice, "--out", tmp_path / "twice.tfm", "--overwrite", "--json", "--fixed", pair.fixed)
    record = json.loads(told.stdout)
    np.testing.assert_allclose(record["transform"]["matrix"], turn @ turn, atol=1e-12)
    assert record["transform"]["kind"] == "rigid"
    assert record["transform"]["rotation_angle_deg"] == pytest.approx(20)
    assert record["passed"] == [str(tmp_path / "turn.tfm")] * 2
    assert record["output"]["form"] == "itk"
    assert medreg("compose", *twice, "--out", tmp_path / "t.tfm", "-q", "--json").exit_code == 2


def test_invert_is_the_other_way_in_any_format(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    """Through FLIRT's form, which depends on both images: their roles exchange."""
    first, _ = parts
    images = ["--fixed", pair.fixed, "--moving", pair.moving]
    flirt, back = tmp_path / "flirt.mat", tmp_path / "back.tfm"
    result = medreg("invert", first, "--out", flirt, "--to", "fsl", *images)
    assert result.exit_code == 0, result.output
    theirs = read_transform(flirt, fixed=End(path=pair.moving), moving=End(path=pair.fixed))
    np.testing.assert_allclose(theirs, np.linalg.inv(FIRST), atol=1e-6)
    exchanged = ["--fixed", pair.moving, "--moving", pair.fixed]
    result = medreg("invert", flirt, "--out", back, *exchanged)
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(read_transform(back), FIRST, atol=1e-6)  # mm: FLIRT's decimals
    missing = medreg("invert", flirt, "--out", tmp_path / "no.tfm")
    assert (missing.exit_code, (tmp_path / "no.tfm").exists()) == (2, False)
    assert "--fixed" in missing.stderr
    assert "--overwrite" in medreg("invert", first, "--out", back).stderr


def test_apply_reads_formats_that_count_in_voxels(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    flirt = tmp_path / "flirt.mat"
    to = ["--out", flirt, "--to", "fsl", "--fixed", pair.fixed, "--moving", pair.moving]
    assert medreg("compose", parts[0], *to).exit_code == 0
    assert medreg("apply", pair.moving, "-t", parts[0], "--like", pair.fixed, "-o", tmp_path / "a.nii").exit_code == 0
    assert medreg("apply", pair.moving, "-t", flirt, "--like", pair.fixed, "-o", tmp_path / "b.nii").exit_code == 0
    assert np.abs(voxels(tmp_path / "a.nii") - voxels(tmp_path / "b.nii")).max() <= 1  # rounded to int16
    back = ["apply", pair.fixed, "--inverse", "--like", pair.moving]
    assert medreg(*back, "-t", parts[0], "-o", tmp_path / "c.nii").exit_code == 0
    assert medreg(*back, "-t", flirt, "-o", tmp_path / "d.nii").exit_code == 0
    assert np.abs(voxels(tmp_path / "c.nii") - voxels(tmp_path / "d.nii")).max() <= 1
    alone = medreg("apply", pair.moving, "-t", flirt, "-o", tmp_path / "e.nii")
    assert (alone.exit_code, "--fixed" in alone.stderr or "--like" in alone.stderr) == (2, True)


def test_another_spacing_covers_the_extent_of_the_like_image(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "o.nii.gz"
    flags = ["-t", parts[0], "--like", pair.fixed, "--spacing-out", "4.5,3,5"]
    result = medreg("apply", pair.moving, *flags, "--out", out)
    assert result.exit_code == 0, result.output
    got, like = sitk.ReadImage(str(out)), sitk.ReadImage(str(pair.fixed))
    assert got.GetSpacing() == pytest.approx((4.5, 3.0, 5.0))
    middles = [i.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in i.GetSize()]) for i in (got, like)]
    assert middles[0] == pytest.approx(middles[1], abs=1e-4)
    moving = sitk.ReadImage(str(pair.moving), sitk.sitkFloat64)
    expected = sitk.GetArrayFromImage(sitk.Resample(moving, got, itk(FIRST), sitk.sitkLinear, 0.0, sitk.sitkFloat64))
    assert (np.abs(voxels(out) - expected) > 0.51).mean() < 1e-4


def test_without_a_like_image_a_spacing_covers_all_of_the_moved_image(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    out = tmp_path / "o.nii.gz"
    result = medreg("apply", pair.moving, "-t", parts[0], "--spacing-out", "2", "--out", out)
    assert result.exit_code == 0, result.output
    got = nib.load(out)
    assert np.abs(np.abs(got.affine[:3, :3]) - 2 * np.eye(3)).max() < 1e-6
    moving = sitk.ReadImage(str(pair.moving), sitk.sitkFloat64)
    size = np.array(moving.GetSize())
    corners = [
        itk(FIRST)
        .GetInverse()
        .TransformPoint(moving.TransformContinuousIndexToPhysicalPoint((size * k - 0.5).tolist()))
        for k in np.ndindex(2, 2, 2)
    ]
    index = [sitk.ReadImage(str(out)).TransformPhysicalPointToContinuousIndex(c) for c in corners]
    low, high = np.min(index, 0), np.max(index, 0)
    assert (low > -0.5 - 1e-6).all() and (high < np.array(got.shape) - 0.5 + 1e-6).all()
    assert (low < 0.51).all()  # and not more than that: less than a voxel to spare
    # nothing is lost, and nothing is invented: the sum of all values over the volume that they fill
    scale = np.linalg.det(FIRST[:3, :3])
    before = voxels(pair.moving).sum() * np.prod(moving.GetSpacing())
    assert voxels(out).sum() * 8 == pytest.approx(before / scale, rel=2e-3)


def test_what_cannot_be_covered_or_chained_is_said(
    pair: Pair, parts: tuple[Path, Path], medreg: Run, tmp_path: Path
) -> None:
    out = ["--out", tmp_path / "o.nii"]
    tiny = medreg("apply", pair.moving, "-t", parts[0], "--spacing-out", "0.0001", *out)
    assert (tiny.exit_code, "in millimetres?" in tiny.stderr) == (4, True)
    assert "--spacing" in medreg("apply", pair.moving, "-t", parts[0], "--spacing-out", "-1", *out).stderr
    missing = medreg("apply", pair.moving, "-t", parts[0], "-t", tmp_path / "secnd.tfm", "--like", pair.fixed, *out)
    assert (missing.exit_code, "did you mean second.tfm" in missing.stderr) == (3, True)
    assert medreg("compose", "--out", tmp_path / "x.tfm").exit_code == 2
    assert not list(tmp_path.glob("*.nii"))
