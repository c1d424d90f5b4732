"""The script of docs/examples that compares pictures: one PSNR, five values of SSIM, and a picture of all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import compare_pictures
import numpy as np
import pytest

import medreg


def test_faults_of_one_psnr_are_told_apart_and_the_picture_shows_them(tmp_path: Path, told: Callable[..., str]) -> None:
    lines = told(compare_pictures, "--out", tmp_path / "faults.png").splitlines()
    scores = {line.split(":")[0]: [float(part.split()[1]) for part in line.split(":")[1].split(",")] for line in lines}
    assert list(scores) == ["brighter", "less contrast", "blurred", "blocks", "noise"]
    assert all(psnr == compare_pictures.WANTED_DB for psnr, _ in scores.values())
    assert scores["brighter"][1] > 0.98  # structure is whole
    assert all(scores[name][1] < 0.85 for name in ("blurred", "blocks", "noise"))

    row = medreg.read_image(tmp_path / "faults.png").data[0].numpy() / 255
    side = 2 * compare_pictures.SIDE
    truth, *faults = (row[::2, k * (side + 4) :: 2][:, : compare_pictures.SIDE] for k in range(6))
    for name, fault in zip(scores, faults, strict=True):
        psnr = -10 * np.log10(np.mean((fault - truth) ** 2))
        assert psnr == pytest.approx(compare_pictures.WANTED_DB, abs=0.5), name  # cut to 0 to 1, and to bytes
