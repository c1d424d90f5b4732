"""Headers read alone say the same of an image as reading it whole does."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from transform_pairs import RAS, Images

from medreg.errors import GeometryError, ReadError, UsageError
from medreg.geometry.grid import Grid
from medreg.io.image import read_stored
from medreg.io.transforms.ends import End, header_at
from medreg.io.transforms.headers import header_of


def test_a_nifti_header_gives_the_grid_with_the_axes_of_the_file(images: Images) -> None:
    for path, image in zip((images.fixed, images.moving), images.loaded, strict=True):
        header = header_of(path)
        assert np.abs(header.grid.affine - RAS @ image.affine).max() < 1e-12
        assert header.grid.size == image.shape
        assert header.pixdim == pytest.approx(image.header.get_zooms(), rel=1e-7)
        assert header.grid == read_stored(path).grid


@pytest.mark.parametrize("suffix", [".nii", ".mgh", ".mgz", ".mha", ".nrrd", ".nii.gz"])
def test_no_voxel_is_needed(suffix: str, tmp_path: Path) -> None:
    """The file's beginning is enough: what comes after it is cut off."""
    path = tmp_path / f"image{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (60, 50, 40)).astype(np.uint8)
    if suffix in (".mha", ".nrrd"):
        image = sitk.GetImageFromArray(noise)
        image.SetSpacing((1.5, 2.0, 0.7))
        image.SetOrigin((3.0, -4.0, 5.0))
        image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
        sitk.WriteImage(image, str(path), useCompression=True)
    else:
        affine = np.array([[-1.5, 0, 0, 3], [0, 0, 2.0, -4], [0, 0.7, 0, 5], [0, 0, 0, 1]])
        kind = nib.freesurfer.MGHImage if "mg" in suffix else nib.Nifti1Image
        nib.save(kind(noise, affine), path)
    grid = read_stored(path).grid
    path.write_bytes(path.read_bytes()[:8192])
    assert header_of(path).grid == grid
    with pytest.raises(ReadError):
        read_stored(path)


def test_a_header_of_nifti_2_is_read_too(tmp_path: Path) -> None:
    affine = np.array([[-1.5, 0, 0, 3], [0, 0, 2.0, -4], [0, 0.7, 0, 5], [0, 0, 0, 1]])
    nib.save(nib.Nifti2Image(np.zeros((4, 5, 6), np.uint8), affine), tmp_path / "two.nii")
    assert np.array_equal(header_of(tmp_path / "two.nii").grid.affine, RAS @ affine)


def test_a_2d_nifti_has_a_2d_grid(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 5), np.uint8), np.diag([-2.0, -3.0, 1, 1])), tmp_path / "flat.nii")
    assert header_of(tmp_path / "flat.nii").grid == Grid.regular((4, 5), (2.0, 3.0))


def test_voxel_sizes_that_say_nothing_are_the_grids_and_a_sign_is_none(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.diag([-2.0, 3.0, 4.0, 1]))
    raw = bytearray(image.to_bytes())
    raw[80:92] = np.array([0.0, np.nan, -5.0], "<f4").tobytes()  # pixdim[1:4]
    (tmp_path / "odd.nii").write_bytes(raw)
    assert header_of(tmp_path / "odd.nii").pixdim == (2.0, 3.0, 5.0)


def test_another_grid_than_the_files_keeps_its_own_voxel_sizes(oblique_images: Images) -> None:
    other = Grid.regular((4, 5, 6), (1.0, 2.0, 3.0))
    assert header_at(End(grid=other, path=oblique_images.fixed), "fixed", "").pixdim == (1.0, 2.0, 3.0)
    assert header_at(End(grid=other), "fixed", "").grid == other
    with pytest.raises(UsageError, match="because; name the fixed image"):
        header_at(End(), "fixed", "because")


def test_damaged_headers_are_told_by_name(tmp_path: Path) -> None:
    raw = bytearray(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)).to_bytes())
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(bytes(raw[:300])))
    with pytest.raises(ReadError, match=r"cut\.nii\.gz: is cut short"):
        header_of(tmp_path / "cut.nii.gz")
    raw[42:44] = (0).to_bytes(2, "little")
    (tmp_path / "empty.nii").write_bytes(raw)
    with pytest.raises(ReadError, match=r"empty\.nii: the header is damaged"):
        header_of(tmp_path / "empty.nii")
    flat = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4))
    flat.header["srow_x"] = 0
    flat.header["sform_code"], flat.header["qform_code"] = 1, 0
    (tmp_path / "singular.nii").write_bytes(bytes(flat.header.binaryblock) + b"\0" * 200)
    with pytest.raises(GeometryError, match=r"singular\.nii"):
        header_of(tmp_path / "singular.nii")
    with pytest.raises(ReadError, match="no such file"):
        header_of(tmp_path / "nothing.nii")
