# ruff: noqa: E501  the table below has a line for each function
"""Every public function refuses arguments of the wrong type or range, with an error that names the argument."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import medreg.ops
from medreg import ops
from medreg.batch import MedImageBatch
from medreg.errors import MedregError
from medreg.geometry.grid import Grid
from medreg.image import Leading, MedImage
from medreg.ops import Antialias, Expand, NyulScale, Quantiles, Resampled
from medreg.sample import Fill, Linear, Nearest

GRID = Grid.regular((5, 4, 3), (1.0, 1.5, 2.0))
OTHER = Grid.regular((5, 4, 3), (1.0, 1.5, 2.0), (9.0, 0.0, 0.0))
IMAGE = MedImage.on(GRID, torch.arange(60.0).view(1, 3, 4, 5))
WHOLE = MedImage.on(GRID, torch.arange(60).view(1, 3, 4, 5))
MASK = MedImage.on(GRID, (torch.arange(60) > 30).view(1, 3, 4, 5).to(torch.uint8))
EYE = torch.eye(4, dtype=torch.float64)
BATCH = MedImageBatch.stack([IMAGE, IMAGE])
SCALE = NyulScale((0.0, 100.0), (0.0, 1.0))
TRACKED = torch.tensor([1.0, 1.0, 1.0], requires_grad=True)
NAN = float("nan")
INF = float("inf")

BAD: dict[str, dict[str, list[Any]]] = {
    "a place": {
        "image": [None, np.zeros((1, 3, 4, 5)), "image.nii", 5, [IMAGE], torch.zeros(4, 5), torch.zeros(0, 1, 3, 4, 5)]
    },
    "kernel": {"interpolation": ["linear", Linear, None, 1]},
    "outside": {
        "outside": ["edge", 0, None, Fill, Fill("black"), Fill(None), Fill([1.0, 2.0]), Fill(torch.zeros(1, 2))]
    },
    "axes": {"axes": ["world", 0, None]},
    "frame": {"frame": ["expand", Expand, None, True]},
    "centre": {"centre": [(0, 0), 5, "middle", (0, 0, NAN), (0, 0, INF), torch.zeros(4), [[0, 0, 0]], ()]},
}
"""What many functions take."""

CASES: list[tuple[Callable[..., Any], dict[str, Any], dict[str, list[Any]]]] = [
    (
        ops.rotate,
        {"image": IMAGE, "angles": (1.0, 2.0, 3.0)},
        {
            "angles": [None, "90", 5, (1, 2), (1, 2, NAN), (1, 2, INF), [], {}, torch.zeros(2), np.array(["a"] * 3), [1, [2], 3]],
            "order": ["xyz", (0, 1, 2), None],
            **BAD["a place"], **BAD["kernel"], **BAD["outside"], **BAD["axes"], **BAD["frame"], **BAD["centre"],
        },
    ),
    (
        ops.scale,
        {"image": IMAGE, "factors": 1.5},
        {
            "factors": [0, (1, 0, 1), NAN, INF, (1, 2), None, "2", [], torch.zeros(2), 1j],
            **BAD["a place"], **BAD["kernel"], **BAD["outside"], **BAD["axes"], **BAD["frame"], **BAD["centre"],
        },
    ),
    (
        ops.translate,
        {"image": IMAGE, "shift_mm": (1.0, 2.0, 3.0)},
        {
            "shift_mm": [5, (1, 2), (1, 2, NAN), None, "1", TRACKED],
            "by": ["grid", None, Linear(), Resampled],
            **BAD["a place"], **BAD["axes"],
        },
    ),
    (
        ops.affine,
        {"image": IMAGE, "steps": [EYE]},
        {
            "steps": [[], EYE, None, "eye", [EYE[:3, :3]], [EYE, torch.eye(3)], [EYE * NAN], [None], EYE.numpy()],
            **BAD["a place"], **BAD["kernel"], **BAD["outside"], **BAD["axes"], **BAD["frame"], **BAD["centre"],
        },
    ),
    (ops.composed, {"steps": [EYE]}, {"steps": [[], None, EYE, [EYE, EYE[:3, :3]], ["eye"], [EYE * INF]]}),
    (
        ops.resample_to_spacing,
        {"image": IMAGE, "spacing": 2.0},
        {
            "spacing": [0, -1, INF, NAN, 1e-300, (1, 2), (1, 2, 0), None, "1", [], torch.zeros(3), TRACKED, True, 1j],
            "antialias": [True, 0.4, "yes", Antialias],
            **BAD["a place"], **BAD["kernel"], **BAD["outside"],
        },
    ),
    (
        ops.resize,
        {"image": IMAGE, "size": (2, 2, 2)},
        {
            "size": [2, (2, 2), (2, 2, 0), (2, 2, 1.5), (2, 2, NAN), None, "222", [], (2, 2, True), torch.zeros(3), (2, 2, 10**12)],
            "antialias": [True, 0.4, "yes", Antialias],
            **BAD["a place"], **BAD["kernel"], **BAD["outside"],
        },
    ),
    (
        ops.resample_onto,
        {"image": IMAGE, "onto": GRID},
        {
            "onto": [None, (5, 4, 3), torch.zeros(3), Grid, Grid.regular((10**6,) * 3, (1.0,) * 3)],
            "through": [5, "t.tfm", [[1, 0], [0, 1]], EYE * NAN, np.full((4, 4), INF), np.array([["a"] * 4] * 4), EYE * 1j],
            **BAD["a place"], **BAD["kernel"], **BAD["outside"],
        },
    ),
    (
        ops.crop,
        {"image": IMAGE, "start": (0, 0, 0), "size": (2, 2, 2)},
        {
            "start": [1, (0, 0), (0, 0, 9), (-1, 0, 0), (0, 0, 0.5), None, "000", [], (0, 0, NAN)],
            "size": [3, (2, 2), (2, 2, 9), (2, 2, 0), None, "222", [], (2, 2, INF)],
            **BAD["a place"],
        },
    ),
    (
        ops.pad,
        {"image": IMAGE, "before": (1, 1, 1), "after": (0, 0, 0)},
        {
            "before": [1, (1, 1), (1, 1, -1), (1, 1, 0.5), None, "111", (10**6,) * 3],
            "after": [1, (1, 1), (1, 1, -1), None, "111", []],
            **BAD["a place"], **BAD["outside"],
        },
    ),
    (
        ops.crop_or_pad,
        {"image": IMAGE, "size": (2, 9, 2)},
        {"size": [3, (2, 2), (2, 2, 0), None, "222", [], (2, 2, INF), (10**6,) * 3], **BAD["a place"], **BAD["outside"]},
    ),
    (ops.reorient, {"image": IMAGE, "code": "RAS"}, {"code": [None, 5, "", "RA", "RAX", "RLS", "RASL", ("R", "A", "S"), b"RAS"], **BAD["a place"]}),
    (ops.permute, {"image": IMAGE, "axes": (2, 1, 0)}, {"axes": [0, (0, 1), (0, 0, 1), (0, 1, 3), (0, 1, 0.5), None, "xyz", []], **BAD["a place"]}),
    (ops.flip, {"image": IMAGE, "axes": [0]}, {"axes": [0, [3], [-1], [0.5], None, "x", [NAN]], **BAD["a place"]}),
    (ops.rotation, {"angles": 5.0}, {"angles": [(1, 2), (1, 2, 3, 4), None, "5", NAN, []], "centre": [(1, 2, 3), 5, "c", (0, NAN)], "order": ["xyz", None]}),
    (ops.scaling, {"factors": 2.0, "dimension": 3}, {"factors": [0, (1, 2), NAN, None], "dimension": [4, 2.5, None, "3"], "centre": [(1, 2), "c"]}),
    (ops.shearing, {"shears": (0.1, 0.0, 0.0), "dimension": 3}, {"shears": [0.1, (1, 2), (1, 2, NAN), None], "dimension": [4, 2.5, None], "centre": [(1, 2)]}),
    (ops.translation, {"shift_mm": (1.0, 2.0)}, {"shift_mm": [5, (1, 2, 3, 4), (1, NAN), None, "12"]}),
    (ops.turns, {"angles": torch.zeros(2, 3)}, {"order": ["xyz", None], "angles": [None, (1, 2, 3), torch.zeros(2, 2), torch.zeros(3, dtype=torch.int32), torch.zeros(())]}),
    (
        ops.placement,
        {"spacing": (1.0, 2.0), "origin": (0.0, 0.0)},
        {"spacing": [0, (1, -1), (1, 2, 3), NAN, None, "1"], "origin": [5, (1, 2, 3, 4), (0, NAN), None], "direction": [torch.eye(3), "LPS", EYE * NAN]},
    ),
    (
        ops.warp_in_world,
        {"volume": IMAGE.data, "motion": EYE, "place": EYE, "onto": EYE, "shape": (3, 4, 5)},
        {
            "volume": [IMAGE, None, np.zeros((1, 3, 4, 5))],
            "motion": [None, EYE[:3, :3], EYE * NAN, np.eye(4), torch.eye(4, dtype=torch.int64), EYE * 0, EYE.expand(3, 4, 4)],
            "place": [None, EYE[:3, :3], EYE * INF],
            "onto": [None, EYE[:3], EYE * NAN],
            "shape": [5, (3, 4), (3, 4, 0), None, "345", (3, 4, 0.5)],
            **BAD["kernel"], **BAD["outside"],
        },
    ),
    (ops.z_score, {"image": IMAGE}, {"image": [None, "a", np.zeros(3), [IMAGE]], "mask": [5, "m", np.ones(3), torch.ones(2, 2), MedImage.on(OTHER, MASK.data)]}),
    (ops.z_score, {"image": IMAGE.data}, {"dimension": [0, 1, 4, "3", None, True, 2.5]}),
    (ops.min_max, {"image": IMAGE}, {"image": [None, "a"], "mask": [5, "m", torch.ones(2, 2), MedImage.on(OTHER, MASK.data)]}),
    (
        ops.rescale,
        {"image": IMAGE, "to": (0.0, 1.0)},
        {"image": [None], "to": [5, (1,), (1, 2, 3), (0, NAN), None, "01", ("a", "b")], "source": [5, (1, 1), (0, INF), "01", (1, 2, 3)], "mask": [5]},
    ),
    (ops.window, {"image": IMAGE, "through": ops.ExactWindow(0.0, 1.0)}, {"image": [None], "through": [None, (40, 400), ops.ExactWindow], "to": [5, (0, NAN), None]}),
    (ops.LinearWindow, {"centre": 40.0, "width": 400.0}, {"centre": [None, "40", NAN, (1, 2)], "width": [0, 0.5, -1, NAN, INF, None, "400"]}),
    (ops.ExactWindow, {"centre": 40.0, "width": 400.0}, {"centre": [None, NAN], "width": [0, -1, NAN, None]}),
    (ops.SigmoidWindow, {"centre": 40.0, "width": 400.0}, {"centre": [None, NAN], "width": [0, -1, NAN, None]}),
    (ops.clip, {"image": IMAGE, "low": 0.0, "high": 5.0}, {"image": [None, "a", IMAGE.data * 1j], "low": ["0", 9, NAN, (0, 1), 1j], "high": ["0", -9, NAN]}),
    (ops.clip, {"image": WHOLE, "low": 0.0, "high": 5.0}, {"low": [0.5, NAN, INF, "a"], "high": [4.5, NAN, -INF]}),
    (
        ops.histogram_match,
        {"image": IMAGE, "reference": IMAGE},
        {"image": [None, np.zeros(3)], "reference": [None, "r", np.zeros(3)], "mask": [5, torch.ones(2)], "by": [256, None, Quantiles]},
    ),
    (ops.Quantiles, {"count": 5}, {"count": [1, 0, -3, 2.5, None, "5", NAN, INF]}),
    (
        ops.nyul_train,
        {"images": [IMAGE]},
        {"images": [[], IMAGE, None, [None]], "masks": [[], MASK, [MASK, MASK], [5]], "percentiles": [(5,), (50, 10), (-1, 50), (0, 101), (0, NAN), None, "ab"], "to": [5, (0, NAN), None]},
    ),
    (ops.NyulScale, {"percentiles": (0.0, 100.0), "landmarks": (0.0, 1.0)}, {"percentiles": [(0.0,), (50.0, 10.0), (0.0, NAN), None], "landmarks": [(0.0,), (1.0, 0.0), (0.0, NAN), None]}),
    (ops.nyul_apply, {"image": IMAGE, "scale": SCALE}, {"image": [None], "scale": [None, (0, 1), {}], "mask": [5]}),
    (ops.quantiles, {"values": torch.arange(5.0), "shares": torch.tensor([0.5])}, {"values": [None, [1, 2], torch.zeros(2, 2), torch.zeros(0)], "shares": [None, 0.5, torch.tensor([1.5]), torch.tensor([-0.1]), torch.tensor([NAN])]}),
    (ops.Antialias, {"strength": 0.4}, {"strength": [0, -1, NAN, INF, None, "a"]}),
    (ops.found_labels, {"labels": WHOLE}, {"labels": [None, IMAGE.data + 0.5, np.zeros(3), IMAGE.data * NAN, IMAGE.data + INF]}),
    (ops.one_hot, {"labels": WHOLE}, {"labels": [None, np.zeros(3), IMAGE.data + 0.5, torch.zeros(2, 3, 4, 5)], "values": [5, [], [1, 1], [0.5], "12", [NAN], list(range(5000))]}),
    (ops.one_hot, {"labels": WHOLE.data}, {"dimension": [1, 4, None, "3"]}),
    (ops.centroids, {"masks": MASK}, {"masks": [None, MASK.data, "m", MASK.with_data(MASK.data * 0)]}),
    (ops.centroids_on, {"masks": MASK.data, "grid": GRID}, {"masks": [None, MASK, torch.ones(2, 2)], "grid": [None, IMAGE]}),
    (ops.maximum_radii, {"masks": MASK}, {"masks": [None, MASK.data], "above": [None, "a", NAN]}),
    (ops.maximum_radii_on, {"masks": MASK.data, "grid": GRID}, {"masks": [None, torch.ones(2, 2)], "grid": [None], "above": [None, NAN]}),
    (ops.masks_from_points, {"points": [(0.0, 0.0, 0.0)], "onto": GRID}, {"points": [[], None, [(0, 0)], [(0, 0, NAN)], "p", 5, (0, 0, 0)], "onto": [None, IMAGE], "radius_mm": [-1, NAN, None, "5"]}),
    (ops.balls, {"points": [(0.0, 0.0, 0.0)], "grid": GRID}, {"points": [[], None, [(0, 0)]], "grid": [None, IMAGE], "radius_mm": [-1, NAN, INF]}),
    (ops.points_from_masks, {"masks": MASK}, {"masks": [None, MASK.data], "at_most": [0, -1, 1.5, "5"]}),
    (ops.points_on, {"masks": MASK.data, "grid": GRID}, {"masks": [None, MASK, torch.ones(2, 2)], "grid": [None], "at_most": [0, NAN]}),
    (ops.bias_free_statistics, {"image": IMAGE, "masks": MASK}, {"image": [None, BATCH, np.zeros(3)], "masks": [None, 5, MedImage.on(OTHER, MASK.data)], "order": [-1, 7, 1.5, None, "2"]}),
    (ops.bias_free_statistics, {"image": IMAGE.data, "masks": MASK.data}, {"dimension": [1, 4, None]}),
    (ops.each, {"values": [1, 2]}, {"values": [5, None, "ab", torch.tensor(5.0)]}),
    (MedImageBatch, {"data": BATCH.data, "grids": BATCH.grids, "leadings": BATCH.leadings, "metadata": BATCH.metadata},
     {"data": [None, IMAGE, torch.zeros(2, 3), np.zeros(3)], "grids": [None, list(BATCH.grids), (1, 2)], "leadings": [None, Leading.CHANNELS], "metadata": [None, {}]}),
    (MedImageBatch.stack, {"images": [IMAGE]}, {"images": [[], None, IMAGE, [None], [IMAGE, IMAGE.data], IMAGE.data]}),
    (BATCH.__getitem__, {"number": 0}, {"number": [2, -3, "a", 0.5, None, slice(1)]}),
    (BATCH.with_data, {"data": BATCH.data}, {"data": [None, IMAGE.data, torch.zeros(1, 1, 3, 4, 5)]}),
]  # fmt: skip
"""Each function, a call of it that is sound, and what each argument must not be."""

ALL = [
    pytest.param(
        function, sound, name, bad, id=f"{getattr(function, '__qualname__', function)} {name}={str(bad)[:30]!r} {k}"
    )
    for function, sound, wrong in CASES
    for name, several in wrong.items()
    for k, bad in enumerate(several)
]


@pytest.mark.parametrize(("function", "sound", "name", "bad"), ALL)
def test_a_bad_argument_is_told_by_its_name(function, sound, name, bad):
    with pytest.raises(MedregError) as caught:
        function(**{**sound, name: bad})
    said = str(caught.value)
    assert re.search(rf"\b{re.escape(name)}\b", said), said
    assert len(said) < 600


@pytest.mark.parametrize(("function", "sound"), [case[:2] for case in CASES])
def test_the_call_beside_is_sound(function, sound):
    function(**sound)


def test_no_public_function_is_left_out():
    settings = {
        "Background",
        "Keep",
        "Expand",
        "MoveGrid",
        "EveryValue",
        "Resampled",
    }  # checked by those that take them
    values = {"MaskStatistics", "Axes", "Order", "looks_like_labels"}  # made, not taken; or any tensor
    tested = {getattr(case[0], "__name__", "") for case in CASES}
    public = {
        name
        for name in medreg.ops.__all__
        if inspect.isroutine(getattr(ops, name)) or inspect.isclass(getattr(ops, name))
    }
    assert public - settings - values - tested == set()


@pytest.mark.parametrize("make", [np.array, torch.tensor, list, tuple], ids=lambda make: make.__name__)
def test_arrays_and_tensors_of_numbers_serve_as_lists_do(make):
    def same(first: MedImage, second: MedImage) -> bool:
        return torch.equal(first.data, second.data) and first.grid == second.grid

    assert same(ops.resample_to_spacing(IMAGE, make([1.0, 1.0, 2.0])), ops.resample_to_spacing(IMAGE, (1.0, 1.0, 2.0)))
    assert same(
        ops.rotate(IMAGE, make([1.0, 2.0, 3.0]), make([1.0, 2.0, 3.0])), ops.rotate(IMAGE, (1, 2, 3), (1, 2, 3))
    )
    assert same(ops.scale(IMAGE, make([1.0, 2.0, 3.0])), ops.scale(IMAGE, (1, 2, 3)))
    assert same(ops.translate(IMAGE, make([1.0, 2.0, 3.0])), ops.translate(IMAGE, (1, 2, 3)))
    assert same(ops.resize(IMAGE, make([2, 3, 4])), ops.resize(IMAGE, (2, 3, 4)))
    assert same(ops.crop(IMAGE, make([1, 1, 1]), make([2, 2, 2])), ops.crop(IMAGE, (1, 1, 1), (2, 2, 2)))
    assert same(ops.pad(IMAGE, make([1, 1, 1]), make([2, 2, 2])), ops.pad(IMAGE, (1, 1, 1), (2, 2, 2)))
    assert same(ops.permute(IMAGE, make([2, 0, 1])), ops.permute(IMAGE, (2, 0, 1)))
    assert same(ops.flip(IMAGE, make([0, 2])), ops.flip(IMAGE, (0, 2)))
    assert torch.equal(ops.one_hot(WHOLE, make([3, 4])).data, ops.one_hot(WHOLE, (3, 4)).data)


def test_integers_are_clipped_at_infinity_by_nothing():
    assert torch.equal(ops.clip(WHOLE, -float("inf"), 5).data, WHOLE.data.clamp(max=5))
    assert torch.equal(ops.clip(WHOLE, 5, float("inf")).data, WHOLE.data.clamp(min=5))


def test_fills_that_integers_cannot_hold_are_told():
    for fill in (0.5, 300, -1, float("nan"), torch.tensor(300.0), [0.5], torch.tensor([float("inf")])):
        with pytest.raises(MedregError, match="fill|outside"):
            ops.rotate(MASK, (0, 0, 5), interpolation=Nearest(), outside=Fill(fill))
    beyond = ops.translate(IMAGE, (90, 0, 0), by=Resampled(outside=Fill(float("nan"))))
    assert beyond.data.isnan().all()  # a mark that floating point can hold


def test_a_fill_of_several_values_is_one_for_each_channel():
    two = MedImage.on(GRID, torch.cat([IMAGE.data, -IMAGE.data]))
    for fill in ([7.0, 9.0], torch.tensor([7.0, 9.0]), torch.tensor([[7.0], [9.0]]), np.array([7.0, 9.0])):
        gone = ops.translate(two, (90, 0, 0), by=Resampled(outside=Fill(fill))).data
        assert gone.flatten(1).unique(dim=1).flatten().tolist() == [7.0, 9.0]
