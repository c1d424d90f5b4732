"""Every file that cannot be read says which it is, what is wrong and what to do: never a traceback of a library."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from medreg.errors import GeometryError, ImageError, ReadError
from medreg.io import read_stored


@pytest.fixture
def noise() -> np.ndarray:
    """int16 noise (x, y, z), which gzip cannot make small."""
    return np.random.default_rng(0).integers(-3000, 3000, (20, 21, 22)).astype(np.int16)


def save_itk(path: Path, array: np.ndarray, *, compressed: bool = False) -> Path:
    """Write (z, y, x) or (y, x) voxels by SimpleITK."""
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=compressed)
    return path


def test_a_missing_file_suggests_the_nearest_name(tmp_path):
    (tmp_path / "patient_t1.nii.gz").touch()
    with pytest.raises(ReadError, match=r"patient_t2\.nii\.gz: no such file; did you mean patient_t1\.nii\.gz\?"):
        read_stored(tmp_path / "patient_t2.nii.gz")


def test_a_missing_file_with_no_like_name_suggests_nothing(tmp_path):
    (tmp_path / "zzz.txt").touch()
    with pytest.raises(ReadError, match=r"brain\.nii: no such file$"):
        read_stored(tmp_path / "brain.nii")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ReadError, match="nowhere does not exist"):
        read_stored(tmp_path / "nowhere" / "a.nii")


def test_a_link_to_nothing_is_called_so(tmp_path):
    (tmp_path / "a.nii").symlink_to(tmp_path / "gone.nii")
    with pytest.raises(ReadError, match="link to a file that does not exist"):
        read_stored(tmp_path / "a.nii")


def test_a_directory_without_dicom_says_what_is_in_it(tmp_path):
    with pytest.raises(ReadError, match="holds no files at all"):
        read_stored(tmp_path)
    (tmp_path / "a.nii").write_bytes((348).to_bytes(4, "little") + bytes(340) + b"n+1\0")
    with pytest.raises(ReadError, match=r"its only file is no DICOM; name an image file in it, such as a\.nii"):
        read_stored(tmp_path)


def test_a_dicom_file_is_told_by_its_content(tmp_path):
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(200))
    with pytest.raises(ReadError, match="IM0001: holds no pixels"):
        read_stored(tmp_path / "IM0001")


def test_an_empty_file_is_called_so(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(ReadError, match=r"a\.nii\.gz: is empty \(0 bytes\)"):
        read_stored(tmp_path / "a.nii.gz")


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    (tmp_path / "a.nii").write_bytes(b"x")

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(ReadError, match=r"a\.nii: permission denied; make it readable"):
        read_stored(tmp_path / "a.nii")


def test_an_image_larger_than_memory_says_so(noise, save_nifti, monkeypatch):
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise MemoryError

    path = save_nifti(noise)
    monkeypatch.setattr("medreg.io.nifti.load_bytes", refuse)
    with pytest.raises(ReadError, match="does not fit into memory"):
        read_stored(path)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    (tmp_path / "notes.txt").write_text("hello, this is no image")
    with pytest.raises(
        ReadError, match=r"notes\.txt: unknown kind of file \(suffix '\.txt'\); medreg reads DICOM, \.nii, \.nii\.gz"
    ):
        read_stored(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.mgz", "a.nrrd", "a.png", "a.mha"])
def test_a_known_suffix_on_other_content_says_what_it_is_not(name, tmp_path):
    (tmp_path / name).write_text("<html>404 not found</html>")
    with pytest.raises(ReadError, match="its content is not .*whatever its suffix says"):
        read_stored(tmp_path / name)


def test_half_of_a_nifti_pair_is_called_so(tmp_path):
    from nibabel.nifti1 import Nifti1PairHeader

    (tmp_path / "a.hdr").write_bytes(bytes(Nifti1PairHeader().binaryblock))
    with pytest.raises(ReadError, match="one half of a pair of files .NIfTI"):
        read_stored(tmp_path / "a.hdr")


@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_a_truncated_gzip_names_itself(part, noise, save_nifti):
    path = save_nifti(noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ReadError, match=r"image\.nii\.gz: .*(cut short|copy or download it again)"):
        read_stored(path)


@pytest.mark.parametrize("name", ["image.nii", "a.mgh"])
@pytest.mark.parametrize("length", [100, 300, 5000])
def test_a_truncated_file_names_itself(name, length, noise, save_nifti, tmp_path):
    if name == "a.mgh":
        import nibabel as nib

        nib.save(nib.MGHImage(noise, np.eye(4)), tmp_path / name)
    else:
        save_nifti(noise, name=name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
    with pytest.raises(ReadError, match=rf"{name}: .*cut short"):
        read_stored(tmp_path / name)


def test_a_gzip_with_a_wrong_checksum_is_refused_though_nibabel_reads_it(noise, save_nifti):
    import nibabel as nib

    path = save_nifti(noise)
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    assert nib.load(path).get_fdata().shape == noise.shape
    with pytest.raises(ReadError, match=r"image\.nii\.gz: the gzip data are damaged"):
        read_stored(path)


def test_a_gzip_with_flipped_bits_in_its_middle_is_refused(noise, save_nifti):
    path = save_nifti(noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ReadError, match="damaged"):
        read_stored(path)


def test_a_header_that_promises_more_than_the_file_holds_is_refused_at_once(noise, save_nifti):
    path = save_nifti(noise, dim=[3, 32000, 32000, 32000, 1, 1, 1, 1])
    with pytest.raises(ReadError, match="header says 32000x32000x32000 voxels of 2 bytes .* 18480 are there"):
        read_stored(path)


@pytest.mark.parametrize(
    "fields", [{"dim": [9, 1, 1, 1, 1, 1, 1, 1]}, {"dim": [3, -4, 5, 6, 1, 1, 1, 1]}, {"datatype": 3}]
)
def test_a_header_with_nonsense_is_refused(fields, noise, save_nifti):
    with pytest.raises(ReadError, match=r"header (is|may be) damaged"):
        read_stored(save_nifti(noise, **fields))


def test_an_offset_into_the_header_is_refused(noise, save_nifti):
    with pytest.raises(ReadError, match="from byte 100"):
        read_stored(save_nifti(noise, vox_offset=100))


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_of_itks_formats_names_itself(name, compressed, noise, tmp_path):
    array = noise.T.astype(np.uint8)
    path = save_itk(tmp_path / name, array if name in ("a.nrrd", "a.mha") else array[0], compressed=compressed)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReadError, match=rf"{name}: "):
        read_stored(path)


def test_a_truncated_metaimage_says_by_how_much(noise, tmp_path):
    path = save_itk(tmp_path / "a.mha", noise.T)
    path.write_bytes(path.read_bytes()[:-480])
    with pytest.raises(ReadError, match="is cut short, 18000 bytes of voxels where its header says 18480"):
        read_stored(path)


def test_altered_bytes_in_a_compressed_metaimage_are_noticed_though_itk_reads_it(noise, tmp_path):
    path = save_itk(tmp_path / "a.mha", noise.T, compressed=True)
    data = bytearray(path.read_bytes())
    data[-20:] = bytes(20)
    path.write_bytes(data)
    assert sitk.ReadImage(str(path)).GetSize() == noise.shape
    with pytest.raises(ReadError, match=r"a\.mha: the compressed voxels are damaged"):
        read_stored(path)


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr"])
def test_a_header_whose_data_file_is_gone_is_refused(name, noise, tmp_path):
    path = save_itk(tmp_path / name, noise.T)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(ReadError, match=rf"{name}: .*a\.raw"):
        read_stored(path)


def test_zero_spacing_in_a_metaimage_is_a_geometry_error(tmp_path):
    (tmp_path / "a.mha").write_text(
        "ObjectType = Image\nNDims = 2\nBinaryData = True\nElementSpacing = 0 1\nDimSize = 2 2\n"
        "ElementType = MET_UCHAR\nElementDataFile = LOCAL\nabcd"
    )
    with pytest.raises(GeometryError, match=r"a\.mha: .*spacing"):
        read_stored(tmp_path / "a.mha")


def test_complex_numbers_in_an_itk_file_are_refused(tmp_path):
    path = save_itk(tmp_path / "a.nrrd", np.ones((4, 5), np.complex64))
    with pytest.raises(ImageError, match="complex"):
        read_stored(path)


def test_gzip_members_after_one_another_are_all_read(noise, save_nifti):
    path = save_nifti(noise, name="image.nii")
    raw = path.read_bytes()
    gz = path.with_suffix(".nii.gz")
    gz.write_bytes(gzip.compress(raw[:5000]) + gzip.compress(raw[5000:]) + bytes(512))
    np.testing.assert_array_equal(read_stored(gz).array[0], noise.T)


def test_a_wrong_suffix_does_no_harm(noise, save_nifti, tmp_path):
    raw = save_nifti(noise, name="image.nii").read_bytes()
    for name, data in (("b.nii.gz", raw), ("c.nii", zlib.compress(raw, wbits=31)), ("d.png", raw), ("e", raw)):
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(read_stored(tmp_path / name).array[0], noise.T)
    for name in ("x.png", "x.nrrd", "x.jpg", "x.tif", "x.mha"):
        array = noise.T[0].astype(np.uint8)
        save_itk(tmp_path / name, array).rename(tmp_path / "lies.nii")
        assert read_stored(tmp_path / "lies.nii").array.shape == (1, 21, 20)
