"""Colours agree with colour-science and scikit-image, come back from everywhere, and have finite, right gradients."""

from __future__ import annotations

import colorsys
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import medreg
from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.vision.colour import (
    D50,
    D65,
    ILLUMINANT_A,
    REC_709,
    Colour,
    Convert,
    Luma,
    Opacity,
    White,
    as_bytes,
    convert,
)
from medreg.vision.colour.graph import steps

TABLE = json.loads((Path(__file__).parent / "colour_reference.json").read_text(encoding="utf-8"))
"""Made by benchmarks/colour_reference.py with colour-science and scikit-image."""

PAIRS = list(itertools.product(Colour, Colour))
HUES = {Colour.HSV: 0, Colour.HSL: 0, Colour.HSI: 0, Colour.LCHAB: 2, Colour.LCHUV: 2}
"""Which channel counts turns."""


def double(values: object) -> Tensor:
    """Colours (N, C) as channels (C, 1, N)."""
    return torch.tensor(values, dtype=torch.float64).T[:, None]


RGB = double(TABLE["rgb"])


def in_gamut(colour: Colour, seed: int = 0, count: int = 60) -> Tensor:
    """Colours (C, 1, N) that sRGB has, away from grey, from black, and from where a formula bends."""
    random = torch.Generator().manual_seed(seed)
    rgb = torch.rand(3, 1, 20 * count, generator=random, dtype=torch.float64) * 0.8 + 0.1
    least, middle, most = rgb.sort(0).values
    apart = (most - middle > 0.05) & (middle - least > 0.05) & ((most + least - 1).abs() > 0.05)
    return convert(rgb[:, apart][:, None, :count], colour)


# ---- values


@pytest.mark.parametrize("name", [name for name in TABLE["colour-science"] if " of " not in name])
def test_values_are_those_of_colour_science(name: str) -> None:
    colour, wanted = Colour.named(name), double(TABLE["colour-science"][name])
    got, defined = convert(RGB, colour), torch.ones_like(wanted, dtype=torch.bool)
    if colour is Colour.XYY:
        defined[:2] = RGB.amax(0) > 0  # black: nothing there, here white's chromaticity
    if colour in (Colour.LCHAB, Colour.LCHUV):
        defined[2] = wanted[1] > 1e-6  # greys: the angle of rounding errors there, here 0
        assert got[2][~defined[2]].abs().max() == 0
    assert (got - wanted)[defined].abs().max() < 1e-9  # the table has ten digits; asked are 1e-4


def test_luma_and_white_are_settings() -> None:
    high = convert(RGB, Colour.YCBCR, luma=REC_709)
    assert (high - double(TABLE["colour-science"]["ycbcr of BT.709"])).abs().max() < 1e-9
    warm = convert(RGB, Colour.LAB, white=ILLUMINANT_A)
    assert (warm - double(TABLE["colour-science"]["lab of A"])).abs().max() < 1e-9


def test_values_are_those_of_scikit_image() -> None:
    theirs = {name: double(values) for name, values in TABLE["scikit-image"].items()}
    assert (convert(RGB, Colour.HSV) - theirs["hsv"]).abs().max() < 1e-9
    assert (convert(RGB, Colour.YIQ) - theirs["yiq"]).abs().max() < 1e-7  # its matrix has eight digits
    y, cb, cr = convert(RGB, Colour.YCBCR)  # it gives bytes of studio range
    studio = torch.stack([16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr])
    assert (studio - theirs["ycbcr"]).abs().max() < 255e-4
    assert (convert(RGB, Colour.GRAY, luma=Luma(0.2125, 0.0721)) - theirs["gray"]).abs().max() < 1e-9
    x, _, z = (float(value) for value in theirs["white"].flatten())
    white = White(x / (x + 1 + z), 1 / (x + 1 + z))
    for name, colour in (("lab of xyz", Colour.LAB), ("luv of xyz", Colour.LUV)):
        got = convert(theirs["xyz"], colour, of=Colour.XYZ, white=white)
        # its cube root gives way to the line at 0.008856, not (6/29)^3, with the slope 7.787 or 903.3
        assert (got - theirs[name]).abs().max() < 2e-4
    # its sRGB matrix is that of an older D65, whose Z is 1.088754: of the range of 100 that is below 2e-4
    assert (convert(RGB, Colour.LAB) - theirs["lab"]).abs().max() < 100 * 2e-4


