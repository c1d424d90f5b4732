"""Wall seconds of a run, phase by phase."""

from __future__ import annotations

import time


class Clock:
    """Laps between calls, in seconds; `total` counts from the start."""

    def __init__(self) -> None:
        """Start."""
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """The time since the last lap belongs to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = now - self._last
        self._last = now

    @property
    def total(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._start
