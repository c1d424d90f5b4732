"""Without pydicom's warnings: of odd values, which a person cannot mend, and whose texts may name the patient."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from medreg.errors import MedregWarning

_LOCK = threading.Lock()
_HELD: list[warnings.catch_warnings] = []
_DEPTH = [0]


@contextmanager
def quiet() -> Iterator[None]:
    """While any thread is inside, only medreg's own warnings are given, as they would be anyway.

    Python keeps one list of filters for all threads, and `catch_warnings` in two at a time leaves the wrong one behind:
    so the first to come changes it, and the last to go puts it back.
    """
    with _LOCK:
        if _DEPTH[0] == 0:
            _HELD.append(warnings.catch_warnings())
            _HELD[0].__enter__()
            before = list(warnings.filters)
            warnings.simplefilter("ignore")
            for action, message, category, module, line in reversed(before):
                if issubclass(MedregWarning, category):
                    warnings.filters.insert(0, (action, message, MedregWarning, module, line))  # type: ignore[attr-defined]
            if not any(issubclass(MedregWarning, each[2]) for each in before):  # Python's own default
                warnings.filters.insert(0, ("default", None, MedregWarning, None, 0))  # type: ignore[attr-defined]
        _DEPTH[0] += 1
    try:
        yield
    finally:
        with _LOCK:
            _DEPTH[0] -= 1
            if _DEPTH[0] == 0:
                _HELD.pop().__exit__(None, None, None)
