"""The scripts of docs/examples on colour do what they say, and their pictures show it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import separate_stains
import torch
import train_colour
from torch import nn

import medreg

Told = Callable[..., str]


def test_a_warp_a_change_of_colours_and_a_network_train_together() -> None:
    trained = train_colour.train(seed=1)
    first, last = trained.losses[0], sum(trained.losses[-20:]) / 20
    assert last < 0.5 * first
    assert trained.before > 10  # px
    assert trained.after < 0.5  # px
    assert trained.overlap > 0.8
    assert all(torch.isfinite(weight.grad).all() for weight in trained.model.parameters())
    learning = [module for module in trained.model if list(module.parameters())]
    assert all(any(weight.grad.abs().max() > 0 for weight in module.parameters()) for module in learning)
    assert [type(module).__name__ for module in trained.model[:3]] == ["Affine", "Convert", "BatchNorm2d"]
    assert isinstance(trained.model, nn.Sequential)


def test_the_picture_shows_nuclei_where_they_should_lie(tmp_path: Path, told: Told) -> None:
    assert "corners off by 12.3 px, then by 0.0" in told(train_colour, "--out", tmp_path / "picture.png")
    row = medreg.read_image(tmp_path / "picture.png").data.float()
    assert row.shape == (3, 192, 3 * 192 + 8)  # two gaps of 4
    slide, found, truth = (row[..., k * 196 :][..., :192] for k in range(3))
    assert float((slide[0] - slide[1]).abs().mean()) > 20  # levels: it has colours
    assert torch.equal(found[0], found[1])
    agree = np.corrcoef(found[0].flatten(), truth[0].flatten())[0, 1]
    askew = np.corrcoef(255 - slide[0].flatten(), truth[0].flatten())[0, 1]
    assert agree > 0.95
    assert agree > askew + 0.1


def test_stains_are_found_in_a_slide_and_taken_apart(tmp_path: Path, told: Told) -> None:
    assert "haematoxylin: red 0.56" in told(separate_stains, "--out", tmp_path / "picture.png")
    slide, truth = separate_stains.drawn()
    separated = separate_stains.separate(slide, separate_stains.HE)
    cosines = (separated.found.matrix * separate_stains.TRUTH.matrix).sum(1)
    assert max(math.degrees(math.acos(cosine)) for cosine in cosines) < 1
    assert separated.left[1] < 0.1 * separated.left[0]
    off = [float((amounts[:2] - truth).abs().mean()) for amounts in (separated.book, separated.amounts)]
    assert off[1] < 0.01  # of optical density; a level of noise is 0.002
    assert off[1] < 0.2 * off[0]
    picture = medreg.read_image(tmp_path / "picture.png").data
    assert torch.equal(picture, separated.picture.data)
    side, step = separate_stains.SIZE, separate_stains.SIZE + 4  # of white between pictures
    assert picture.shape == (3, step + side, 2 * step + side)
    for gap in (picture[:, side:step], picture[..., side:step], picture[..., step + side : 2 * step]):
        assert torch.equal(gap, torch.full_like(gap, 255))
    shown, nuclei, cells = (picture[:, step:, k * step :][..., :side] for k in range(3))
    assert torch.equal(shown, slide.data)
    assert torch.equal(picture[:, :side, :side], slide.data)
    red = 255 - nuclei[0].float()
    assert np.corrcoef(red.flatten(), truth[0].flatten())[0, 1] > 0.95
    assert np.corrcoef(255 - cells[1].float().flatten(), truth[1].flatten())[0, 1] > 0.95


def test_stains_of_any_slide_are_taken_apart(tmp_path: Path, told: Told) -> None:
    medreg.write_image(separate_stains.drawn(3)[0], tmp_path / "slide.png")
    assert "DAB: red 0.1" in told(separate_stains, "--slide", tmp_path / "slide.png", "--dyes", "hdab")
