"""The live table of a registration: a row for each family of transforms at each level."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from medreg.optimise.record import Step

_SECONDS_BETWEEN = 0.08


@dataclass
class _Row:
    first: Step
    last: Step


class LiveProgress:
    """A context manager that gives what to call with each `Step`; draws on stderr, without a thread of its own.

    Args:
        title: the line above the table.

    Attributes:
        unit: of lengths, "mm" or "px"; set it when the images are read.
    """

    unit = "mm"

    def __init__(self, title: str) -> None:
        """See the class."""
        self._title = title
        self._rows: list[_Row] = []
        self._drawn = 0.0
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> LiveProgress:
        """Show the title."""
        self._live.__enter__()
        self._draw()
        return self

    def __call__(self, step: Step) -> None:
        """Take in a step."""
        last = self._rows[-1].last if self._rows else None
        if last is None or (step.level, step.kind) != (last.level, last.kind) or step.number <= last.number:
            self._rows.append(_Row(step, step))
        self._rows[-1].last = step
        if time.perf_counter() - self._drawn > _SECONDS_BETWEEN:
            self._draw()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the table: the summary says the rest."""
        self._live.__exit__(kind, error, trace)

    def _draw(self) -> None:
        self._live.update(self.table(), refresh=True)
        self._drawn = time.perf_counter()

    def table(self) -> Table:
        """The table as it is now."""
        table = Table.grid(padding=(0, 2))
        for justify in ("left", "left", "right", "right", "right", "right"):
            table.add_column(justify=justify, no_wrap=True)
        for number, row in enumerate(self._rows, 1):
            running = number == len(self._rows)
            step = row.last
            table.add_row(
                Text("•" if running else "✓", style="cyan" if running else "green"),
                Text(step.kind, style="bold" if running else ""),
                f"{step.spacing_mm:.2g} {self.unit}",
                f"step {step.number}",
                f"metric {step.value:.4f}",
                f"moving {step.step_mm:.3f} {self.unit}",
                style="" if running else "dim",
            )
        whole = Table.grid()
        note = "" if self._rows else "  reading the images, starting torch …"
        whole.add_row(Text.assemble((self._title, "bold"), (note, "dim")))
        whole.add_row(table)
        return whole
