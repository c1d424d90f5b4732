"""Stains come apart as Ruifrok and Johnston's algebra says, and are found in a slide as Macenko's fan says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor

import medreg
from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.vision.colour import (
    HDAB,
    HE,
    HED,
    Colour,
    LeastSquares,
    NonNegative,
    Stains,
    convert,
    estimate_stains,
    mix,
    optical_density,
    transmitted,
    unmix,
)

TABLE = json.loads((Path(__file__).parent / "colour_reference.json").read_text(encoding="utf-8"))
BACKGROUND = torch.tensor([0.95, 0.9, 0.97], dtype=torch.float64)


def picture(count: int = 200, seed: int = 0) -> Tensor:
    """Any colours (3, 1, N), none of them near black."""
    return torch.rand(3, 1, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.9 + 0.05


def slide(stains: Stains, seed: int = 0, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Amounts (3, 60, 60) of two stains, often alone and often none; and the picture of them."""
    random = np.random.default_rng(seed)
    amounts = random.uniform(0.1, 0.9, (3, 60, 60)) * (random.uniform(size=(3, 60, 60)) < 0.6)
    amounts[2] = 0
    held = torch.from_numpy(amounts)
    seen = mix(held, stains, BACKGROUND)
    return held, (seen + noise * torch.from_numpy(random.standard_normal(seen.shape))).clamp(1e-3, 1)


def degrees(found: Stains, truth: Stains) -> list[float]:
    """Between the vectors of each dye."""
    cosines = (found.matrix * truth.matrix).sum(1).clip(-1, 1)
    return [math.degrees(math.acos(cosine)) for cosine in cosines]


def test_density_is_the_logarithm_of_light_and_comes_back() -> None:
    seen = picture()
    density = optical_density(seen, BACKGROUND)
    wanted = -np.log10(seen.numpy() / BACKGROUND.numpy()[:, None, None])
    assert np.abs(density.numpy() - wanted).max() < 1e-12
    assert (transmitted(density, BACKGROUND) - seen).abs().max() < 1e-12
    black = torch.zeros(3, 1, 1, dtype=torch.float64, requires_grad=True)
    dark = optical_density(black)
    dark.sum().backward()
    assert float(dark[0].detach()) == pytest.approx(math.log10(510))
    assert black.grad.abs().max() == 0


def test_the_vectors_are_ruifrok_and_johnstons() -> None:
    measured = [[0.18, 0.20, 0.08], [0.01, 0.13, 0.01], [0.10, 0.21, 0.29]]  # the densities in their text
    for vector, raw in zip(HED.matrix, measured, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1)
        assert math.degrees(math.acos(vector @ raw / np.linalg.norm(raw))) < 2.5  # two digits
    assert np.array_equal(HED.matrix[:2], HE.matrix)
    assert np.array_equal(HED.matrix[[0, 2]], HDAB.matrix)


def test_three_stains_are_those_of_scikit_image() -> None:
    seen = torch.tensor(TABLE["rgb"], dtype=torch.float64).T[:, None]
    theirs = torch.tensor(TABLE["scikit-image"]["hed"], dtype=torch.float64).T[:, None]
    raw = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=torch.float64)
    # it divides densities by log(1e-6), leaves the vectors as they are, and cuts what is below 0 off
    ours = unmix(seen, HED, darkest=1e-6) / raw.norm(dim=1).view(3, 1, 1) / 6
    assert (ours.clamp(min=0) - theirs).abs().max() < 1e-9


@pytest.mark.parametrize("stains", [HE, HDAB, HED], ids=lambda s: "-".join(s.names))
def test_mixing_what_was_unmixed_gives_the_picture_back(stains: Stains) -> None:
    seen = picture()
    assert (mix(unmix(seen, stains, BACKGROUND), stains, BACKGROUND) - seen).abs().max() < 1e-12
    held = torch.rand(3, 4, 5, dtype=torch.float64)
    assert (unmix(mix(held, stains), stains, darkest=1e-9) - held).abs().max() < 1e-12


def test_the_residual_of_two_stains_lies_across_both() -> None:
    seen = picture()
    density = optical_density(seen)[:, 0].numpy()
    amounts, *_ = np.linalg.lstsq(HE.matrix.T, density, rcond=None)
    got = unmix(seen, HE)[:, 0].numpy()
    assert np.abs(got[:2] - amounts).max() < 1e-12
    assert np.abs(np.abs(got[2]) - np.linalg.norm(density - HE.matrix.T @ amounts, axis=0)).max() < 1e-12


@pytest.mark.parametrize("stains", [HE, HDAB, HED], ids=lambda s: "-".join(s.names))
def test_amounts_of_0_or_more_are_the_best_of_all(stains: Stains) -> None:
    seen = picture()
    density = optical_density(seen)[:, 0].numpy()
    wanted = np.stack([nnls(stains.matrix.T, column)[0] for column in density.T], axis=1)
    got = unmix(seen, stains, amounts=NonNegative())[:, 0].numpy()
    assert (wanted == 0).any(1).all()  # there was something to hold
    assert np.abs(got[: len(stains.names)] - wanted).max() < 1e-9
    everything = unmix(seen, stains)[:, 0].numpy()
    assert len(stains.names) == 3 or np.abs(got[2] - everything[2]).max() < 1e-12  # a residual may have any sign
    free = everything[: len(stains.names)]
    inside = (free >= 0).all(0)
    assert np.abs(got[: len(stains.names), inside] - free[:, inside]).max() < 1e-12
    assert np.abs(np.maximum(free, 0) - wanted).max() > 0.01  # cutting off is not the best


