"""Encoding large arrays, which happens in pieces, is what one line of numpy says."""

from __future__ import annotations

import numpy as np
import pytest

from medreg.io.encoding import _BLOCK, Encoding, encode

SIZE = 2 * _BLOCK + 77


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32"])
@pytest.mark.parametrize("values", ["float16", "float32", "float64"])
def test_floats_are_rounded_half_to_even_and_clipped(dtype, values):
    array = (np.random.default_rng(0).normal(size=SIZE) * 300).astype(values).reshape(3, -1)
    array.flat[-3:] = 0.5, 1.5, 2.5
    limits = np.iinfo(dtype)
    whole = np.rint(array.astype(np.float64))
    encoded = encode(array, Encoding(np.dtype(dtype)))
    np.testing.assert_array_equal(encoded.array, np.clip(whole, limits.min, limits.max))
    assert encoded.clipped == np.count_nonzero((whole < limits.min) | (whole > limits.max))
    assert encoded.rounded
    assert encoded.array.flat[-3:].tolist() == [0, 2, 2]


def test_one_voxel_in_the_last_piece_is_enough_to_say_so():
    array = np.zeros(SIZE, np.float32)
    array[-1] = 0.25
    assert encode(array, Encoding(np.dtype("int16"))).rounded
    array[-1] = 1e6
    assert encode(array, Encoding(np.dtype("int16"))).clipped == 1
    array[-1] = np.nan
    assert encode(array, Encoding(np.dtype("int16"))).not_finite == 1


def test_whole_numbers_in_range_are_neither_rounded_nor_clipped():
    encoded = encode(np.arange(SIZE, dtype=np.float64) % 256, Encoding(np.dtype("uint8")))
    assert (encoded.rounded, encoded.clipped, encoded.not_finite) == (False, 0, 0)


def test_floats_that_lose_digits_are_called_rounded():
    third = np.full(SIZE, 1 / 3)
    assert encode(third, Encoding(np.dtype("float32"))).rounded
    assert not encode(third.astype(np.float32).astype(np.float64), Encoding(np.dtype("float32"))).rounded


@pytest.mark.parametrize(
    ("values", "dtype"), [("int64", "uint8"), ("uint8", "int8"), ("int8", "uint8"), ("uint64", "int64")]
)
def test_integers_are_clipped_to_narrower_ones(values, dtype):
    ends = np.iinfo(values)
    array = np.array([ends.min, 0, 1, ends.max], values)
    expected = [min(max(int(v), np.iinfo(dtype).min), np.iinfo(dtype).max) for v in array]
    encoded = encode(array, Encoding(np.dtype(dtype)))
    assert encoded.array.tolist() == expected
    assert encoded.clipped == sum(int(v) != e for v, e in zip(array, expected, strict=True))


def test_an_image_already_of_the_dtype_is_not_copied():
    array = np.zeros(5, np.int16)
    assert encode(array, Encoding(np.dtype("int16"))).array is array
