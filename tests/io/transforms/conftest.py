"""Pairs of images for the formats that go by voxels."""

from __future__ import annotations

from pathlib import Path

import pytest
from transform_pairs import PAIRS, Images, pair


@pytest.fixture(params=PAIRS, ids=[" to ".join(kinds) for kinds in PAIRS])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Images:
    """Two images of each combination."""
    return pair(tmp_path, *request.param)


@pytest.fixture
def oblique_images(tmp_path: Path) -> Images:
    """Two oblique images of different handedness."""
    return pair(tmp_path, "oblique", "oblique and flipped")
