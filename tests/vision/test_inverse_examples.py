"""The script of docs/examples that restores pictures does what it says, and its picture shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import restore_pictures

import medreg

GAP, SIDE = 4, 3 * restore_pictures.SIDE


def test_each_problem_is_solved_better_than_by_a_linear_method_and_the_picture_shows_it(
    tmp_path: Path, told: Callable[..., str]
) -> None:
    lines = told(restore_pictures, "--out", tmp_path / "rest.png").splitlines()
    assert [line.split(":")[0] for line in lines] == ["deblurring", "super-resolution", "tomography"]
    shown = medreg.read_image(tmp_path / "rest.png").data[0].float() / 255
    for k, (line, least) in enumerate(zip(lines, (4.0, 5.0, 3.0), strict=True)):
        linear, restored = (float(line.split(word)[1].split()[0]) for word in ("linear ", "restored "))
        assert restored > linear + least  # dB
        misfit = float(line.split("misfit ")[1].split()[0])
        assert 0.95 <= misfit <= 0.99
        row = shown[k * (SIDE + GAP) :][:SIDE]
        measured, before, after, truth = (row[:, j * (SIDE + GAP) :][:, :SIDE] for j in range(4))
        assert ((measured == 1).float().mean() - restore_pictures.MISSING).abs() < 0.1  # white gaps
        for picture, told_db in ((before, linear), (after, restored)):
            psnr = -10 * (picture - truth).square().mean().log10()
            assert float(psnr) == pytest.approx(told_db, abs=0.1)
