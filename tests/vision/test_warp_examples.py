"""The scripts of docs/examples that warp do what they say, and their pictures show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import learn_interpolation
import pytest
import register_swirl
import torch
from torch import Tensor

Told = Callable[..., str]
Thirds = Callable[[Path], list[Tensor]]


def test_the_swirl_is_followed_and_the_picture_shows_it(tmp_path: Path, told: Told, thirds: Thirds) -> None:
    printed = told(register_swirl, "--out", tmp_path / "swirl.png")
    before, after, target = thirds(tmp_path / "swirl.png")
    assert before.std() > 20
    assert (before - target).abs().mean() > 10  # grey values
    assert (after - target).abs().mean() < 1
    share, moved, missed = (float(printed.split(word)[0].split()[-1]) for word in (" % left", " px, followed", " px\n"))
    assert share < 1  # the issue asks for 10
    assert moved > 5
    assert missed < 0.7  # px; where the picture is plain nothing says how it moved
    assert "folds at 0.0 %" in printed


def test_a_stronger_swirl_of_another_picture_is_followed_too() -> None:
    found = register_swirl.register(turn=2.0, seed=6)
    assert found.after < 0.01 * found.before
    assert found.folded == 0.0


def test_kernels_are_learnt_and_the_picture_shows_what_they_miss(
    tmp_path: Path, told: Told, thirds: Thirds, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = learn_interpolation.learn()
    monkeypatch.setattr(learn_interpolation, "learn", lambda: found)  # once is enough
    printed = told(learn_interpolation, "--out", tmp_path / "kernel.png")
    assert found.largest_error < 1e-5
    psnr = found.psnr
    assert psnr["learnt"] > psnr["linear"] + 6  # dB: half the error
    assert psnr["learnt"] > psnr["cubic convolution"]
    for name, value in psnr.items():
        assert f"{name}: {value:.2f} dB" in printed
    sums = found.kernel.coefficients.sum(0)
    assert (sums - torch.tensor([1.0, 0, 0, 0])).abs().max() < 0.03  # it found that weights sum to 1
    exact, linear, learnt = thirds(tmp_path / "kernel.png")
    assert exact.std() > 20
    assert learnt.mean() < 0.5 * linear.mean()
