"""Round trips: what medreg writes, another library reads back, voxel for voxel, in the dtype and place that it had."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medreg.errors import MedregWarning, UsageError, WriteError
from medreg.geometry import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.image import Leading, MedImage
from medreg.io import StoredImage, read_image, read_stored, write_image
from medreg.io.content import KIND_OF_SUFFIX
from medreg.io.encoding import HELD

SMALL = Grid.regular((4, 5, 6), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0))
PICTURE = Grid.regular((4, 5), (1.0, 1.0))


def image(
    array: np.ndarray, grid: Grid = SMALL, leading: Leading = Leading.CHANNELS, **metadata: object
) -> StoredImage:
    """A stored image on a small grid."""
    return StoredImage(array, grid, leading, metadata)


def ramp(dtype: str, shape: tuple[int, ...] = (1, 6, 5, 4)) -> np.ndarray:
    """Voxels of the dtype, its two ends among them."""
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    kind = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    values.flat[0], values.flat[-1] = kind.min, kind.max
    return values


def by_other_library(path: Path) -> np.ndarray:
    """The voxels (z, y, x) or (y, x) as SimpleITK, or nibabel where ITK cannot, reads them."""
    if path.name.endswith((".mgz", ".mgh")):
        return np.asanyarray(mgh(path).dataobj).T
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def mgh(path: Path) -> nib.MGHImage:
    """An MGH file as nibabel reads it, from memory: its own reader leaves the file open."""
    data = path.read_bytes()
    return nib.MGHImage.from_bytes(gzip.decompress(data) if path.suffix == ".mgz" else data)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (s, d)
        for s in (".nii", ".nii.gz", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd")
        for d in HELD[KIND_OF_SUFFIX[s]]
    ],
)
def test_volumes_come_back_bit_for_bit_through_the_other_library(suffix, dtype, tmp_path):
    array = ramp(dtype)
    written = write_image(image(array), tmp_path / f"a{suffix}")
    other = by_other_library(tmp_path / f"a{suffix}")
    assert (written.dtype, written.rounded, written.clipped) == (dtype, False, 0)
    assert other.dtype.newbyteorder("=") == np.dtype(dtype)
    np.testing.assert_array_equal(other, array[0])
    back = read_stored(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.array, array)
    np.testing.assert_allclose(back.grid.affine, SMALL.affine, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("suffix", "dtype"), [(s, d) for s in (".png", ".tif", ".bmp") for d in HELD[KIND_OF_SUFFIX[s]]]
)
def test_pictures_come_back_bit_for_bit_through_simpleitk(suffix, dtype, tmp_path):
    array = ramp(dtype, (1, 5, 4))
    write_image(image(array, PICTURE), tmp_path / f"a{suffix}")
    other = by_other_library(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(other if other.ndim == 2 else other[..., 0], array[0])  # ITK's BMP is always colour


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif"])
def test_colours_come_back_through_the_other_library(suffix, tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (3, 5, 4)).astype(np.uint8)
    write_image(image(array, PICTURE), tmp_path / f"a{suffix}")
    other = by_other_library(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.moveaxis(other.reshape(5, 4, 3), -1, 0), array)
    np.testing.assert_array_equal(read_stored(tmp_path / f"a{suffix}").array.reshape(3, 5, 4), array)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_channels_come_back_through_the_other_library(suffix, tmp_path):
    array = np.random.default_rng(0).normal(size=(5, 6, 5, 4)).astype(np.float32)
    write_image(image(array), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.moveaxis(by_other_library(tmp_path / f"a{suffix}"), -1, 0), array)
    back = read_stored(tmp_path / f"a{suffix}")
    assert back.leading is Leading.CHANNELS
    np.testing.assert_array_equal(back.array, array)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mgz"])
def test_frames_come_back_through_the_other_library(suffix, tmp_path):
    array = np.random.default_rng(0).normal(size=(5, 6, 5, 4)).astype(np.float32)
    write_image(image(array, leading=Leading.FRAMES), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(by_other_library(tmp_path / f"a{suffix}"), array)
    assert read_stored(tmp_path / f"a{suffix}").leading is Leading.FRAMES


def test_the_time_between_frames_stays(save_nifti, tmp_path):
    path = save_nifti(np.zeros((4, 5, 6, 3), np.int16), xyzt_units=2 + 16, pixdim=[1, 1, 1, 1, 2500, 0, 0, 0])
    write_image(read_image(path), tmp_path / "b.nii")
    header = nib.load(tmp_path / "b.nii").header
    assert (header.get_zooms()[3], header.get_xyzt_units()) == (2.5, ("mm", "sec"))


def test_computed_values_are_rounded_half_to_even_and_clipped_to_the_dtype_that_was_read(tmp_path):
    values = np.array([0.5, 1.5, 2.5, -0.4, 255.4, 255.6, 300, -7], np.float32).reshape(1, 2, 2, 2)
    grid = Grid.regular((2, 2, 2), (1, 1, 1))
    written = write_image(image(values, grid, stored_dtype="uint8"), tmp_path / "a.nii")
    assert written.sentence == "rounded to uint8, 3 voxels clipped"
    np.testing.assert_array_equal(by_other_library(tmp_path / "a.nii").ravel(), [0, 2, 2, 0, 255, 255, 255, 0])


def test_nan_in_an_integer_image_becomes_0_and_is_told(tmp_path):
    values = np.ones((1, 6, 5, 4), np.float32)
    values[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    written = write_image(image(values, stored_dtype="int16"), tmp_path / "a.nii")
    assert written.sentence == "stored as int16, 2 voxels clipped, 1 voxel not finite, stored as 0"
    assert by_other_library(tmp_path / "a.nii").ravel()[:3].tolist() == [0, 32767, -32768]


@pytest.mark.parametrize("values", ["float32", "float64", "int64"])
def test_the_ends_of_int32_do_not_overflow(values, tmp_path):
    array = np.array([-(2**33), 2**33, 2**31 - 1, 5] * 30, values).reshape(1, 6, 5, 4)
    written = write_image(image(array, stored_dtype="int32"), tmp_path / "a.nii")
    got = by_other_library(tmp_path / "a.nii").ravel()[:4]
    assert got.min() == -(2**31)
    assert got[1] == got.max() >= 2**31 - 128  # the largest int32 that is a float32 is 2^31 - 128
    assert written.clipped == (90 if values == "float32" else 60)  # 2^31 - 1 is 2^31 in float32


def test_labels_above_2_to_the_24_come_back(tmp_path):
    labels = (2**24 + 1 + np.arange(120, dtype=np.int32)).reshape(1, 6, 5, 4)
    moved = MedImage.on(SMALL, torch.from_numpy(labels), metadata={"stored_dtype": "int32"})
    write_image(moved, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(by_other_library(tmp_path / "a.nii.gz"), labels[0])


def test_unsigned_integers_come_back_from_the_wider_ones_that_torch_has(save_nifti, tmp_path):
    voxels = np.arange(120, dtype=np.uint16).reshape(4, 5, 6) + 65000
    read = read_image(save_nifti(voxels))
    assert read.data.dtype == torch.int32
    assert write_image(read, tmp_path / "b.nii.gz").dtype == "uint16"
    np.testing.assert_array_equal(by_other_library(tmp_path / "b.nii.gz"), voxels.T)


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"), [("int16", 0.5, -10), ("uint8", 0.013, 3), ("int16", -2, 0), ("int32", 1e-3, 7)]
)
def test_scaled_integers_come_back_as_the_same_integers_with_the_same_scaling(
    dtype, slope, inter, save_nifti, tmp_path
):
    stored = ramp(dtype, (4, 5, 6))
    path = save_nifti(stored, name="a.nii", scl_slope=slope, scl_inter=inter)
    written = write_image(read_image(path), tmp_path / "b.nii")
    assert written.sentence == f"stored as {dtype}"
    first, second = nib.load(path), nib.load(tmp_path / "b.nii")
    assert (second.dataobj.slope, second.dataobj.inter) == (first.dataobj.slope, first.dataobj.inter)
    np.testing.assert_array_equal(second.dataobj.get_unscaled(), first.dataobj.get_unscaled())


def test_new_values_of_a_scaled_image_are_rounded_to_its_steps(save_nifti, tmp_path):
    read = read_image(save_nifti(ramp("int16", (4, 5, 6)), scl_slope=0.5, scl_inter=-10))
    written = write_image(read.with_data(torch.full_like(read.data, 3.3)), tmp_path / "b.nii")
    assert written.sentence == "rounded to int16"
    assert set(nib.load(tmp_path / "b.nii").get_fdata().ravel()) == {3.5}


def test_a_dtype_may_be_asked_for(tmp_path):
    values = np.linspace(0, 1, 120, dtype=np.float32).reshape(1, 6, 5, 4)
    assert write_image(image(values, stored_dtype="uint8"), tmp_path / "a.nii", dtype="float32").rounded is False
    np.testing.assert_array_equal(by_other_library(tmp_path / "a.nii"), values[0])


@pytest.mark.parametrize(("dtype", "error"), [("float16", WriteError), ("complex64", WriteError), ("text", UsageError)])
def test_a_dtype_that_the_format_lacks_is_refused(dtype, error, tmp_path):
    with pytest.raises(error, match="float32|known"):
        write_image(image(ramp("int16")), tmp_path / "a.nii", dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "suffix", "held"),
    [
        ("float16", ".nii", "float32"),
        ("int8", ".mgz", "int16"),
        ("float64", ".mgz", "float32"),
        ("uint8", ".mgz", "uint8"),
    ],
)
def test_a_dtype_that_the_format_lacks_gives_way_to_the_next_wider(dtype, suffix, held, tmp_path):
    values = np.arange(120).reshape(1, 6, 5, 4).astype(dtype)
    assert write_image(image(values), tmp_path / f"a{suffix}").dtype == held
    np.testing.assert_array_equal(by_other_library(tmp_path / f"a{suffix}"), values[0])


@pytest.mark.parametrize(
    ("dtype", "suffix"), [("float32", ".png"), ("int16", ".png"), ("int64", ".mgz"), ("uint16", ".jpg")]
)
def test_where_no_dtype_is_wide_enough_the_format_is_refused(dtype, suffix, tmp_path):
    array, grid = (ramp(dtype), SMALL) if suffix == ".mgz" else (ramp(dtype, (1, 5, 4)), PICTURE)
    with pytest.raises(WriteError, match=rf"cannot hold {dtype}, only .*write \.nii\.gz"):
        write_image(image(array, grid), tmp_path / f"a{suffix}")


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.gz", "a.hdr"])
def test_an_unknown_suffix_lists_the_known_ones(name, tmp_path):
    with pytest.raises(WriteError, match=r"unknown suffix .*medreg writes \.nii"):
        write_image(image(ramp("uint8")), tmp_path / name)


def test_a_sheared_grid_is_refused_by_a_picture_and_kept_by_nifti(sheared, tmp_path):
    flat = np.eye(3)
    flat[0, 1] = 0.3
    skew = image(np.zeros((1, 5, 4), np.uint8), Grid.from_affine((4, 5), flat))
    with pytest.raises(
        WriteError, match=r"PNG has no place for directions, and the image's axes are sheared; write \.nii\.gz"
    ):
        write_image(skew, tmp_path / "a.png")
    grid = Grid.from_affine((4, 5, 6), flip_lps_ras(sheared))
    write_image(image(ramp("uint8"), grid), tmp_path / "a.nii.gz")
    header = nib.load(tmp_path / "a.nii.gz").header
    np.testing.assert_allclose(header.get_sform(), sheared, atol=1e-6)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 0)


def test_a_volume_or_a_series_is_refused_by_a_picture(tmp_path):
    with pytest.raises(WriteError, match="PNG holds 2D pictures, the image is 4x5x6"):
        write_image(image(ramp("uint8")), tmp_path / "a.png")
    series = image(ramp("uint8", (3, 5, 4)), PICTURE, Leading.FRAMES)
    with pytest.raises(WriteError, match="cannot hold a series of 3 frames"):
        write_image(series, tmp_path / "a.png")


def test_mgh_refuses_channels(tmp_path):
    with pytest.raises(WriteError, match="MGH holds volumes and series"):
        write_image(image(ramp("uint8", (3, 6, 5, 4))), tmp_path / "a.mgz")
    assert list(tmp_path.iterdir()) == []


def test_more_channels_than_a_picture_has_are_refused(tmp_path):
    with pytest.raises(WriteError, match=r"a\.jpg: JPEG cannot hold 5 channels, only 1 or 3"):
        write_image(image(ramp("uint8", (5, 5, 4)), PICTURE), tmp_path / "a.jpg")


def test_spacing_that_a_picture_loses_is_told(tmp_path):
    grid = Grid.regular((4, 5), (0.5, 0.5))
    with pytest.warns(MedregWarning, match="PNG keeps no spacing and origin"):
        write_image(image(ramp("uint8", (1, 5, 4)), grid), tmp_path / "a.png")


@pytest.mark.parametrize("suffix", list(KIND_OF_SUFFIX))
def test_the_same_image_gives_the_same_bytes(suffix, tmp_path):
    volume = suffix not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
    stored = image(ramp("uint8")) if volume else image(ramp("uint8", (1, 5, 4)), PICTURE)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_image(stored, tmp_path / folder / f"a{suffix}")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_gz_is_zipped_and_nii_is_not(tmp_path):
    write_image(image(ramp("int16")), tmp_path / "a.nii")
    write_image(image(ramp("int16")), tmp_path / "a.nii.gz")
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes()) == (tmp_path / "a.nii").read_bytes()


def test_header_fields_that_are_still_true_stay_and_the_others_go(tmp_path, voxels, oblique):
    first = nib.Nifti1Image(voxels, oblique)
    first.set_sform(oblique, 4)
    first.set_qform(oblique, 1)
    header = first.header
    header["descrip"], header["aux_file"] = b"my scan", b"none"
    header.set_intent("label", (), "atlas")
    header.set_dim_info(0, 1, 2)
    header["cal_min"], header["cal_max"] = 3, 90
    header["slice_duration"], header["slice_code"] = 0.1, 1
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"free text"))
    nib.save(first, tmp_path / "a.nii")
    read = read_image(tmp_path / "a.nii")

    write_image(read, tmp_path / "same.nii")
    same = nib.load(tmp_path / "same.nii").header
    assert (same["descrip"].item(), same["aux_file"].item()) == (b"my scan", b"none")
    assert same.get_intent() == ("label", (), "atlas")
    assert same.get_dim_info() == (0, 1, 2)
    assert (same["cal_min"], same["cal_max"]) == (3, 90)
    assert (int(same["sform_code"]), int(same["qform_code"])) == (4, 1)
    assert (same["slice_duration"], same["slice_code"], len(same.extensions)) == (0, 0, 0)

    write_image(read.with_data(read.data * 2), tmp_path / "brighter.nii")
    assert nib.load(tmp_path / "brighter.nii").header["cal_max"] == 0

    moved = MedImage.on(Grid.regular(read.size, (1, 1, 1)), read.data, metadata=read.metadata)
    write_image(moved, tmp_path / "moved.nii")
    header = nib.load(tmp_path / "moved.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 2)
    assert header.get_dim_info() == (None, None, None)
    assert header.get_intent()[0] == "label"


def test_an_image_on_another_ones_grid_takes_its_codes(save_nifti, voxels, oblique, tmp_path):
    fixed = read_image(save_nifti(voxels, oblique, "fixed.nii", codes=(4, 1)))
    moving = read_image(save_nifti(voxels, name="moving.nii", codes=(1, 0)))
    moved = MedImage.on(fixed.grid, moving.data, metadata=moving.metadata)
    write_image(moved, tmp_path / "moved.nii", like=fixed)
    header = nib.load(tmp_path / "moved.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 1)
    np.testing.assert_array_equal(header.get_sform(), nib.load(tmp_path / "fixed.nii").get_sform())


@pytest.mark.filterwarnings("ignore:.*differ by:medreg.errors.MedregWarning")
def test_a_qform_that_names_another_space_survives_a_copy(tmp_path, voxels, oblique):
    first = nib.Nifti1Image(voxels, oblique)
    first.set_sform(oblique, 4)
    first.set_qform(np.diag([2.0, 2, 2, 1]), 1)
    nib.save(first, tmp_path / "a.nii")
    write_image(read_image(tmp_path / "a.nii"), tmp_path / "b.nii")
    second = nib.load(tmp_path / "b.nii")
    np.testing.assert_array_equal(second.get_sform(), nib.load(tmp_path / "a.nii").get_sform())
    np.testing.assert_allclose(second.get_qform(), np.diag([2.0, 2, 2, 1]), atol=1e-6)
    assert (int(second.header["sform_code"]), int(second.header["qform_code"])) == (4, 1)


def test_an_affine_survives_a_copy_to_the_last_bit(save_nifti, voxels, oblique, tmp_path):
    path = save_nifti(voxels, oblique)
    write_image(read_image(path), tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(nib.load(tmp_path / "b.nii.gz").get_sform(), nib.load(path).get_sform())


def test_nifti2_stays_nifti2_and_wide_images_become_it(save_nifti, voxels, tmp_path):
    write_image(read_image(save_nifti(voxels, nifti2=True)), tmp_path / "b.nii")
    assert isinstance(nib.load(tmp_path / "b.nii"), nib.Nifti2Image)
    wide = image(np.zeros((1, 1, 1, 40000), np.uint8), Grid.regular((40000, 1, 1), (1, 1, 1)))
    write_image(wide, tmp_path / "c.nii")
    assert nib.load(tmp_path / "c.nii").shape == (40000, 1, 1)


def test_free_text_of_an_nrrd_stays_while_its_grid_does(tmp_path):
    first = sitk.GetImageFromArray(ramp("int16")[0])
    first.SetMetaData("operator", "Ada")
    sitk.WriteImage(first, str(tmp_path / "a.nrrd"))
    read = read_image(tmp_path / "a.nrrd")
    write_image(read, tmp_path / "b.nrrd")
    assert sitk.ReadImage(str(tmp_path / "b.nrrd")).GetMetaData("operator") == "Ada"
    moved = MedImage.on(SMALL, read.data, metadata=read.metadata)
    write_image(moved, tmp_path / "c.nrrd")
    assert "operator" not in sitk.ReadImage(str(tmp_path / "c.nrrd")).GetMetaDataKeys()


def test_an_mgz_keeps_how_the_image_was_taken(tmp_path):
    first = nib.MGHImage(ramp("int16")[0].T, np.diag([1, 2, 3, 1.0]))
    first.header["tr"], first.header["te"], first.header["flip_angle"] = 2300, 2.98, 0.157
    nib.save(first, tmp_path / "a.mgz")
    write_image(read_image(tmp_path / "a.mgz"), tmp_path / "b.mgz")
    header = nib.load(tmp_path / "b.mgz").header
    assert header["tr"] == 2300
    assert header["te"] == np.float32(2.98)
    assert header["flip_angle"] == np.float32(0.157)


def test_an_mgz_without_orientation_says_so(tmp_path):
    nib.save(nib.MGHImage(ramp("int16")[0].T, np.eye(4)), tmp_path / "a.mgh")
    raw = bytearray((tmp_path / "a.mgh").read_bytes())
    raw[28:30] = b"\0\0"  # goodRASFlag
    (tmp_path / "a.mgh").write_bytes(raw)
    with pytest.warns(MedregWarning, match="no orientation in the file"):
        grid = read_stored(tmp_path / "a.mgh").grid
    np.testing.assert_allclose(grid.affine, flip_lps_ras(mgh(tmp_path / "a.mgh").affine), atol=1e-6)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.nii").write_text("old")

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medreg.io.nifti_writing.write_nifti", fail)
    with pytest.raises(WriteError, match=r"a\.nii: cannot be written, No space left"):
        write_image(image(ramp("uint8")), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
