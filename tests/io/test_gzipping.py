"""medreg's parallel gzip is ordinary gzip: others read it, and the number of threads does not show in it."""

from __future__ import annotations

import gzip
import io
import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medreg.geometry import Grid
from medreg.io import StoredImage, write_image
from medreg.io.gzipping import BLOCK_BYTES, gunzip, write_gzip


def packed(*pieces: bytes | np.ndarray, threads: int | None = None) -> bytes:
    """The bytes that write_gzip gives."""
    file = io.BytesIO()
    write_gzip(file, *pieces, threads=threads)
    return file.getvalue()


def some(size: int) -> bytes:
    """Bytes that compress to about half."""
    return np.random.default_rng(size).integers(0, 16, size, dtype=np.uint8).tobytes()


@pytest.mark.parametrize("size", [0, 1, 352, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 77])
def test_gzip_gives_the_bytes_back(size):
    data = some(size)
    assert gzip.decompress(packed(data)) == data
    assert gunzip(packed(data)) == data


def test_pieces_are_joined_and_arrays_taken_as_their_bytes():
    array = np.arange(1000, dtype=np.int16).reshape(10, 100)
    assert gzip.decompress(packed(b"head", array)) == b"head" + array.tobytes()


def test_it_is_one_member():
    unpacker = zlib.decompressobj(wbits=31)
    unpacker.decompress(packed(some(3 * BLOCK_BYTES)))
    assert unpacker.eof
    assert unpacker.unused_data == b""


def test_the_number_of_threads_does_not_change_the_bytes():
    data = some(5 * BLOCK_BYTES + 3)
    assert packed(data, threads=1) == packed(data, threads=2) == packed(data, threads=7)


def test_nothing_of_the_machine_or_the_hour_is_in_the_header():
    assert packed(b"x")[:10] == bytes.fromhex("1f8b08000000000004ff")


def test_nibabel_and_simpleitk_read_a_file_of_many_blocks(tmp_path):
    voxels = np.random.default_rng(0).integers(-9, 9, (1, 90, 100, 110)).astype(np.int16)
    path = tmp_path / "a.nii.gz"
    write_image(StoredImage(voxels, Grid.regular((110, 100, 90), (1, 1, 1))), path)
    np.testing.assert_array_equal(np.asanyarray(nib.load(path).dataobj).T, voxels[0])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), voxels[0])


def test_data_that_stop_early_are_noticed():
    with pytest.raises(EOFError):
        gunzip(packed(some(1000))[:-1])


def test_a_wrong_checksum_is_noticed():
    data = bytearray(packed(some(1000)))
    data[-5] ^= 1
    with pytest.raises(zlib.error):
        gunzip(bytes(data))
