"""The live table, drawn into a string."""

from __future__ import annotations

from rich.console import Console

from medreg.optimise.record import Step
from medreg.report.progress import LiveProgress


def drawn(progress: LiveProgress) -> str:
    """The table as plain text."""
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(progress.table())
    return capture.get()


def step(level: int, kind: str, number: int, value: float = 0.5) -> Step:
    """A step at 8 / 2^level mm."""
    return Step(level, 8 / 2**level, kind, number, value, 0.25, 0.9)


def test_each_family_at_each_level_has_a_row_with_its_last_step() -> None:
    progress = LiveProgress("a → b")
    assert "starting torch" in drawn(progress)
    for one in (step(0, "rigid", 0), step(0, "rigid", 1, 0.4), step(0, "affine", 0), step(1, "affine", 0, 0.125)):
        progress(one)
    title, *rows = drawn(progress).splitlines()
    assert title.strip() == "a → b"
    assert [row.split()[:3] for row in rows] == [["✓", "rigid", "8"], ["✓", "affine", "8"], ["•", "affine", "4"]]
    assert "step 1" in rows[0]
    assert "metric 0.4000" in rows[0]
    assert "moving 0.250 mm" in rows[2]


def test_a_level_that_is_run_again_gets_a_row_of_its_own() -> None:
    progress = LiveProgress("a → b")
    for one in (step(0, "rigid", 0), step(0, "rigid", 1), step(0, "rigid", 0)):
        progress(one)
    assert len(drawn(progress).splitlines()) == 3


def test_pictures_are_told_in_pixels() -> None:
    progress = LiveProgress("a → b")
    progress.unit = "px"
    progress(step(0, "rigid", 1))
    assert "8 px" in drawn(progress)
    assert "moving 0.250 px" in drawn(progress)
    assert "mm" not in drawn(progress)
