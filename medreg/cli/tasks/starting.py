"""Importing torch fast, and in a manner that shares the machine."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

_SPINS = "10000"


@contextmanager
def importing_torch() -> Iterator[None]:
    """Around the import of `medreg.cli.tasks.engine`.

    No garbage collection meanwhile: modules are a million objects and no garbage; 0.2 s less.

    OpenMP's waiting threads spin for long by default. Beside another busy process they then burn the very core that the
    working thread waits for. A tenth of a millisecond of spinning, then sleep, made no difference on an idle machine.
    Whoever has set OMP_WAIT_POLICY or GOMP_SPINCOUNT keeps it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
