"""What the tests of examples share: running a script, and the pictures that it wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import medreg


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a script of docs/examples prints when it is called with these arguments."""

    def told(script: ModuleType, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
        monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
        script.main()
        return capsys.readouterr().out

    return told


@pytest.fixture(scope="session")
def thirds() -> Callable[[Path], list[Tensor]]:
    """The three pictures side by side in a file, with 4 pixels of white between them."""

    def thirds(path: Path) -> list[Tensor]:
        row = medreg.read_image(path).data[0].float()
        width = (row.shape[1] - 8) // 3
        for k in (1, 2):
            gap = row[:, k * (width + 4) - 4 :][:, :4]
            assert torch.equal(gap, torch.full_like(gap, 255.0))
        return [row[:, k * (width + 4) :][:, :width] for k in range(3)]

    return thirds