def test_hsl_is_that_of_colorsys_and_gray_that_of_pillow() -> None:
    for k, rgb in enumerate(RGB[:, 0].T.tolist()):
        hue, lightness, saturation = colorsys.rgb_to_hls(*rgb)
        assert convert(RGB, Colour.HSL)[:, 0, k].tolist() == pytest.approx([hue, saturation, lightness], abs=1e-12)
    levels = (RGB * 255).round().to(torch.uint8)
    pillow = np.asarray(Image.fromarray(levels.movedim(0, -1).numpy()).convert("L"))
    assert np.abs(as_bytes(convert(levels, Colour.GRAY))[0].numpy().astype(int) - pillow).max() <= 1  # it rounds sums


def test_hsi_is_that_of_gonzalez_and_woods() -> None:
    red, green, blue = rgb = in_gamut(Colour.RGB)
    cosine = (2 * red - green - blue) / 2 / torch.sqrt((red - green) ** 2 + (red - blue) * (green - blue))
    angle = torch.acos(cosine) / (2 * math.pi)
    hue = torch.where(blue <= green, angle, 1 - angle)
    wanted = torch.stack([hue, 1 - 3 * rgb.amin(0) / rgb.sum(0), rgb.mean(0)])
    assert (convert(rgb, Colour.HSI) - wanted).abs().max() < 1e-12


def test_grey_is_exactly_neutral() -> None:
    grey = torch.linspace(0, 1, 101, dtype=torch.float64).expand(3, 1, 101)
    for colour in (Colour.LAB, Colour.LUV, Colour.DIN99, Colour.YIQ, Colour.YCBCR):
        assert convert(grey, colour)[1:].abs().max() < 1e-12
    for colour, hue in HUES.items():
        assert convert(grey, colour)[hue].abs().max() == 0
    for kind in (torch.float32, torch.float64):
        assert (convert(grey.to(kind), Colour.LCHAB)[2] == 0).all()
        chromaticity = convert(grey.to(kind), Colour.XYY)[:2].double()
        assert (chromaticity - torch.tensor([D65.x, D65.y]).view(2, 1, 1)).abs().max() < 1e-6


# ---- round trips


@pytest.mark.parametrize("first", Colour, ids=lambda c: str(c).replace(" ", "-"))
def test_every_colour_comes_back_from_every_other(first: Colour) -> None:
    for second in Colour:
        rgb = RGB[:1].expand(3, -1, -1) if Colour.GRAY in (first, second) else RGB  # gray forgets colours
        start = convert(rgb, first)
        assert torch.isfinite(start).all()
        there = convert(start, second, of=first)
        assert there.shape[0] == second.channels
        back = convert(there, first, of=second)
        gap = (back - start).abs()
        if first in HUES:
            hue = gap[HUES[first]]
            gap[HUES[first]] = torch.minimum(hue, 1 - hue)
        assert gap.max() < 1e-6, second  # asked; measured 1e-9
        assert (convert(back, Colour.RGB, of=first) - rgb).abs().max() < 1e-12


