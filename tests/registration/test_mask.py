"""Masks and what is excluded become one mask."""

from __future__ import annotations

import pytest
import torch

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.registration.mask import combined

GRID = Grid.regular((4, 3), (2.0, 2.0))
IMAGE = MedImage.on(GRID, torch.rand(1, 3, 4), metadata={"path": "image.nii"})


def mask(rows: list[list[int]], name: str = "mask.nii", grid: Grid = GRID) -> MedImage:
    """A mask of some rows."""
    return MedImage.on(grid, torch.tensor([rows]), metadata={"path": name})


LEFT = mask([[5, 5, 0, 0]] * 3)
TOP = mask([[1, 1, 1, 1], [0] * 4, [0] * 4], "lesion.nii")


def test_without_anything_excluded_a_mask_is_itself():
    assert combined(IMAGE, None, None) is None
    assert combined(IMAGE, LEFT, None) is LEFT


def test_what_is_excluded_does_not_count():
    both = combined(IMAGE, None, TOP)
    assert both is not None
    assert both.data[0].tolist() == [[0] * 4, [1] * 4, [1] * 4]


def test_a_mask_counts_but_for_what_is_excluded():
    both = combined(IMAGE, LEFT, TOP)
    assert both is not None
    assert both.data[0].tolist() == [[0] * 4, [1, 1, 0, 0], [1, 1, 0, 0]]
    assert (both.grid, both.name) == (GRID, "mask.nii")


def test_nothing_left_is_refused():
    with pytest.raises(ImageError, match=r"all\.nii excludes all of image\.nii inside mask\.nii"):
        combined(IMAGE, LEFT, mask([[1, 1, 0, 0]] * 3, "all.nii"))


@pytest.mark.parametrize("grid", [Grid.regular((4, 3), (1.0, 2.0)), Grid.regular((4, 3), (2.0, 2.0), (1.0, 0.0))])
def test_a_mask_on_another_grid_is_refused_with_the_command_that_helps(grid):
    elsewhere = mask([[1, 1, 0, 0]] * 3, "elsewhere.nii", grid)
    for masks in ((None, elsewhere), (elsewhere, TOP)):
        with pytest.raises(
            ImageError, match=r"elsewhere\.nii does not lie on .*medreg apply elsewhere\.nii --like image"
        ):
            combined(IMAGE, *masks)
