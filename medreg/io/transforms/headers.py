"""Where an image's voxels lie, from its header alone: no voxel is unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import flip_lps_ras
from medreg.io.content import Kind, head_of, kind_of
from medreg.io.failing import AGAIN, reading
from medreg.io.libraries import nibabel, simpleitk
from medreg.io.nifti import header_in
from medreg.io.nifti_affine import placement

_MGH = 90
"""Bytes of its header."""


@dataclass(frozen=True)
class Header:
    """What formats that count in voxels must know of an image.

    Attributes:
        grid: its voxels, LPS mm, with the axes of the file.
        pixdim: the sizes of a voxel that the header states, which are those that FSL goes by. They are the grid's
            spacing in sound files; a sheared or edited sform may leave them apart.
        name: of the file, "" where there is none.
    """

    grid: Grid
    pixdim: tuple[float, ...]
    name: str


def header_of(path: Path) -> Header:
    """Read the header of an image.

    NIfTI, MGH, NRRD and MetaImage headers are read alone, however large the image; other formats are read whole.

    Raises:
        ReadError: missing, damaged, or no image.
        GeometryError: a header that describes no place in space.
    """
    with reading(path):
        head = b"" if path.is_dir() else head_of(path)
        kind = kind_of(head)
        if kind is Kind.NIFTI:
            return _nifti(path, head)
        if kind is Kind.MGH:
            return _mgh(path, head)
        if kind is Kind.META or (kind is Kind.NRRD and b"space units" not in head):
            return _itk(path, kind)
        return _whole(path)


def _nifti(path: Path, head: bytes) -> Header:
    header = header_in(head, path)
    axes = int(header["dim"][0])
    shape = [int(n) for n in header["dim"][1:4]]
    if not 1 <= axes <= 7 or min(shape[: min(axes, 3)]) < 1:
        raise ReadError(f"{path}: the header is damaged, dim = {header['dim'].tolist()}")
    if axes < 3:
        return _whole(path)  # one slice: its reader decides whether that is a 2D image
    grid = Grid.from_affine(shape, placement(header, (shape[0], shape[1], shape[2]), path).affine)
    stated = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    sound = np.isfinite(stated) & (stated > 0)
    return Header(grid, tuple(np.where(sound, stated, grid.spacing).tolist()), str(path))


def _mgh(path: Path, head: bytes) -> Header:
    if len(head) < _MGH:
        raise ReadError(f"{path}: is cut short, {len(head)} bytes where the header alone needs {_MGH}; {AGAIN}")
    header: Any = nibabel("freesurfer.mghformat").MGHHeader(head[:_MGH], check=False)
    size = [int(n) for n in header["dims"][:3]]
    grid = Grid.from_affine(size, flip_lps_ras(np.asarray(header.get_affine(), dtype=np.float64)))
    return Header(grid, grid.spacing, str(path))


def _itk(path: Path, kind: Kind) -> Header:
    reader: Any = simpleitk().ImageFileReader()
    reader.SetImageIO("MetaImageIO" if kind is Kind.META else "NrrdImageIO")  # by content: a suffix may lie
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    axes = reader.GetDimension()
    d = min(axes, 3)
    direction = np.array(reader.GetDirection()).reshape(axes, axes)[:d, :d]
    rows = tuple(tuple(row) for row in direction.tolist())
    grid = Grid(tuple(reader.GetSize()[:d]), tuple(reader.GetSpacing()[:d]), tuple(reader.GetOrigin()[:d]), rows)
    return Header(grid, grid.spacing, str(path))


def _whole(path: Path) -> Header:
    from medreg.io.image import read_stored

    grid = read_stored(path).grid
    return Header(grid, grid.spacing, str(path))