def test_colours_out_of_gamut_come_back_too() -> None:
    rgb = 3 * torch.rand(3, 1, 500, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1
    for colour in (Colour.XYZ, Colour.LMS, Colour.LAB, Colour.LCHAB, Colour.YIQ, Colour.YCBCR, Colour.HSV):
        back = convert(convert(rgb, colour), Colour.RGB, of=colour)
        assert (back - rgb).abs().max() < 1e-9


def test_colours_at_the_bend_of_the_curve_come_back() -> None:
    bend = (0.04045 + 1e-9 * torch.arange(-50, 51, dtype=torch.float64)).expand(3, 1, -1)
    assert (convert(convert(bend, Colour.LINEAR_RGB), Colour.RGB, of=Colour.LINEAR_RGB) - bend).abs().max() < 1e-15


def test_a_conversion_is_that_through_rgb() -> None:
    for first, second in PAIRS:
        start = in_gamut(first, 3)
        through = convert(convert(start, Colour.RGB, of=first), second)
        gap = (convert(start, second, of=first) - through).abs()
        assert gap.max() < 1e-9, (first, second)


def test_float32_is_good_to_two_millionths_of_the_range() -> None:
    rgb = torch.rand(3, 1, 20000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rgb = rgb[:, :, (rgb.amax(0) - rgb.amin(0) > 0.05)[0]]
    for colour in Colour:
        exact = convert(rgb.float().double(), colour)
        gap = (convert(rgb.float(), colour).double() - exact).abs().flatten(1)
        if colour in HUES:
            hue = gap[HUES[colour]]
            gap[HUES[colour]] = torch.minimum(hue, 1 - hue)
        ranges = exact.flatten(1).amax(1) - exact.flatten(1).amin(1)
        assert (gap.amax(1) / ranges).max() < 2e-6, colour


# ---- gradients


@pytest.mark.parametrize("first", Colour, ids=lambda c: str(c).replace(" ", "-"))
def test_gradients_are_finite_at_every_colour(first: Colour) -> None:
    for second in Colour:
        hard = [0.0, 1.0, 0.5, 1e-3, 1e-8, 1e-20, 1e-38, 1e-44, -0.5, -1e-9, 1.5]
        corners = double(list(itertools.product(hard, repeat=3)))
        for kind in (torch.float32, torch.float64):
            reached = convert(corners.to(kind), first)
            bare = corners.to(kind)[: first.channels]  # as numbers of this colour, whatever they may mean
            for values in (reached, bare, 100 * bare):
                values = values.detach().requires_grad_()
                got = convert(values, second, of=first)
                assert torch.isfinite(got).all()
                got.backward(torch.ones_like(got))
                assert torch.isfinite(values.grad).all(), (second, kind)


@pytest.mark.parametrize("first", Colour, ids=lambda c: str(c).replace(" ", "-"))
def test_gradients_are_those_of_finite_differences(first: Colour) -> None:
    for second in Colour:
        values = in_gamut(first, 5, 4).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda v, to=second: convert(v, to, of=first), (values,), eps=1e-7, atol=1e-5, rtol=1e-5
        )


def test_out_of_gamut_gradients_are_those_of_finite_differences_too() -> None:
    values = double([[-0.2, 0.5, 1.3], [1.4, -0.1, 0.3]]).requires_grad_()
    for colour in Colour:
        assert torch.autograd.gradcheck(lambda v, to=colour: convert(v, to), (values,), eps=1e-7, atol=1e-5)


def test_grey_passes_no_gradient_to_its_hue() -> None:
    for colour, hue in HUES.items():
        grey = double([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]).requires_grad_()
        convert(grey, colour)[hue].sum().backward()
        assert grey.grad.abs().max() == 0


def test_black_passes_no_gradient_to_chromaticity_and_saturation() -> None:
    for colour, channels in ((Colour.LUV, [1, 2]), (Colour.XYY, [0, 1]), (Colour.HSV, [1]), (Colour.HSI, [1])):
        black = torch.zeros(3, 1, 1, dtype=torch.float64, requires_grad=True)
        convert(black, colour)[channels].sum().backward()
        assert black.grad.abs().max() == 0, colour


def test_grey_passes_its_gradient_where_there_is_one() -> None:
    grey = double([[0.5, 0.5, 0.5]]).requires_grad_()
    for colour in (Colour.LAB, Colour.LUV, Colour.DIN99, Colour.XYY, Colour.YCBCR):
        assert torch.autograd.gradcheck(lambda v, to=colour: convert(v, to), (grey,), atol=1e-3), colour


# ---- pictures


def test_bytes_are_scaled_and_the_picture_keeps_its_place() -> None:
    levels = torch.randint(0, 256, (3, 4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    grid = medreg.Grid.regular((5, 4), (0.5, 0.25))
    image = medreg.MedImage.on(grid, levels, metadata={"stored_dtype": "uint8", "path": "slide.png"})
    lab = convert(image, Colour.LAB)
    assert (lab.grid, lab.name, lab.data.dtype) == (grid, "slide.png", torch.float32)
    assert lab.metadata["colour"] == "lab"
    assert torch.equal(lab.data, convert(levels.float() / 255, Colour.LAB))
    back = convert(lab, Colour.RGB)  # what it is stands in its metadata
    assert torch.equal(as_bytes(back).data, levels)
    assert as_bytes(back).metadata["stored_dtype"] == "uint8"
    assert as_bytes(torch.tensor([torch.nan, torch.inf, -torch.inf])).tolist() == [0, 255, 0]
    deep = medreg.MedImage.on(grid, levels.int() * 257, metadata={"stored_dtype": "uint16"})
    assert torch.allclose(convert(deep, Colour.LAB).data, lab.data, atol=1e-4)
    with pytest.raises(UsageError, match="metadata say that it is lab"):
        convert(lab, Colour.HSV, of=Colour.RGB)


def test_a_batch_is_the_loop_and_halves_stay_halves() -> None:
    images = [medreg.MedImage.on(medreg.Grid.regular((5, 4), (1.0, 1.0)), torch.rand(3, 4, 5)) for _ in range(3)]
    batch = convert(MedImageBatch.stack(images), Colour.LUV)
    for one, image in zip(batch, images, strict=True):
        alone = convert(image, Colour.LUV).data  # torch rounds powers by how many numbers there are
        assert torch.allclose(one.data, alone, rtol=0, atol=2e-4)
        assert one.metadata["colour"] == "luv"
    tensor = torch.stack([image.data for image in images])
    assert torch.equal(convert(tensor, Colour.LUV), batch.data)
    assert torch.equal(Convert(Colour.LUV)(tensor), batch.data)
    half = convert(tensor.half(), Colour.LUV)
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), convert(tensor.half().float(), Colour.LUV), rtol=1e-3, atol=0.1)
    volume = torch.rand(2, 3, 2, 4, 5)
    assert torch.equal(convert(volume, Colour.HSV, dimension=3)[:, :, 1], convert(volume[:, :, 1], Colour.HSV))


@pytest.mark.parametrize(("opacity", "place"), [(Opacity.FIRST, 0), (Opacity.LAST, 3)])
def test_opacity_stays_as_it_is(opacity: Opacity, place: int) -> None:
    picture = torch.rand(2, 4, 3, 5)
    colours = picture[:, [k for k in range(4) if k != place]]
    got = convert(picture, Colour.LAB, opacity=opacity)
    assert torch.equal(got[:, place], picture[:, place])
    assert torch.equal(got[:, [k for k in range(4) if k != place]], convert(colours, Colour.LAB))
    assert convert(picture, Colour.GRAY, opacity=opacity).shape == (2, 2, 3, 5)


def test_a_module_passes_gradients_and_says_what_it_does() -> None:
    model = nn.Sequential(Convert(Colour.LAB), nn.Conv2d(3, 1, 1))
    picture = torch.rand(2, 3, 4, 5, requires_grad=True)
    model(picture).sum().backward()
    assert torch.isfinite(picture.grad).all()
    assert "rgb to lab" in repr(model)


def test_steps_take_the_shortest_way() -> None:
    assert [len(steps(*pair)) for pair in ((Colour.LAB, Colour.LCHAB), (Colour.HSV, Colour.HSL))] == [1, 2]
    assert len(steps(Colour.HSV, Colour.LCHUV)) == 5
    assert steps(Colour.LAB, Colour.LAB) == []


# ---- refusals


def test_colours_are_named_as_people_write_them() -> None:
    for text, colour in (
        ("L*a*b*", Colour.LAB),
        ("CIE LCH(ab)", Colour.LCHAB),
        ("grey", Colour.GRAY),
        ("sRGB", Colour.RGB),
    ):
        assert Colour.named(text) is colour
    assert all(Colour.named(str(colour)) is colour and Colour.named(colour.name) is colour for colour in Colour)
    with pytest.raises(UsageError, match="no colour is called 'rbg'; there are rgb, bgr"):
        Colour.named("rbg")


def test_errors_say_what_to_do() -> None:
    picture = torch.rand(3, 4, 5)
    with pytest.raises(UsageError, match=r"to: takes a Colour, got the text 'lab'; Colour.named\('lab'\)"):
        convert(picture, "lab")
    with pytest.raises(ImageError, match="channels are last"):
        convert(picture.movedim(0, -1), Colour.LAB)
    with pytest.raises(ImageError, match="rgb has 3 channels"):
        convert(picture[:2], Colour.LAB)
    with pytest.raises(ImageError, match="gray has 1 channel,"):
        convert(picture, Colour.LAB, of=Colour.GRAY)
    with pytest.raises(ImageError, match="divide by the value of white"):
        convert(picture.long(), Colour.LAB)
    with pytest.raises(ImageError, match="integers cannot be lab"):
        convert(picture.byte(), Colour.RGB, of=Colour.LAB)
    with pytest.raises(UsageError, match="chromaticity"):
        White(0.9505, 1.089)
    with pytest.raises(UsageError, match="REC_601"):
        Luma(0.7, 0.4)
    frames = medreg.MedImage.on(medreg.Grid.regular((5, 4), (1.0, 1.0)), picture, medreg.Leading.FRAMES)
    with pytest.raises(ImageError, match="series of frames"):
        convert(frames, Colour.LAB)
    assert D50.xyz == pytest.approx([0.96429, 1, 0.82510], abs=1e-4)
