"""What the tests of filters share: numbers, borders beside scipy's names of them, differences, and small blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from medreg.vision.filters import (
    Backward,
    Border,
    Central,
    Edge,
    Fill,
    Forward,
    Mirror,
    Periodic,
    Prewitt,
    Reflect,
    Scharr,
    Slope,
    Sobel,
    blocks,
)

BORDERS: dict[str, tuple[Border, dict[str, Any]]] = {
    "zero": (Fill(), {"mode": "constant"}),
    "constant": (Fill(2.5), {"mode": "constant", "cval": 2.5}),
    "edge": (Edge(), {"mode": "nearest"}),
    "reflect": (Reflect(), {"mode": "reflect"}),
    "mirror": (Mirror(), {"mode": "mirror"}),
    "periodic": (Periodic(), {"mode": "wrap"}),
}
every_border_of_scipy = pytest.mark.parametrize(("border", "mode"), BORDERS.values(), ids=BORDERS)

DIFFERENCES: list[Slope] = [Forward(), Backward(), Central(), Sobel(), Scharr(), Prewitt()]


def drawn(*shape: int, seed: int = 0, learnt: bool = False) -> Tensor:
    """Numbers around 0, float64."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return numbers.requires_grad_(learnt)


def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be of few voxels, so that images of ten a side are cut along all axes."""
    for name in ("ROOM", "ROOM_LONG", "ROOM_ALONE"):
        monkeypatch.setattr(blocks, name, 8 * 40)  # bytes
    monkeypatch.setattr(blocks, "LINE", 4)
