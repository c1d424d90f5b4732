"""Siemens' own header (CSA): how many slices a mosaic holds, and which way they are stacked. Parsed by nibabel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

from medreg.io.libraries import nibabel

Csa = Mapping[str, Mapping[str, Any]]


def csa_of(dataset: Dataset) -> Csa:
    """The entries of the image header by name; none where there is no such header, or it is damaged."""
    if (0x0029, 0x0010) not in dataset:
        return {}
    try:
        header = nibabel("nicom.csareader").get_csa_header(dataset, "image")
    except Exception:  # damaged bytes may raise anything
        return {}
    tags: Csa = header["tags"] if header else {}
    return tags


def csa_numbers(csa: Csa, name: str) -> tuple[float, ...]:
    """An entry as numbers; none where it is missing or holds something else."""
    try:
        return tuple(float(value) for value in csa[name]["items"])
    except (KeyError, TypeError, ValueError):
        return ()
