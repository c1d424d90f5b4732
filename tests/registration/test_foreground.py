"""The automatic foreground holds the head, whatever its contrast, and a section on a slide, whatever its colour."""

from __future__ import annotations

import numpy as np
import phantom
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.registration.foreground import foreground_mask

FULL = phantom.Grid.centred((65, 80, 65), (3.0, 3.0, 3.0), (0, 4, -3))
THICK = phantom.Grid.centred((100, 120, 12), (2.0, 2.0, 6.0), (0, 4, 20))
OBLIQUE = phantom.Grid.centred((60, 72, 66), (3.3, 3.0, 3.1), (2, 1, -1), phantom.rotation((14, -13, 15)))


def image(grid: phantom.Grid, voxels: np.ndarray) -> MedImage:
    """Voxels [i, j, k] on their grid."""
    return MedImage.on(Grid.from_affine(grid.size, grid.affine), torch.from_numpy(np.ascontiguousarray(voxels.T))[None])


@pytest.mark.parametrize("contrast", [phantom.T1, phantom.T2, phantom.CT], ids=["T1", "T2", "CT"])
@pytest.mark.parametrize("grid", [FULL, THICK, OBLIQUE], ids=["full", "thick", "oblique"])
def test_it_holds_the_head_and_not_much_more(contrast, grid):
    scan = image(grid, phantom.render(grid, contrast, noise=0.02, seed=1))
    mask = foreground_mask(scan)
    head = image(grid, phantom.render_labels(grid)).data > 0
    assert (mask.grid, mask.data.dtype, set(mask.data.unique().tolist())) == (scan.grid, torch.uint8, {0, 1})
    counts = mask.data > 0
    assert (counts & head).sum() >= 0.99 * head.sum()
    assert counts.sum() <= 1.5 * head.sum()


def test_very_bright_voxels_do_not_hide_the_head():
    voxels = phantom.render(FULL, phantom.T1, noise=0.02, seed=1)
    head = image(FULL, phantom.render_labels(FULL)).data > 0
    voxels[30:34, 38:42, 30:34] = 5000 * voxels.max()
    counts = foreground_mask(image(FULL, voxels)).data > 0
    assert (counts & head).sum() >= 0.99 * head.sum()


def section(background: tuple[float, ...], tissue: tuple[float, ...]) -> tuple[MedImage, torch.Tensor]:
    """An ellipse with a hole on a slide of 501 x 403 pixels, noise upon both; and where it is, its hole counted."""
    y, x = np.mgrid[:403, :501]
    shape = ((x - 260) / 150) ** 2 + ((y - 190) / 110) ** 2 < 1
    hole = ((x - 240) / 20) ** 2 + ((y - 180) / 25) ** 2 < 1
    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape.shape), 1.0)
    planes = [np.where(shape & ~hole, t, b) + 12 * noise for b, t in zip(background, tissue, strict=True)]
    data = torch.from_numpy(np.stack(planes).clip(0, 255).astype(np.uint8))
    return MedImage.on(Grid.regular((501, 403), (1, 1)), data), torch.from_numpy(shape)[None]


@pytest.mark.parametrize(
    ("background", "tissue"),
    [
        ((240, 240, 240), (180, 90, 160)),  # stained, on light
        ((240,), (120,)),
        ((10,), (160,)),  # fluorescence
        ((120, 120, 120), (180, 60, 120)),  # of one mean: only its colour tells it
    ],
)
def test_a_section_is_found_on_light_and_on_dark_by_its_colour(background, tissue):
    slide, truth = section(background, tissue)
    counts = foreground_mask(slide).data > 0
    assert (counts & truth).sum() >= 0.999 * truth.sum()  # its hole filled
    assert counts.sum() <= 1.5 * truth.sum()


def test_the_margin_reaches_beyond_the_outline_on_all_sides():
    slide, truth = section((240,), (120,))
    counts = foreground_mask(slide).data > 0
    for axis in (1, 2):
        found, true = (torch.where(m.any(2 if axis == 1 else 1)[0])[0] for m in (counts, truth))
        assert 8 <= true[0] - found[0] <= 40  # px: at least two coarse pixels of 7, less the one that it may miss
        assert 8 <= found[-1] - true[-1] <= 40


def test_what_has_no_foreground_is_refused():
    grid = Grid.regular((20, 20), (1, 1))
    with pytest.raises(ImageError, match="is constant"):
        foreground_mask(MedImage.on(grid, torch.full((1, 20, 20), 3.0)))
    with pytest.raises(ImageError, match="holds 2 volumes"):
        foreground_mask(MedImage.on(grid, torch.rand(2, 20, 20), Leading.FRAMES))
