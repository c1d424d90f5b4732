"""Label maps that are mixed draw a warning; other images do not."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medreg.errors import MedregWarning, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops import (
    Background,
    MoveGrid,
    Resampled,
    affine,
    looks_like_labels,
    resample_onto,
    resample_to_spacing,
    resize,
    room,
    rotate,
    rotation,
    scale,
    translate,
)
from medreg.sample import CubicBSpline, Fill, Label, Linear, Nearest, WindowedSinc

GRID = Grid.regular((24, 20, 16), (1.0, 1.2, 1.5))


def noise() -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(0).standard_normal(GRID.shape), 2)
    return (smooth - smooth.min()) / np.ptp(smooth)


def image(voxels: np.ndarray) -> MedImage:
    return MedImage.on(GRID, torch.from_numpy(voxels)[None], metadata={"path": "map.nii"})


LABELS = image(np.digitize(noise(), [0.45, 0.55, 0.65, 0.8]).astype(np.uint8))
MIXED = {
    "rotate": lambda x, k: rotate(x, (0, 0, 30), interpolation=k),
    "scale": lambda x, k: scale(x, 1.1, interpolation=k),
    "affine": lambda x, k: affine(x, [rotation((0, 9, 0))], interpolation=k),
    "translate": lambda x, k: translate(x, (0.5, 0, 0), by=Resampled(k)),
    "spacing": lambda x, k: resample_to_spacing(x, 1.1, interpolation=k),
    "resize": lambda x, k: resize(x, (11, 12, 13), interpolation=k),
    "onto": lambda x, k: resample_onto(x, Grid.regular((9, 9, 9), (2.0, 2.0, 2.0)), interpolation=k),
}


@pytest.mark.parametrize(
    ("name", "voxels", "expected"),
    [
        ("five labels", LABELS.data[0].numpy(), True),
        ("large numbers", LABELS.data[0].numpy().astype(np.int32) * 1001, True),
        ("a mask", noise() > 0.6, True),
        ("a mask of most of the image", noise() > 0.1, True),
        ("a grey image", (900 * noise()).astype(np.int16), False),
        ("eight bits", (255 * noise()).astype(np.uint8), False),
        ("white paper", np.where(noise() > 0.5, 255, 500 * noise()).astype(np.uint8), False),
        ("fractions", LABELS.data[0].numpy().astype(np.float32), False),
        ("Hounsfield units", LABELS.data[0].numpy().astype(np.int16) - 1000, False),
        ("nothing", np.zeros(GRID.shape, np.uint8), False),
    ],
)
def test_labels_are_told_from_grey_values(name, voxels, expected):
    assert looks_like_labels(torch.from_numpy(voxels)[None]) is expected


@pytest.mark.parametrize("operation", MIXED)
@pytest.mark.parametrize("kernel", [Linear(), CubicBSpline(), WindowedSinc()], ids=str)
def test_mixing_labels_warns_and_names_nearest(operation, kernel):
    with pytest.warns(MedregWarning, match="map.nii: looks like a label map .* nearest"):
        MIXED[operation](LABELS, kernel)


@pytest.mark.parametrize("operation", MIXED)
@pytest.mark.parametrize("kernel", [Nearest(), Label()], ids=str)
def test_nearest_and_label_keep_labels_and_say_nothing(operation, kernel):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved = MIXED[operation](LABELS, kernel)
    assert moved.data.dtype == torch.uint8
    assert set(moved.data.unique().tolist()) <= set(LABELS.data.unique().tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translate(LABELS, (0.5, 0, 0), by=MoveGrid())


def test_frames_of_labels_have_their_own_background():
    two = MedImage.on(GRID, torch.cat([LABELS.data + 3, LABELS.data + 9]))
    gone = translate(two, (99, 0, 0), by=Resampled(Label(), Background()))
    border = [frame.unique().numel() for frame in gone.data]
    assert border == [1, 1]
    assert int(gone.data[1].max()) - int(gone.data[0].max()) == 6


def test_labels_by_vote_are_those_of_the_linear_shares():
    turned = rotate(LABELS, (10, 20, 30), interpolation=Label(1)).data[0]
    shares = [
        rotate(LABELS.with_data((LABELS.data == k).double()), (10, 20, 30), outside=Fill(float(k == 0))).data[0]
        for k in range(5)
    ]
    best = torch.stack(shares)
    clear = best.sort(0).values[-1] - best.sort(0).values[-2] > 1e-4
    assert clear.float().mean() > 0.95
    assert torch.equal(turned[clear].long(), best.argmax(0)[clear])


def test_a_result_larger_than_the_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(room, "memory_of", lambda device: 2**30)
    with pytest.raises(
        UsageError, match=re.escape("a spacing of (0.01, 0.01, 0.01) mm makes 2400 x 2400 x 2400 voxels, 12.9 GiB")
    ):
        resample_to_spacing(LABELS, 0.01, interpolation=Nearest())
    with pytest.raises(UsageError, match="this machine has 1.0 GiB"):
        resample_to_spacing(LABELS, 0.01, interpolation=Nearest())
    assert resample_to_spacing(LABELS, 0.5, interpolation=Nearest()).size == (48, 48, 48)


def test_the_memory_of_this_machine_is_known():
    found = room.memory_of(torch.device("cpu"))
    assert found is None or found > 2**28
