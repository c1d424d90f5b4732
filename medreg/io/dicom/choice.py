"""Which image of a DICOM folder is meant, and what to do with slices that lie unevenly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Uneven(Enum):
    """What to do with slices whose distances differ."""

    REFUSE = "refuse"
    RESAMPLE = "resample"


@dataclass(frozen=True)
class Choice:
    """What is asked of a folder.

    Attributes:
        series: the number that `medreg info` shows, a series' UID, or a piece of its description; None where there is
            but one. Of an HDF5 file the name of one of its images.
        uneven: what to do with slices whose distances differ.
    """

    series: str | None = None
    uneven: Uneven = Uneven.REFUSE


def dicom_choice(series: str | None, uneven: str) -> Choice:
    """What `--series` and `--uneven` were given.

    Example:
        >>> dicom_choice("2", "resample")
        Choice(series='2', uneven=<Uneven.RESAMPLE: 'resample'>)
    """
    return Choice(series, Uneven(uneven))
