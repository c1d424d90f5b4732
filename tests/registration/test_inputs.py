"""From images as given to tensors: which channels are kept, what is averaged, and what is refused in which words."""

from __future__ import annotations

import pytest
import torch

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.registration.inputs import MOST_LABELS, label_volumes, mask_of, volumes

GRID = Grid.regular((6, 5, 4), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0))


def image(channels: int = 1, seed: int = 0, leading: Leading = Leading.CHANNELS, name: str = "ct.nii") -> MedImage:
    data = torch.rand(channels, *GRID.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return MedImage.on(GRID, data, leading, {"path": name})


def labelled(*values: float, name: str = "labels.nii") -> MedImage:
    """A map whose voxels bear these values in turn."""
    data = torch.tensor(values, dtype=torch.float64).repeat(120)[:120].reshape(1, *GRID.shape)
    return MedImage.on(GRID, data, metadata={"path": name})


# Volumes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_as_many_channels_are_kept_each(channels):
    one, other = image(channels), image(channels, seed=1)
    for found, given in zip(volumes(one, other), (one, other), strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, given.data.float())


@pytest.mark.parametrize(("first", "second"), [(3, 1), (1, 3), (3, 4), (2, 3)])
def test_unlike_numbers_of_channels_are_averaged(first, second):
    one, other = image(first), image(second, seed=1)
    for found, given in zip(volumes(one, other), (one, other), strict=True):
        assert found.shape == (1, *GRID.shape)
        torch.testing.assert_close(found, given.data.mean(0, keepdim=True).float())


def test_a_series_of_one_volume_is_an_image():
    one = image(leading=Leading.FRAMES)
    assert torch.equal(volumes(one, one)[0], one.data.float())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.bool])
def test_whole_numbers_become_float32(dtype):
    one = image().with_data((image().data > 0.5).to(dtype))
    assert volumes(one, one)[0].dtype == torch.float32


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("case", ["series", "constant", "flat"])
def test_what_cannot_be_compared_is_refused_by_name(which, case):
    if case == "flat":
        wrong = MedImage.on(Grid.regular((6, 5), (1.0, 1.0)), torch.rand(1, 5, 6), metadata={"path": "bad.nii"})
        said = "is 2D.*is 3D" if which == 0 else "is 3D and bad.nii is 2D; both must have the same dimension"
    elif case == "series":
        wrong, said = image(2, leading=Leading.FRAMES, name="bad.nii"), "bad.nii holds 2 volumes; .* --volume N or"
    else:
        wrong = image(name="bad.nii")
        wrong, said = wrong.with_data(torch.full_like(wrong.data, 5.0)), "bad.nii is constant, every voxel is 5"
    pair = [image(), image()]
    pair[which] = wrong
    with pytest.raises(ImageError, match=said):
        volumes(*pair)


# Masks --------------------------------------------------------------------------------------------------------------


def test_no_mask_is_no_mask():
    assert mask_of(None, image()) is None


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.float64])
def test_a_mask_counts_where_any_channel_is_not_zero(dtype):
    shown = torch.zeros(2, *GRID.shape)
    shown[0, 1], shown[1, 2, 3] = 1, 1
    mask = image().with_data((shown * (1 if dtype == torch.bool else 7)).to(dtype))
    found = mask_of(mask, image())
    assert found.dtype == torch.float32
    assert torch.equal(found, (shown.sum(0, keepdim=True) > 0).float())


def test_negative_values_count_too():
    mask = image().with_data(torch.where(torch.arange(120).reshape(1, *GRID.shape) < 5, -1.0, 0.0))
    assert float(mask_of(mask, image()).sum()) == 5


@pytest.mark.parametrize("case", ["empty", "other size", "other place"])
def test_a_mask_that_does_not_fit_is_refused(case):
    mask, said = (
        image(name="mask.nii"),
        r"mask mask.nii does not lie on the grid of ct.nii \(size .*medreg apply mask.nii",
    )
    if case == "empty":
        mask, said = mask.with_data(torch.zeros_like(mask.data)), "mask mask.nii is empty: no voxel is above 0"
    elif case == "other size":
        mask = MedImage.on(Grid.regular((6, 5, 3), GRID.spacing, GRID.origin), mask.data[:, 1:], metadata=mask.metadata)
    else:
        mask = MedImage.on(Grid.regular(GRID.size, GRID.spacing), mask.data, metadata=mask.metadata)
    with pytest.raises(ImageError, match=said):
        mask_of(mask, image())


def test_a_header_that_rounds_is_the_same_grid():
    near = Grid.regular(GRID.size, GRID.spacing, tuple(o + 5e-3 for o in GRID.origin))
    assert mask_of(MedImage.on(near, image().data), image()) is not None


# Labels -------------------------------------------------------------------------------------------------------------


def test_each_label_that_both_maps_hold_is_a_channel_in_rising_order():
    one, other = labelled(0, 9, 2, 5), labelled(5, 0, 7, 9)
    found = label_volumes(image(), one, image(), other)
    for volume, given in zip(found, (one, other), strict=True):
        assert volume.dtype == torch.float32
        assert torch.equal(volume, torch.cat([given.data == value for value in (5, 9)]).float())


def test_zero_is_no_label():
    first, second = label_volumes(image(), labelled(0, 1), image(), labelled(1, 0))
    assert len(first) == len(second) == 1


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("case", ["fractions", "channels", "many", "place", "strangers", "nothing"])
def test_what_is_no_map_of_labels_is_refused_by_name(which, case):
    wrong = {
        "fractions": labelled(0, 1, 1.5, name="bad.nii"),
        "channels": image(3, name="bad.nii"),
        "many": labelled(*range(MOST_LABELS + 1), name="bad.nii"),
        "place": MedImage.on(Grid.regular(GRID.size, GRID.spacing), labelled(0, 1).data, metadata={"path": "bad.nii"}),
        "strangers": labelled(0, 8, name="bad.nii"),
        "nothing": labelled(0, name="bad.nii"),
    }[case]
    said = {
        "fractions": "bad.nii is no label map: it has 1 channels and 3 different",
        "channels": "bad.nii is no label map: it has 3 channels",
        "many": f"bad.nii is no label map: .* {MOST_LABELS + 1} different values; wanted .* at most {MOST_LABELS}",
        "place": "label map bad.nii does not lie on the grid of ct.nii",
        "strangers": r"share no label: .*\[8\]",
        "nothing": r"share no label: .*\[\]",
    }[case]
    maps = [labelled(0, 1), labelled(0, 1)]
    maps[which] = wrong
    with pytest.raises(ImageError, match=said):
        label_volumes(image(), maps[0], image(), maps[1])


def test_the_most_labels_are_still_a_map():
    full = labelled(*range(MOST_LABELS))
    assert len(label_volumes(image(), full, image(), full)[0]) == MOST_LABELS - 1
