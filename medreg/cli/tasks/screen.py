"""What a verb shows: progress on stderr, then a summary, lines or the record on stdout, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import typer

from medreg.errors import UsageError
from medreg.optimise.record import Step


class Watch(Protocol):
    """Called with each step; `unit` is that of lengths, known once the images are read."""

    unit: str

    def __call__(self, step: Step) -> None:
        """A step was taken."""


class Screen(Protocol):
    """Where a run is shown."""

    def progress(self, moving: Path, fixed: Path) -> AbstractContextManager[Watch]:
        """Gives what is called with each step while the block runs."""

    def show(self, record: dict[str, Any]) -> None:
        """The run has ended well."""


def check_shown(*, quiet: bool, json: bool, verbose: bool = False) -> None:
    """Refuse flags that exclude each other.

    Raises:
        UsageError: -q beside one that prints more.
    """
    if quiet and (verbose or json):
        raise UsageError(f"-q prints nothing, {'-v' if verbose else '--json'} prints more: choose one")


def show(record: dict[str, Any], lines: Sequence[str], *, quiet: bool, json: bool) -> None:
    """Print the lines, or the record as JSON, or nothing: for verbs without progress."""
    if json:
        Record().show(record)
    elif not quiet:
        typer.echo("\n".join(lines))


def screen_for(*, quiet: bool, verbose: bool, json: bool) -> Screen:
    """The screen for the flags.

    Raises:
        UsageError: flags that exclude each other.
    """
    check_shown(quiet=quiet, json=json, verbose=verbose)
    if quiet:
        return Silent()
    if json:
        return Record()
    return Person(verbose=verbose)


class Silent:
    """Shows nothing."""

    def progress(self, moving: Path, fixed: Path) -> AbstractContextManager[Watch]:
        """See `Screen`."""
        return nullcontext(_Watcher())

    def show(self, record: dict[str, Any]) -> None:
        """See `Screen`."""


class Record(Silent):
    """Shows the record as JSON."""

    def show(self, record: dict[str, Any]) -> None:
        """See `Screen`."""
        from medreg.report.record import to_json

        typer.echo(to_json(record), nl=False)


class Person:
    """Shows a live table by level on a terminal, and a summary.

    Args:
        verbose: a line for each step instead of the table, and more in the summary.
    """

    def __init__(self, *, verbose: bool) -> None:
        """See the class."""
        self._verbose = verbose

    def progress(self, moving: Path, fixed: Path) -> AbstractContextManager[Watch]:
        """See `Screen`. rich is imported only for a terminal."""
        if self._verbose:
            return nullcontext(_Teller())
        if not sys.stderr.isatty():
            return nullcontext(_Watcher())
        from medreg.report.progress import LiveProgress
        from medreg.report.summary import title_of

        return LiveProgress(title_of(str(moving), str(fixed)))

    def show(self, record: dict[str, Any]) -> None:
        """See `Screen`."""
        from medreg.report.summary import show, summary

        show(summary(record, detailed=self._verbose))


class _Watcher:
    """Shows nothing."""

    unit = "mm"

    def __call__(self, step: Step) -> None:
        """See `Watch`."""


class _Teller(_Watcher):
    """A line for each step."""

    def __call__(self, step: Step) -> None:
        """See `Watch`."""
        typer.echo(
            f"{step.kind:<11} {step.spacing_mm:5.3g} {self.unit}  step {step.number:2d}  metric {step.value:+.6f}  "
            f"moved {step.step_mm:8.4f} {self.unit}  overlap {step.overlap:4.0%}",
            err=True,
        )
