"""The table of `medreg train-inverse`: epochs, and what they are held against. Made from the record alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from medreg.report.summary import place_of

_SECONDS_BETWEEN = 0.08

ROWS = 12
"""Epochs that a table shows, at most."""


def table(record: Mapping[str, Any]) -> Table:
    """The table of a record, finished or not.

    Args:
        record: with "settings", "train" and "test" (rows "baseline", "oracle" and "empty" of either set) and "epochs".
    """
    whole = Table(box=SIMPLE, pad_edge=False)
    off = "angle off" if _angles_count(record) else "points off"
    for name in ("epoch", "train", "test", "baseline", "better by", off):
        whole.add_column(name, justify="left" if name == "epoch" else "right", no_wrap=True)
    baseline = record["test"]["baseline"]["mse"]
    epochs = record["epochs"]
    shown = shown_epochs(len(epochs), record["settings"]["epochs"])
    for number in shown:
        epoch = epochs[number - 1]
        last = number == len(epochs)
        cells = _cells(epoch["train"], epoch["test"], baseline, record)
        whole.add_row(str(number), *cells, style="bold" if last else "", end_section=last)
    if not shown:
        whole.add_section()
    for name, title in (("baseline", "no correction"), ("oracle", "exact inverse"), ("empty", "empty image")):
        cells = _cells(record["train"][name]["mse"], record["test"][name], baseline, record)
        whole.add_row(title, *cells, style="dim")
    return whole


def shown_epochs(done: int, all_epochs: int) -> list[int]:
    """The first, round ones in between, and the last of those that are done.

    Example:
        >>> shown_epochs(34, 50)
        [1, 10, 20, 30, 34]
    """
    step = next(
        s for s in (10**k * m for k in range(-1, 9) for m in (1, 2, 5)) if s >= 1 and all_epochs / s <= ROWS - 2
    )
    step = max(int(step), 1 if all_epochs < 20 else 10)
    return sorted({1, done, *range(step, done + 1, step)}) if done else []


def lines(record: Mapping[str, Any]) -> list[str]:
    """What is said below the table."""
    result, seconds = record["result"], record["seconds"]
    found = f"test MSE {result['test']:.6f}, {result['better_by']:.1f} % below no correction"
    found += f", {result['over_oracle']:.3f} of the exact inverse's"
    if _angles_count(record):
        found += f"; angles are off by {result['angle_deg']:.2f}° (median; nine in ten by less than "
        found += f"{result['angle_deg_90']:.2f}°)"
    outputs = record["outputs"]
    return [
        f"  found    {found}",
        f"  took     {seconds['training']:.1f} s of training on {place_of(record)}",
        f"  wrote    {outputs['folder']}/: {', '.join(outputs['files'])}",
    ]


def title(record: Mapping[str, Any]) -> str:
    """What is learnt, of what, by how much."""
    s = record["settings"]
    undone = "rotations" if s["model"] == "rotation" else "affine maps"
    return f"Learning to undo {undone} of a {s['phantom']}, {s['size']}³ voxels: {record['parameters']:,} parameters"


def show(record: Mapping[str, Any]) -> None:
    """Print title, table and lines to stdout."""
    console = Console(highlight=False)
    console.print(Text(title(record), style="bold"))
    console.print(table(record))
    for line in lines(record):
        console.print(Text(line), soft_wrap=True)


class LiveTraining:
    """A context manager that gives what to call after each epoch with the record so far; draws on stderr."""

    def __init__(self) -> None:
        """See the class."""
        self._drawn = 0.0
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> LiveTraining:
        """Say what the wait is for."""
        self._live.__enter__()
        self._live.update(Text("starting torch …", style="dim"), refresh=True)
        return self

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Take in the record so far."""
        if time.perf_counter() - self._drawn > _SECONDS_BETWEEN:
            self._live.update(self.drawn(record), refresh=True)
            self._drawn = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the table: the last one is printed for good."""
        self._live.__exit__(kind, error, trace)

    def drawn(self, record: Mapping[str, Any]) -> RenderableType:
        """Title, table, and how long it will take."""
        epochs: Sequence[Mapping[str, Any]] = record["epochs"]
        left = record["settings"]["epochs"] - len(epochs)
        wait = f"{left * epochs[-1]['seconds']:.0f} s to go" if epochs else "begun"
        return Group(Text(title(record), style="bold"), table(record), Text(wait, style="dim"))


def _cells(train: float, test: Mapping[str, Any], baseline: float, record: Mapping[str, Any]) -> list[str]:
    better = 100 * (1 - test["mse"] / baseline)
    if _angles_count(record):
        off = "" if test["angle_deg"] is None else f"{test['angle_deg']:.2f}°"
    else:
        off = "" if test["miss_mm"] is None else f"{test['miss_mm']:.2f} mm"
    return [f"{train:.6f}", f"{test['mse']:.6f}", f"{baseline:.6f}", f"{better:.1f} %", off]


def _angles_count(record: Mapping[str, Any]) -> bool:
    """Whether the angle between rotations says something: not of a line, whose turn about itself nobody sees."""
    settings = record["settings"]
    return bool(settings["model"] == "rotation" and settings["phantom"] != "line")
