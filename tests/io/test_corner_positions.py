"""Oracle: nibabel and SimpleITK place every corner of every kind of grid where medreg does, within 1e-6 mm.

ITK cannot say where a sheared NIfTI lies: it refuses an sform that is not orthogonal, or quietly takes the qform, 2 mm
off here. There nibabel is the only oracle; sheared NRRD and MetaImage files ITK reads as they are.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medreg.geometry import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.image import Leading
from medreg.io import StoredImage, read_stored, write_image

TOLERANCE_MM = 1e-6
"""As the requirement says: headers of float32 are read by all three into float64, so nothing more is lost."""


def itk_points(path: Path, index: np.ndarray) -> np.ndarray:
    """Where SimpleITK says that voxel indices (N, D) lie, LPS mm."""
    image = sitk.ReadImage(str(path))
    return np.array([image.TransformContinuousIndexToPhysicalPoint(row.tolist()) for row in index])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz"])
def test_corners_lie_where_nibabel_puts_them(name, named_affine, voxels, tmp_path, corner_indices, to_lps, save_nifti):
    if name == "a.mgz":
        nib.save(nib.MGHImage(voxels, named_affine[1]), tmp_path / name)
    else:
        save_nifti(voxels, named_affine[1], name, codes=(1, 0))
    grid = read_stored(tmp_path / name).grid
    expected = to_lps(nib.load(tmp_path / name).affine, corner_indices)
    np.testing.assert_allclose(grid.to_world(corner_indices), expected, atol=TOLERANCE_MM, rtol=0)


def test_a_sheared_affine_is_kept_exactly(sheared, voxels, save_nifti):
    grid = read_stored(save_nifti(voxels, sheared, codes=(1, 0))).grid
    assert grid.is_sheared
    np.testing.assert_allclose(flip_lps_ras(grid.affine), sheared, atol=1e-12, rtol=0)


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 3)], ids=["both", "sform", "qform"])
def test_corners_of_nifti_lie_where_simpleitk_puts_them(codes, square_affine, voxels, corner_indices, save_nifti):
    path = save_nifti(voxels, square_affine, codes=codes)
    grid = read_stored(path).grid
    expected = itk_points(path, corner_indices)
    np.testing.assert_allclose(grid.to_world(corner_indices), expected, atol=TOLERANCE_MM, rtol=0)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_corners_of_itk_files_lie_where_simpleitk_puts_them(name, named_affine, voxels, tmp_path, corner_indices):
    grid = Grid.from_affine(voxels.shape, flip_lps_ras(named_affine[1]))
    image = sitk.GetImageFromArray(voxels.T)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(np.array(grid.direction).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / name))
    read = read_stored(tmp_path / name)
    expected = itk_points(tmp_path / name, corner_indices)
    np.testing.assert_allclose(read.grid.to_world(corner_indices), expected, atol=TOLERANCE_MM, rtol=0)
    np.testing.assert_array_equal(read.array[0], voxels.T)


def test_corners_of_a_nifti_that_medreg_writes_lie_where_simpleitk_puts_them(
    square_affine, voxels, tmp_path, corner_indices
):
    grid = Grid.from_affine(voxels.shape, flip_lps_ras(square_affine))
    write_image(StoredImage(np.ascontiguousarray(voxels.T)[None], grid), tmp_path / "a.nii.gz")
    got = itk_points(tmp_path / "a.nii.gz", corner_indices)
    np.testing.assert_allclose(got, grid.to_world(corner_indices), atol=TOLERANCE_MM, rtol=0)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd", "a.nhdr"])
def test_corners_of_what_medreg_writes_lie_where_simpleitk_puts_them(
    name, named_affine, voxels, tmp_path, corner_indices
):
    grid = Grid.from_affine(voxels.shape, flip_lps_ras(named_affine[1]))
    write_image(StoredImage(np.ascontiguousarray(voxels.T)[None], grid), tmp_path / name)
    got = itk_points(tmp_path / name, corner_indices)
    np.testing.assert_allclose(got, grid.to_world(corner_indices), atol=TOLERANCE_MM, rtol=0)


@pytest.mark.parametrize(("name", "tolerance_mm"), [("a.nii", 1e-6), ("a.nii.gz", 1e-6), ("a.mgz", 2e-5)])
def test_corners_of_what_medreg_writes_lie_where_nibabel_puts_them(
    name, tolerance_mm, named_affine, voxels, tmp_path, corner_indices, to_lps
):
    """An MGZ keeps directions, sizes and the image's middle apart, in float32, which leaves 2e-5 mm at 70 mm."""
    grid = Grid.from_affine(voxels.shape, flip_lps_ras(named_affine[1]))
    write_image(StoredImage(np.ascontiguousarray(voxels.T)[None], grid), tmp_path / name)
    got = to_lps(nib.load(tmp_path / name).affine, corner_indices)
    np.testing.assert_allclose(got, grid.to_world(corner_indices), atol=tolerance_mm, rtol=0)


def test_a_2d_nifti_lies_where_simpleitk_puts_it(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((4, 5), np.uint8), np.diag([2.0, 3, 1, 1])), tmp_path / "a.nii")
    read = read_stored(tmp_path / "a.nii")
    index = np.array([[0, 0], [3, 0], [0, 4], [3, 4.0]])
    assert (read.grid.dimension, read.leading) == (2, Leading.CHANNELS)
    np.testing.assert_allclose(read.grid.to_world(index), itk_points(tmp_path / "a.nii", index), atol=1e-6, rtol=0)


def test_a_2d_nifti_out_of_the_axial_plane_becomes_one_slice_in_3d(tmp_path, oblique, to_lps):
    nib.save(nib.Nifti1Image(np.ones((4, 5), np.uint8), oblique), tmp_path / "a.nii")
    grid = read_stored(tmp_path / "a.nii").grid
    index = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [3, 4, 0.0]])
    assert grid.size == (4, 5, 1)
    np.testing.assert_allclose(grid.to_world(index), to_lps(oblique, index), atol=1e-6, rtol=0)
