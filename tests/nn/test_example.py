"""The example of docs trains through the modules, in a process of its own, and tells the truth."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import medreg

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "train_modules.py"


def test_pictures_that_it_has_not_seen_are_stood_upright(ran: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    told = ran([str(SCRIPT), "--out", "picture.png"], tmp_path)
    before, after = map(float, re.findall(r"turned by ([\d.]+) degrees .* then by ([\d.]+)", told)[0])
    assert before > 20  # degrees: there was something to learn
    assert after < 0.15 * before
    first, last = map(float, re.findall(r"error ([\d.]+), after 200 steps ([\d.]+)", told)[0])
    assert last < 0.5 * first
    picture = medreg.read_image(tmp_path / "picture.png")
    assert picture.size == (4 * (6 * 32 + 5), 4 * 32)
    assert float(picture.data.float().std()) > 20  # grey values: not blank
