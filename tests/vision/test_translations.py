"""The masked correlation beside a loop over all shifts (Padfield 2012)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medreg.vision.translations import correlations, translation_by_correlation


def by_loop(fixed: np.ndarray, moving: np.ndarray, fixed_mask: np.ndarray, moving_mask: np.ndarray) -> dict:
    """Correlation and overlap at each shift (x, y), from the pixels themselves."""
    found = {}
    for dy in range(1 - fixed.shape[0], moving.shape[0]):
        for dx in range(1 - fixed.shape[1], moving.shape[1]):
            pairs = [
                (fixed[y, x], moving[y + dy, x + dx])
                for y in range(fixed.shape[0])
                for x in range(fixed.shape[1])
                if 0 <= y + dy < moving.shape[0] and 0 <= x + dx < moving.shape[1]
                if fixed_mask[y, x] and moving_mask[y + dy, x + dx]
            ]
            a, b = np.array(pairs).reshape(-1, 2).T
            varied = len(pairs) > 1 and a.std() > 1e-12 and b.std() > 1e-12
            found[dx, dy] = (np.corrcoef(a, b)[0, 1] if varied else 0.0, len(pairs))
    return found


@pytest.mark.parametrize("shapes", [((7, 6), (5, 8)), ((4, 9), (9, 4))])
def test_every_shift_has_the_correlation_of_its_overlap(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    fixed, moving = (rng.normal(100, 20, shape) for shape in shapes)
    masks = [rng.random(shape) < 0.8 for shape in shapes]
    correlation, overlap = correlations(*map(torch.from_numpy, (fixed, moving, *masks)))
    for (dx, dy), (wanted, count) in by_loop(fixed, moving, *masks).items():
        at = dy + shapes[0][0] - 1, dx + shapes[0][1] - 1
        assert int(overlap[at]) == count
        assert float(correlation[at]) == pytest.approx(wanted, abs=1e-9)


def test_a_fifth_of_overlap_is_enough_and_less_than_asked_for_is_not_looked_at() -> None:
    picture = torch.rand(60, 90, generator=torch.Generator().manual_seed(1))
    fixed, moving = picture[:, :50], picture[:, 40:]
    assert translation_by_correlation(fixed, moving, 0.1)[0].shift == (-40, 0)
    refused = translation_by_correlation(fixed, moving, 0.3)[0]
    assert refused.shift != (-40, 0)
    assert refused.overlap >= 0.3 * fixed.numel()


def test_what_is_masked_out_does_not_count() -> None:
    rng = np.random.default_rng(2)
    picture = torch.from_numpy(rng.random((40, 40)))
    fixed, moving = picture[:30, :30].clone(), picture[5:, 8:].clone()
    fixed[:, :6] = moving[:, -6:] = 50.0  # a frame that would match itself
    masks = fixed < 10, moving < 10
    assert translation_by_correlation(fixed, moving, 0.2, *masks)[0].shift == (-8, -5)


def test_flat_pictures_have_no_evidence() -> None:
    correlation, _ = correlations(torch.full((5, 5), 3.0), torch.rand(5, 5))
    assert correlation.abs().max() == 0
