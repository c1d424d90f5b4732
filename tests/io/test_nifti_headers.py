"""What medreg makes of a NIfTI header: which affine, which units, which axes, which numbers."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from medreg.errors import GeometryError, ImageError, MedregWarning
from medreg.image import Leading
from medreg.io import read_stored

RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def test_the_sform_counts_where_its_code_is_set_and_a_different_qform_is_told_in_mm(tmp_path, voxels):
    image = nib.Nifti1Image(voxels, None)
    image.set_sform(np.diag([1.0, 1, 1, 1]), 4)
    moved = np.diag([1.0, 1, 1, 1])
    moved[0, 3] = 3.5
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.warns(MedregWarning, match=r"a\.nii: sform and qform differ by 3\.5 mm at a corner; used the sform"):
        stored = read_stored(tmp_path / "a.nii")
    assert stored.grid.origin == (0, 0, 0)
    assert stored.metadata["sform_qform_mm"] == pytest.approx(3.5)
    assert (stored.metadata["affine_from"], stored.metadata["sform_code"]) == ("sform", 4)
    assert "3.5 mm" in stored.metadata["notes"][0]


def test_forms_that_differ_at_the_far_corner_only_are_told(tmp_path, voxels):
    image = nib.Nifti1Image(voxels, None)
    image.set_sform(np.diag([1.0, 1, 1.01, 1]), 1)
    image.set_qform(np.diag([1.0, 1, 1, 1]), 1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.warns(MedregWarning, match=r"differ by 0\.06 mm"):  # 6 voxels from the first slice to the last
        read_stored(tmp_path / "a.nii")


def test_forms_that_agree_to_float32_raise_no_warning(voxels, oblique, save_nifti):
    assert read_stored(save_nifti(voxels, oblique)).metadata["notes"] == ()


def test_the_qform_counts_where_only_its_code_is_set(voxels, oblique, save_nifti):
    stored = read_stored(save_nifti(voxels, oblique, codes=(0, 2), srow_x=[9, 9, 9, 9]))
    assert stored.metadata["affine_from"] == "qform"
    np.testing.assert_allclose(stored.grid.origin, oblique[:3, 3] * (-1, -1, 1), atol=1e-6)


def test_a_file_without_orientation_takes_nibabels_base_affine_and_says_so(voxels, save_nifti, corner_indices, to_lps):
    path = save_nifti(voxels, np.diag([1, 2, 3, 1.0]), codes=(0, 0))
    with pytest.warns(MedregWarning, match="no orientation in the file"):
        grid = read_stored(path).grid
    expected = to_lps(nib.load(path).affine, corner_indices)
    np.testing.assert_allclose(grid.to_world(corner_indices), expected, atol=1e-6)


@pytest.mark.parametrize(("code", "factor"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
def test_lengths_in_metres_and_microns_become_millimetres(code, factor, voxels, oblique, save_nifti):
    stored = read_stored(save_nifti(voxels, oblique, xyzt_units=code))
    np.testing.assert_allclose(stored.grid.spacing, np.array([0.75, 1.25, 2.5]) * factor, rtol=1e-6)
    np.testing.assert_allclose(stored.grid.origin, oblique[:3, 3] * (-1, -1, 1) * factor, rtol=1e-6)
    assert stored.metadata["header"]["unit"] == ["unknown, taken as mm", "metre", "mm", "micron"][code]


def test_qfac_0_counts_as_1_as_the_standard_says(voxels, oblique, save_nifti):
    first = read_stored(save_nifti(voxels, oblique, "a.nii", codes=(0, 1))).grid
    assert (
        read_stored(save_nifti(voxels, oblique, "b.nii", codes=(0, 1), pixdim=[0, 0.75, 1.25, 2.5, 0, 0, 0, 0])).grid
        == first
    )


def test_a_singular_affine_is_refused_with_the_files_name(voxels, save_nifti):
    path = save_nifti(voxels, codes=(1, 0), srow_z=[1, 0, 0, 0])
    with pytest.raises(GeometryError, match=r"image\.nii\.gz: bad sform: .*singular"):
        read_stored(path)


def test_a_singular_sform_beside_a_good_qform_names_the_way_out(voxels, save_nifti):
    path = save_nifti(voxels, codes=(1, 1), srow_z=[0, 0, 0, 0])
    with pytest.raises(GeometryError, match="set sform_code to 0 to use it"):
        read_stored(path)


def test_an_affine_that_is_not_finite_is_refused(voxels, save_nifti):
    path = save_nifti(voxels, codes=(1, 0), srow_x=[1, 0, 0, np.nan])
    with pytest.raises(GeometryError, match="not finite"):
        read_stored(path)


@pytest.mark.parametrize("codes", [(0, 1), (0, 0)])
def test_zero_spacing_is_refused_where_the_geometry_rests_on_it(codes, voxels, save_nifti):
    path = save_nifti(voxels, codes=codes, pixdim=[1, 1, 1, 0, 0, 0, 0, 0])
    with pytest.raises(GeometryError, match="spacing"):
        read_stored(path)


def test_a_quaternion_that_is_none_is_refused(voxels, save_nifti):
    path = save_nifti(voxels, codes=(0, 1), quatern_b=0.9, quatern_c=0.9)
    with pytest.raises(GeometryError, match="qform cannot be read"):
        read_stored(path)


def test_big_endian_files_read_like_little_endian_ones(tmp_path, voxels, oblique):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nib.Nifti1Image(voxels.astype(">i2"), oblique, header)
    nib.save(image, tmp_path / "a.nii")
    assert nib.load(tmp_path / "a.nii").header.endianness == ">"
    stored = read_stored(tmp_path / "a.nii")
    assert stored.array.dtype == np.int16
    assert stored.array.dtype.isnative
    np.testing.assert_array_equal(stored.array[0], voxels.T)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("nifti2", [None, True])
def test_voxels_are_those_of_nibabel_for_every_dtype(dtype, nifti2, save_nifti, voxels):
    path = save_nifti(np.abs(voxels).astype(dtype), nifti2=nifti2)
    stored = read_stored(path)
    assert stored.metadata["stored_dtype"] == np.dtype(dtype).name
    assert stored.metadata["format"] == ("NIfTI-2" if nifti2 else "NIfTI-1")
    np.testing.assert_array_equal(stored.array[0], np.asanyarray(nib.load(path).dataobj).T)
    assert stored.array.flags.c_contiguous
    assert stored.array.flags.writeable


@pytest.mark.parametrize(
    ("dtype", "slope", "inter", "expected"),
    [("i2", 0.5, -10, "f4"), ("u1", 2, 0, "f4"), ("i4", 0.25, 1, "f8"), ("i2", 1, 1e9, "f8"), ("f8", 2, 0, "f8")],
)
def test_slope_and_offset_are_applied_as_nibabel_does(dtype, slope, inter, expected, save_nifti, voxels):
    path = save_nifti(np.abs(voxels).astype(dtype), scl_slope=slope, scl_inter=inter)
    stored = read_stored(path)
    assert stored.array.dtype == np.dtype(expected)
    assert (stored.metadata["slope"], stored.metadata["inter"]) == (slope, inter)
    np.testing.assert_allclose(stored.array[0], nib.load(path).get_fdata().T, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_slope_of_0_or_none_means_no_scaling(slope, voxels, save_nifti):
    path = save_nifti(voxels, scl_slope=slope)
    assert read_stored(path).array.dtype == np.int16


@pytest.mark.parametrize(
    ("shape", "array_shape", "leading"),
    [
        ((4, 5), (1, 5, 4), Leading.CHANNELS),
        ((4, 5, 1), (1, 1, 5, 4), Leading.CHANNELS),
        ((4, 5, 6, 1), (1, 6, 5, 4), Leading.CHANNELS),
        ((4, 5, 6, 1, 1), (1, 6, 5, 4), Leading.CHANNELS),
        ((4, 5, 6, 3), (3, 6, 5, 4), Leading.FRAMES),
        ((4, 5, 6, 1, 3), (3, 6, 5, 4), Leading.CHANNELS),
    ],
)
def test_axes_become_space_frames_or_channels(shape, array_shape, leading, save_nifti):
    voxels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape, order="F")
    stored = read_stored(save_nifti(voxels))
    assert (stored.array.shape, stored.leading) == (array_shape, leading)
    np.testing.assert_array_equal(stored.array.ravel(), np.arange(voxels.size))


def test_colours_become_channels(save_nifti):
    voxels = np.zeros((4, 5, 6), RGB)
    voxels["R"], voxels["G"], voxels["B"] = np.arange(120, dtype=np.uint8).reshape(4, 5, 6), 7, 9
    stored = read_stored(save_nifti(voxels))
    assert (stored.array.dtype, stored.array.shape, stored.leading) == (np.uint8, (3, 6, 5, 4), Leading.CHANNELS)
    np.testing.assert_array_equal(stored.array[0], voxels["R"].T)
    assert set(stored.array[1].ravel()) == {7}


@pytest.mark.parametrize("shape", [(4, 5, 6, 2, 3), (4, 5, 6, 1, 1, 2), (4,)])
def test_other_axes_are_refused(shape, save_nifti):
    with pytest.raises(ImageError, match="axes|row"):
        read_stored(save_nifti(np.zeros(shape, np.float32)))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused(dtype, save_nifti):
    with pytest.raises(ImageError, match=f"complex numbers .{dtype}.*magnitude or the phase"):
        read_stored(save_nifti(np.ones((3, 4, 5), dtype)))


def test_an_image_without_voxels_is_refused(save_nifti):
    with pytest.raises(ImageError, match="the image is empty, its size is 4x0x3 voxels"):
        read_stored(save_nifti(np.zeros((4, 0, 3), np.int16)))


@pytest.mark.parametrize(
    "name",
    ["anatomical.nii", "functional.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "standard.nii.gz", "test.mgz"],
)
@pytest.mark.filterwarnings("ignore::medreg.errors.MedregWarning")
def test_nibabels_own_samples_read_as_nibabel_reads_them(name):
    from nibabel.testing import data_path

    image = nib.load(f"{data_path}/{name}")
    stored = read_stored(f"{data_path}/{name}")
    expected = np.asanyarray(image.dataobj)
    np.testing.assert_allclose(stored.array, expected.T.reshape(stored.array.shape), rtol=1e-6)
    np.testing.assert_allclose(stored.grid.affine, np.diag([-1, -1, 1, 1]) @ image.affine, atol=1e-5)
