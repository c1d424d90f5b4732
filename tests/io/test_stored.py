"""StoredImage: numpy from a file, torch when asked."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from medreg.errors import ImageError
from medreg.geometry import Grid
from medreg.io import StoredImage, read_stored

GRID = Grid.regular((2, 3), (1, 1))


@pytest.mark.parametrize(
    ("stored", "tensor"),
    [
        ("uint8", torch.uint8),
        ("int8", torch.int8),
        ("uint16", torch.int32),
        ("int16", torch.int16),
        ("uint32", torch.int64),
        ("int32", torch.int32),
        ("uint64", torch.int64),
        ("int64", torch.int64),
        ("float16", torch.float16),
        ("float32", torch.float32),
        ("float64", torch.float64),
        ("bool", torch.uint8),
    ],
)
def test_each_dtype_becomes_one_that_torch_computes_with(stored, tensor):
    array = np.array([[[0, 1], [1, 0], [1, 1]]]).astype(stored)
    image = StoredImage(array, GRID).to_image()
    assert image.data.dtype == tensor
    assert image.metadata["stored_dtype"] == stored
    np.testing.assert_array_equal(image.data.numpy(), array)


def test_labels_above_2_to_the_24_survive():
    labels = np.array([[[2**24 + 1, 2**31 - 1], [3, 4], [5, 6]]], np.int32)
    np.testing.assert_array_equal(StoredImage(labels, GRID).to_image().data.numpy(), labels)


def test_uint64_above_int64_is_refused():
    with pytest.raises(ImageError, match="uint64 values above"):
        StoredImage(np.full((1, 3, 2), 2**63, np.uint64), GRID).to_image()


def test_foreign_byte_order_and_strides_become_native_and_contiguous():
    array = np.arange(6, dtype=">f4").reshape(1, 2, 3).swapaxes(1, 2)
    stored = StoredImage(array, GRID)
    assert stored.array.dtype.isnative
    assert stored.array.flags.c_contiguous
    np.testing.assert_array_equal(stored.array, array)


def test_an_array_that_does_not_fill_its_grid_is_refused():
    with pytest.raises(ImageError, match="does not fill"):
        StoredImage(np.zeros((1, 2, 3)), GRID)


@pytest.mark.parametrize("dtype", ["complex64", "U3"])
def test_what_is_no_real_number_is_refused(dtype):
    with pytest.raises(ImageError, match="complex|no numbers"):
        StoredImage(np.zeros((1, 3, 2), dtype), GRID)


def test_an_image_goes_to_torch_and_back():
    stored = StoredImage(np.arange(6, dtype=np.int16).reshape(1, 3, 2), GRID, metadata={"path": "a"})
    back = StoredImage.of(stored.to_image())
    np.testing.assert_array_equal(back.array, stored.array)
    assert (back.grid, back.leading, back.name) == (GRID, stored.leading, "a")


def test_a_tensor_that_needs_gradients_or_is_bfloat16_can_be_stored():
    from medreg.image import MedImage

    image = MedImage.on(GRID, torch.ones(1, 3, 2, dtype=torch.bfloat16, requires_grad=True))
    assert StoredImage.of(image).array.dtype == np.float32


def test_a_stored_image_pickles_whole(save_nifti, voxels, oblique):
    stored = read_stored(save_nifti(voxels, oblique))
    again = pickle.loads(pickle.dumps(stored))
    np.testing.assert_array_equal(again.array, stored.array)
    assert (again.grid, again.metadata) == (stored.grid, stored.metadata)


def test_importing_io_imports_no_heavy_library_and_reading_no_torch(save_nifti, voxels):
    path = save_nifti(voxels)
    program = f"""
import sys, medreg.io
heavy = {{"torch", "nibabel", "SimpleITK", "pydicom", "scipy"}} & set(sys.modules)
assert not heavy, heavy
medreg.io.check_registrable(medreg.io.read_stored({str(path)!r}))
assert "torch" not in sys.modules and "SimpleITK" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
