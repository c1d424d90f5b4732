"""Warnings of a run, kept for the record and the summary."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from medreg.errors import MedregWarning


@contextmanager
def collected() -> Iterator[list[str]]:
    """A list that fills with the texts of all MedregWarnings, each once; other libraries' warnings are dropped."""
    texts: list[str] = []

    def keep(message: Warning | str, category: type[Warning], *_: object) -> None:
        if issubclass(category, MedregWarning) and str(message) not in texts:
            texts.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", MedregWarning)
        warnings.showwarning = keep  # type: ignore[assignment]
        yield texts
