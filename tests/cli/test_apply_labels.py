"""Label maps through `medreg apply`: recognised, told of, moved without a new value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from medreg.cli.tasks.labels import why_labels
from medreg.io.image import read_stored

if TYPE_CHECKING:
    from conftest import Pair

Run = Callable[..., Any]


def regions(shape: tuple[int, ...], numbers: np.ndarray) -> np.ndarray:
    """Smooth regions that bear the numbers."""
    noise = gaussian_filter(np.random.default_rng(4).standard_normal(shape), 3)
    edges = np.quantile(noise, np.linspace(0, 1, len(numbers) + 1)[1:-1])
    return numbers[np.searchsorted(edges, noise)]


def saved(path: Path, data: np.ndarray, pair: Pair, **header: int) -> Path:
    image = nib.Nifti1Image(data, nib.load(pair.moving).affine, dtype=data.dtype)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


def test_labels_are_recognised_and_the_choice_is_told(pair: Pair, transform: Path, medreg: Run, tmp_path: Path) -> None:
    labels = regions(nib.load(pair.moving).shape, np.array([0, 4, 17, 2035], np.int16))
    path, out = saved(tmp_path / "organs.nii.gz", labels, pair), tmp_path / "o.nii.gz"
    result = medreg("apply", path, "-t", transform, "--like", pair.fixed, "--out", out)
    assert result.exit_code == 0, result.output
    assert "taken for a label map" in result.stdout
    assert "4 different ones in regions" in result.stdout
    itk = sitk.ReadTransform(str(transform))
    fixed, moving = sitk.ReadImage(str(pair.fixed)), sitk.ReadImage(str(path))
    expected = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, itk, sitk.sitkLabelLinear, 0))
    got = np.asarray(nib.load(out).dataobj).T
    assert got.dtype == np.int16
    assert (got != expected).mean() < 1e-3  # ties


def test_grey_values_are_not_taken_for_labels(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    for path in (pair.fixed, pair.moving):
        assert why_labels(read_stored(path)) is None
        assert "label" not in medreg("apply", path, "--like", path, "--out", tmp_path / f"o_{path.name}").stdout


@pytest.mark.parametrize(
    ("name", "numbers", "header", "because"),
    [
        ("x.nii.gz", [0, 1], {}, "2 different ones"),
        ("subject_seg.nii.gz", list(range(300)), {}, "its name says so"),
        ("sub-01_dseg.nii.gz", [0.0, 1.0, 2.0], {}, "its name says so"),
        ("x.nii.gz", [0, 3, 40000], {"intent_code": 1002}, "its header says so"),
    ],
)
def test_header_name_and_numbers_each_tell(
    name: str, numbers: list[float], header: dict[str, int], because: str, pair: Pair, tmp_path: Path
) -> None:
    dtype = np.float32 if isinstance(numbers[0], float) else np.int32
    path = saved(tmp_path / name, regions((20, 21, 22), np.array(numbers, dtype)), pair, **header)
    assert because in str(why_labels(read_stored(path)))


def test_two_numbers_are_a_mask_however_they_lie(pair: Pair, tmp_path: Path) -> None:
    speckles = (np.random.default_rng(0).random((20, 21, 22)) < 0.3).astype(np.uint8)
    assert why_labels(read_stored(saved(tmp_path / "x.nii.gz", speckles, pair))) == "whole numbers, 2 different ones"
    noise = saved(tmp_path / "y.nii.gz", np.random.default_rng(0).integers(0, 200, (20, 21, 22)).astype(np.uint8), pair)
    assert why_labels(read_stored(noise)) is None


def test_fractions_and_colours_are_no_labels_whatever_their_name(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "labels.nii.gz", regions((20, 21, 22), np.array([0, 0.5], np.float32)), pair)
    assert why_labels(read_stored(path)) is None
    result = medreg("apply", path, "--like", path, "-o", tmp_path / "o.nii", "--interpolation", "label")
    assert (result.exit_code, "holds fractions" in result.stderr) == (2, True)
    colours = np.zeros((8, 9, 3), np.uint8)
    colours[2:5, 3:6] = 255
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / "mask.png"))
    assert why_labels(read_stored(tmp_path / "mask.png")) is None


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        (np.uint8, [0, 7, 255]),
        (np.uint16, [0, 1, 65535]),
        (np.int64, [-(2**62), 0, 2**53 + 1]),
        (np.uint64, [0, 2**53 + 1, 2**64 - 1]),
        (np.float32, [0, 3, 2**20 + 1]),
    ],
)
@pytest.mark.parametrize("interpolation", ["label", "nearest"])
def test_numbers_of_every_size_and_their_dtype_survive(
    interpolation: str, dtype: type, numbers: list[int], pair: Pair, transform: Path, medreg: Run, tmp_path: Path
) -> None:
    labels = regions(nib.load(pair.moving).shape, np.array(numbers, dtype))
    path, out = saved(tmp_path / "labels.nii.gz", labels, pair), tmp_path / "o.nii.gz"
    flags = ["--like", pair.fixed, "--out", out, "--interpolation", interpolation]
    result = medreg("apply", path, "-t", transform, *flags)
    assert result.exit_code == 0, result.output
    got = np.asarray(nib.load(out).dataobj)
    assert got.dtype == np.dtype(dtype)
    assert set(got.ravel().tolist()) == set(np.array(numbers, dtype).tolist())


def test_a_value_outside_may_be_a_new_label_and_must_fit(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "mask.nii.gz", regions((20, 21, 22), np.array([0, 1], np.uint8)), pair)
    (tmp_path / "far.txt").write_text("1 0 0 5000\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    flags = ["-t", tmp_path / "far.txt", "--from", "lps", "--like", pair.fixed, "--out", tmp_path / "o.nii"]
    assert medreg("apply", path, *flags, "--outside", "9").exit_code == 0
    assert (np.asarray(nib.load(tmp_path / "o.nii").dataobj) == 9).all()
    assert medreg("apply", path, *flags, "--overwrite", "--outside", "-1").exit_code == 5


def test_lost_labels_and_mixed_ones_are_warned_of(pair: Pair, medreg: Run, tmp_path: Path) -> None:
    labels = regions((24, 24, 24), np.array([0, 3], np.uint8))
    labels[5, 5, 5] = 77
    path = saved(tmp_path / "labels.nii.gz", labels, pair)
    coarse = medreg("apply", path, "--like", path, "--spacing-out", "8", "--out", tmp_path / "o.nii.gz")
    assert "1 label left without a voxel: 77" in coarse.stdout
    mixed = medreg("apply", path, "--like", path, "--out", tmp_path / "m.nii.gz", "--interpolation", "linear")
    assert mixed.exit_code == 0
    assert "looks like a label map" in mixed.stdout


def test_a_series_of_label_maps_is_moved_frame_by_frame(
    pair: Pair, transform: Path, medreg: Run, tmp_path: Path
) -> None:
    one = regions(nib.load(pair.moving).shape, np.array([0, 5, 9], np.int16))
    series = saved(tmp_path / "labels4d.nii.gz", np.stack([one, one[::-1]], -1), pair)
    single = saved(tmp_path / "labels.nii.gz", np.ascontiguousarray(one[::-1]), pair)
    for path in (series, single):
        flags = ["-t", transform, "--like", pair.fixed, "--out", tmp_path / f"o_{path.name}"]
        assert medreg("apply", path, *flags, "--interpolation", "label").exit_code == 0
    both, alone = (np.asarray(nib.load(tmp_path / f"o_{p.name}").dataobj) for p in (series, single))
    assert both.shape == (*alone.shape, 2)
    assert (both[..., 1] == alone).all()


def test_thousands_of_labels_are_told_from_as_many_grey_values_by_their_regions(
    pair: Pair, transform: Path, medreg: Run, tmp_path: Path
) -> None:
    numbers = np.arange(18**3).reshape(18, 18, 18)
    labels = np.kron(numbers, np.ones((2, 2, 2), int)).astype(np.int32)
    grey = np.random.default_rng(0).permutation(labels.ravel()).reshape(labels.shape)
    for name, array, wanted in (("parcels", labels, True), ("atlas", labels, True), ("mask_t1", grey, False)):
        path = saved(tmp_path / f"{name}.nii", array, pair)
        assert (why_labels(read_stored(path)) is not None) is wanted
    result = medreg("apply", tmp_path / "parcels.nii", "-t", transform, "--like", pair.fixed, "-o", tmp_path / "o.nii")
    assert "5832 different ones in regions" in result.stdout
    got = np.asarray(nib.load(tmp_path / "o.nii").dataobj)
    assert len(np.unique(got)) > 4096
    assert not set(np.unique(got).tolist()) - set(numbers.ravel().tolist())


def test_numbers_beyond_those_of_torch_are_recognised_by_their_regions_too(pair: Pair, tmp_path: Path) -> None:
    numbers = np.array([0, 2**63 + 5, 2**64 - 1], np.uint64)
    path = saved(tmp_path / "neurons.nii.gz", regions((24, 24, 24), numbers), pair)
    assert why_labels(read_stored(path)) == "whole numbers, 3 different ones in regions"