@pytest.mark.parametrize("amounts", [LeastSquares(), NonNegative()], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("count", [2, 3])
def test_unmixing_is_differentiable_to_picture_vectors_and_background(
    amounts: LeastSquares | NonNegative, count: int
) -> None:
    seen = picture(12, 3).requires_grad_()
    vectors = torch.from_numpy(HED.matrix[:count]).requires_grad_()
    light = BACKGROUND.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s, v, b: unmix(s, v, b, amounts=amounts), (seen, vectors, light), eps=1e-7)
    held = torch.rand(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, v, b: mix(a, v, b), (held, vectors, light))


def test_gradients_are_finite_at_black_white_and_beyond() -> None:
    seen = torch.tensor([0.0, 1e-30, 1.0, 1.5, -0.5]).repeat(3, 1)[:, None].requires_grad_()
    for amounts in (LeastSquares(), NonNegative()):
        unmix(seen, HED, amounts=amounts).sum().backward()
        assert torch.isfinite(seen.grad).all()


OTHER = Stains(("haematoxylin", "eosin"), ((0.55, 0.72, 0.42), (0.15, 0.9, 0.4)))
BROWN = Stains(("haematoxylin", "DAB"), ((0.63, 0.65, 0.42), (0.4, 0.56, 0.73)))


@pytest.mark.parametrize(("truth", "like"), [(OTHER, HE), (BROWN, HDAB), (HE, HE), (HDAB, HDAB)])
@pytest.mark.parametrize("seed", [0, 1])
def test_vectors_are_found_in_the_slide(truth: Stains, like: Stains, seed: int) -> None:
    _, seen = slide(truth, seed)
    found = estimate_stains(seen, like, BACKGROUND)
    assert found.names == like.names
    assert max(degrees(found, truth)) < 0.01
    backwards = Stains(like.names[::-1], like.vectors[::-1])
    assert estimate_stains(seen, backwards, BACKGROUND).vectors == found.vectors[::-1]
    _, grainy = slide(truth, seed, noise=0.005)  # a level of a byte
    assert max(degrees(estimate_stains(grainy, like, BACKGROUND), truth)) < 3.0


def test_amounts_by_found_vectors_are_nearer_than_by_those_of_the_book() -> None:
    held, seen = slide(OTHER, 2, noise=0.005)
    found = estimate_stains(seen, HE, BACKGROUND)
    off = [float((unmix(seen, stains, BACKGROUND)[:2] - held[:2]).abs().mean()) for stains in (found, HE)]
    assert off[0] < 0.3 * off[1]


def test_only_what_the_mask_holds_counts() -> None:
    _, seen = slide(OTHER)
    _, brown = slide(BROWN)
    both = torch.cat([seen, brown], 2)
    mask = torch.zeros(1, *both.shape[1:])
    mask[..., :60] = 1
    masked = estimate_stains(both, HE, BACKGROUND, mask=mask)
    assert masked == estimate_stains(seen, HE, BACKGROUND)
    assert max(degrees(estimate_stains(both, HE, BACKGROUND), OTHER)) > 2
    image = medreg.MedImage.on(medreg.Grid.regular((120, 60), (1.0, 1.0)), both)
    assert estimate_stains(image, HE, BACKGROUND, mask=image.with_data(mask)) == masked
    batch = MedImageBatch.stack([image, image])
    assert max(degrees(estimate_stains(batch, HE, BACKGROUND, mask=mask), masked)) < 0.01
    assert unmix(image, masked, BACKGROUND).metadata["colour"] == "stains"


def test_a_slide_that_cannot_tell_is_refused() -> None:
    held, seen = slide(HE)
    with pytest.raises(ImageError, match="0 pixels are stained"):
        estimate_stains(torch.ones(3, 20, 20))
    held[1] = 0
    with pytest.raises(ImageError, match="one dye alone"):
        estimate_stains(mix(held, HE))
    with pytest.raises(UsageError, match="two dyes can be found in a slide, got 3"):
        estimate_stains(seen, HED)
    with pytest.raises(UsageError, match="rise within 0 to 100"):
        estimate_stains(seen, percentiles=(99, 1))


def test_errors_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="too much alike"):
        Stains(("one", "other"), ((0.5, 0.5, 0.5), (0.5, 0.5, 0.501)))
    with pytest.raises(UsageError, match="two or three names"):
        Stains(("one",), ((0.5, 0.5, 0.5),))
    with pytest.raises(UsageError, match="background: takes shares of white above 0"):
        unmix(picture(), HE, 0.0)
    with pytest.raises(UsageError, match="takes Stains, or a tensor"):
        unmix(picture(), torch.ones(4, 3))
    for alike in (torch.ones(2, 3), torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]])):
        with pytest.raises(UsageError, match="too much alike to tell them apart"):
            unmix(picture(), alike)
        with pytest.raises(UsageError, match="too much alike to tell them apart"):
            mix(picture(), alike)
    with pytest.raises(ImageError, match="^image: 0 pixels are stained"):
        estimate_stains(torch.full((3, 20, 20), torch.nan))
    with pytest.raises(UsageError, match=r"NonNegative\(\), with the brackets"):
        unmix(picture(), HE, amounts=NonNegative)
    image = medreg.MedImage.on(medreg.Grid.regular((200, 1), (1.0, 1.0)), picture())
    with pytest.raises(UsageError, match="metadata say that it is lab"):
        unmix(convert(image, Colour.LAB), HE)
