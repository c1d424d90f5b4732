"""Silence about pydicom's warnings, and about nothing else, in any number of threads."""

from __future__ import annotations

import threading
import warnings

import pytest

from medreg.errors import MedregWarning
from medreg.io.dicom.quiet import quiet


def test_other_warnings_are_silenced_and_medregs_own_are_not() -> None:
    with pytest.warns(MedregWarning, match="ours") as caught, quiet():
        warnings.warn("Invalid value for VR PN: 'DOE^JANE'", UserWarning, stacklevel=1)
        warnings.warn("ours", MedregWarning, stacklevel=1)
    assert [str(w.message) for w in caught] == ["ours"]


def test_threads_that_overlap_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first() -> None:
        with quiet():
            first_is_in.set()
            second_is_in.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with quiet():
        second_is_in.set()
        thread.join(10)
        warnings.warn("still silent, though the other has gone", UserWarning, stacklevel=1)
    assert list(warnings.filters) == before
