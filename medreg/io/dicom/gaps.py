"""Distances between slices: even, missing, or uneven; and an even grid for those who ask for one."""

from __future__ import annotations

import numpy as np

from medreg.errors import GeometryError
from medreg.types import FloatArray

_EVEN = 0.05
"""Part of a step by which a slice may lie off an even grid."""
_ROUNDED, _SHORT_OF_MISSING = 0.1, 0.2
"""As far, mm, positions that were rounded to 0.1 mm may lie off, up to a part of a step: a missing slice gives 1/3."""
_SILENT = 0.01
"""Part of a step, and mm, off an even grid that are not worth a word."""
_FINEST = 0.25
"""Of the median gap: no even grid is finer, however near two slices lie."""


def is_even(positions: FloatArray) -> bool:
    """Whether slices (N, 3), in order, lie evenly on a straight line, within what rounding gives."""
    return bool(_off(positions).max() <= _tolerance(_step(positions)))


def check_even(positions: FloatArray, name: str, notes: list[str]) -> None:
    """Note slices that lie a little off an even grid; refuse those that lie farther.

    Raises:
        GeometryError: which gaps are odd, by how much, and whether slices are missing.
    """
    off, step = float(_off(positions).max()), _step(positions)
    if off > _tolerance(step):
        fits = _sideways(positions) <= _tolerance(step)
        advice = "find the missing files, or add --uneven resample" if fits else "they fit no grid, even resampled"
        raise GeometryError(f"{name}: {_telling(positions)}; {advice}")
    if off > max(_SILENT * step, _SILENT):
        notes.append(
            f"{name}: its slices lie up to {off:.3f} mm off an even grid of {step:.3f} mm, as rounded headers give; "
            "the even grid is used"
        )
    if len(positions) == 2:
        notes.append(
            f"{name}: has 2 slices, {step:.2f} mm apart; whether one between them is missing cannot be told from two"
        )


def even_grid(positions: FloatArray, name: str, notes: list[str]) -> tuple[FloatArray, FloatArray, int]:
    """An even grid through uneven slices.

    Args:
        positions: (N, 3) LPS mm, in order.
        name: for messages.
        notes: gets what is done.

    Returns:
        The step from slice to slice (3,), each slice's index on the even grid (N,), and the grid's number of slices.

    Raises:
        GeometryError: slices that do not lie on a straight line.
    """
    along = _along(positions)
    heights = (positions - positions[0]) @ along
    sideways = _sideways(positions)
    gaps = np.diff(heights)
    step = float(max(gaps.min(), _FINEST * np.median(gaps)))
    if sideways > _EVEN * step:
        raise GeometryError(
            f"{name}: its slices are shifted sideways against each other by up to {sideways:.2f} mm, on no straight "
            "line; they cannot be resampled to one grid"
        )
    count = int(np.floor(heights[-1] / step + 1e-3)) + 1
    notes.append(
        f"{name}: {_telling(positions)}; interpolated onto {count} even slices of {step:.3f} mm, as asked: what lies "
        "in a gap is made up"
    )
    return along * step, np.asarray(heights / step), count


def interpolate_slices(volume: FloatArray, heights: FloatArray, count: int) -> FloatArray:
    """Slices (N, ..., y, x) at the indices `heights` of an even grid, linearly between neighbours, as (count, ...)."""
    at = np.arange(count, dtype=np.float64)
    upper = np.clip(np.searchsorted(heights, at), 1, len(heights) - 1)
    lower = upper - 1
    share = np.clip((at - heights[lower]) / (heights[upper] - heights[lower]), 0.0, 1.0)
    result = np.empty((count, *volume.shape[1:]), np.float32)
    for k in range(count):
        result[k] = volume[lower[k]] * (1 - share[k]) + volume[upper[k]] * share[k]
    return result


def _step(positions: FloatArray) -> float:
    return float(np.linalg.norm(positions[-1] - positions[0]) / (len(positions) - 1))


def _tolerance(step: float) -> float:
    """How far a slice may lie off an even grid, mm."""
    return max(_EVEN * step, min(_ROUNDED, _SHORT_OF_MISSING * step))


def _off(positions: FloatArray) -> FloatArray:
    """How far each slice (N, 3) lies off the even line from the first to the last, mm."""
    share = np.linspace(0.0, 1.0, len(positions))[:, None]
    straight = positions[0] * (1 - share) + positions[-1] * share
    return np.asarray(np.linalg.norm(positions - straight, axis=1))


def _along(positions: FloatArray) -> FloatArray:
    """Unit vector from the first slice to the last."""
    whole = positions[-1] - positions[0]
    return np.asarray(whole / np.linalg.norm(whole))


def _sideways(positions: FloatArray) -> float:
    """How far slices (N, 3) lie off the straight line from the first to the last at most, mm."""
    along = _along(positions)
    across = positions - positions[0] - ((positions - positions[0]) @ along)[:, None] * along
    return float(np.linalg.norm(across, axis=1).max())


def _telling(positions: FloatArray) -> str:
    """What is odd about the distances, in numbers."""
    gaps = np.diff(positions @ _along(positions))
    usual = float(np.median(gaps))
    steps = gaps / gaps.min()
    odd = [k for k in range(len(gaps)) if abs(gaps[k] - usual) > _EVEN * usual]
    if not odd:
        off = _off(positions)
        return (
            f"its slices lie up to {off.max():.2f} mm off a straight line with even steps of {_step(positions):.2f} mm"
        )
    told = ", ".join(f"{gaps[k]:.2f} mm after slice {k + 1}" for k in odd[:3]) + (", ..." if len(odd) > 3 else "")
    text = f"its slices are unevenly spaced, {usual:.2f} mm apart in the middle of all, but {told} of {len(positions)}"
    if np.abs(steps - np.rint(steps)).max() < _EVEN * steps.max():
        missing = int((np.rint(steps) - 1).sum())
        return f"{text}: {missing} slice{'s are' if missing > 1 else ' is'} missing"
    return text
