"""FreeSurfer's LTA: text, from the moving ("src") to the fixed ("dst") volume, with the geometry of both.

Type 1 maps scanner RAS (mm), type 0 voxel indices from 0, type 14 the other way, in the RAS of tkregister.
`register.dat` keeps that last matrix alone. See FreeSurfer's `utils/transform.cpp`.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medreg.errors import MedregWarning, TransformError
from medreg.geometry.affine import invert
from medreg.geometry.grid import Grid
from medreg.geometry.orientation import conjugate_lps_ras, flip_lps_ras
from medreg.io.transforms.draft import Draft, Source, in_space
from medreg.io.transforms.ends import End, header_at
from medreg.io.transforms.headers import Header
from medreg.io.transforms.numbers import matrix_in, row_of, rows_of
from medreg.types import FloatArray

_VOXELS, _RAS, _TKREGISTER = 0, 1, 14
_NAMES = {_VOXELS: "LINEAR_VOX_TO_VOX", _RAS: "LINEAR_RAS_TO_RAS"}
_SAME_PLACE_MM = 1e-2
"""FreeSurfer keeps geometry in float32, often written with a few digits only."""


@dataclass(frozen=True)
class Volume:
    """The geometry of one volume of an LTA.

    Attributes:
        affine: 4x4, voxel index -> scanner RAS mm.
        tkregister: 4x4, voxel index -> the RAS of tkregister.
    """

    affine: FloatArray
    tkregister: FloatArray

    @staticmethod
    def of(grid: Grid) -> Volume:
        """Of an image."""
        return Volume(flip_lps_ras(grid.affine), tkregister_affine(grid.size, grid.spacing))


def read_lta(source: Source) -> FloatArray:
    """Types 0, 1 and 14; the images stand in for volumes whose geometry the file does not give."""
    lines = [line.partition("#")[0].strip() for line in source.lines]
    lines = [line for line in lines if line]
    kind, matrix = _matrix(lines, source.path)
    src, dst = _volume(lines, "src", source.path), _volume(lines, "dst", source.path)
    swapped = _swapped(src, dst, source)
    if kind == _RAS:
        there = matrix
    else:
        if src is None:
            src = _image(source.fixed if swapped else source.moving, "moving", source.path)
        if dst is None:
            dst = _image(source.moving if swapped else source.fixed, "fixed", source.path)
        if kind == _VOXELS:
            there = dst.affine @ matrix @ invert(src.affine)
        else:  # of tkregister: from dst to src, whatever else an LTA does
            back = src.affine @ invert(src.tkregister) @ matrix @ dst.tkregister @ invert(dst.affine)
            there = invert(back)
    return conjugate_lps_ras(there if swapped else invert(there))


def write_ras(draft: Draft, target: Path) -> None:
    """Type 1: `mri_vol2vol --mov MOVING --targ FIXED --lta OUT` takes it."""
    _write_lta(draft, target, _RAS)


def write_voxels(draft: Draft, target: Path) -> None:
    """Type 0."""
    _write_lta(draft, target, _VOXELS)


def read_register_dat(source: Source) -> FloatArray:
    """Subject, two resolutions, an intensity, four rows, and how tkregister rounds."""
    lines = [line for line in source.lines if line.strip()]
    matrix = matrix_in(lines[4:8], source.path, "a register.dat")
    if matrix.shape != (4, 4):
        raise TransformError(f"{source.path}: a register.dat holds 4 rows of 4 numbers from its fifth line on")
    fixed, moving = (
        Volume.of(_header(end, role, source.path).grid)
        for end, role in ((source.fixed, "fixed"), (source.moving, "moving"))
    )
    there = moving.affine @ invert(moving.tkregister) @ matrix @ fixed.tkregister @ invert(fixed.affine)
    return conjugate_lps_ras(there)


def write_register_dat(draft: Draft, target: Path) -> None:
    """With the moving image as tkregister's movable, the fixed one as its target."""
    matrix = conjugate_lps_ras(in_space(draft, "register.dat"))
    grids = [_header(end, role, draft.path).grid for end, role in ((draft.fixed, "fixed"), (draft.moving, "moving"))]
    fixed, moving = (Volume.of(grid) for grid in grids)
    stored = moving.tkregister @ invert(moving.affine) @ matrix @ fixed.affine @ invert(fixed.tkregister)
    spacing = grids[1].spacing
    lines = ["unknown", repr(float(spacing[0])), repr(float(spacing[2])), "0.15"]
    target.write_text("\n".join(lines) + f"\n{rows_of(stored)}round\n", encoding="ascii", newline="\n")


def tkregister_affine(size: tuple[int, ...], spacing: tuple[float, ...]) -> FloatArray:
    """4x4: voxel index -> the RAS of tkregister: a coronal volume about its own middle, whatever the header says."""
    half = [n * s / 2 for n, s in zip(size, spacing, strict=True)]
    x, y, z = spacing
    return np.array([[-x, 0.0, 0.0, half[0]], [0.0, 0.0, z, -half[2]], [0.0, -y, 0.0, half[1]], [0.0, 0.0, 0.0, 1.0]])


def _write_lta(draft: Draft, target: Path, kind: int) -> None:
    stored = invert(conjugate_lps_ras(in_space(draft, "an LTA")))
    src, dst = _header(draft.moving, "moving", draft.path), _header(draft.fixed, "fixed", draft.path)
    if kind == _VOXELS:
        stored = invert(flip_lps_ras(dst.grid.affine)) @ stored @ flip_lps_ras(src.grid.affine)
    text = (
        f"# transform file {draft.path.name}\n# created by medreg\n\n"
        f"type      = {kind} # {_NAMES[kind]}\nnxforms   = 1\nmean      = 0.0000 0.0000 0.0000\nsigma     = 1.0000\n"
        f"1 4 4\n{rows_of(stored)}src volume info\n{_geometry(src)}dst volume info\n{_geometry(dst)}"
    )
    target.write_text(text, encoding="utf-8", newline="\n")


def _geometry(header: Header) -> str:
    grid = header.grid
    affine = flip_lps_ras(grid.affine)
    middle = affine[:3, :3] @ (np.array(grid.size) / 2) + affine[:3, 3]
    axes = (affine[:3, :3] / np.array(grid.spacing)).T
    rows = "".join(f"{name}ras   = {row_of(axis)}\n" for name, axis in zip("xyz", axes, strict=True))
    size = " ".join(map(str, grid.size))
    return (
        f"valid = 1  # volume info valid\nfilename = {header.name or 'unknown'}\nvolume = {size}\n"
        f"voxelsize = {row_of(grid.spacing)}\n{rows}cras   = {row_of(middle)}\n"
    )


def _matrix(lines: list[str], path: Path) -> tuple[int, FloatArray]:
    kind = _field(lines, "type", path)
    if len(kind) != 1 or int(kind[0]) not in (_VOXELS, _RAS, _TKREGISTER):
        raise TransformError(f"{path}: is an LTA of type {kind}; medreg reads types 0, 1 and 14, see lta_convert")
    count = _field(lines, "nxforms", path)
    if count != [1.0]:
        raise TransformError(f"{path}: holds {count} transforms, wanted one; join them with mri_concatenate_lta")
    if "1 4 4" not in lines:
        raise TransformError(f"{path}: has no line '1 4 4' before its matrix; the LTA is damaged")
    start = lines.index("1 4 4") + 1
    matrix = matrix_in(lines[start : start + 4], path, "an LTA")
    if matrix.shape != (4, 4):
        raise TransformError(f"{path}: an LTA holds 4 rows of 4 numbers, got {matrix.shape[0]} of {matrix.shape[1]}")
    return int(kind[0]), matrix


def _field(lines: list[str], name: str, path: Path) -> list[float]:
    for line in lines:
        match = re.fullmatch(rf"{name}\s*=\s*(.*)", line)
        if match:
            try:
                return [float(value) for value in match[1].split()]
            except ValueError as error:
                raise TransformError(f"{path}: {line!r} holds no numbers; the LTA is damaged") from error
    raise TransformError(f"{path}: has no line {name!r}; the LTA is damaged or cut short")


def _volume(lines: list[str], which: str, path: Path) -> Volume | None:
    """The geometry that a file gives of its "src" or "dst"; None where it says that it knows none."""
    if f"{which} volume info" not in lines:
        return None
    block = lines[lines.index(f"{which} volume info") + 1 :][:8]
    if _field(block, "valid", path) != [1.0]:
        return None
    size, spacing = _field(block, "volume", path), _field(block, "voxelsize", path)
    axes = [_field(block, name, path) for name in ("xras", "yras", "zras")]
    middle = _field(block, "cras", path)
    if {len(numbers) for numbers in (size, spacing, *axes, middle)} != {3}:
        raise TransformError(f"{path}: the geometry of its {which} volume is damaged")
    affine = np.eye(4)
    affine[:3, :3] = np.array(axes).T * np.array(spacing)
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ (np.array(size) / 2)
    return Volume(affine, tkregister_affine(tuple(int(n) for n in size), tuple(spacing)))


def _swapped(src: Volume | None, dst: Volume | None, source: Source) -> bool:
    """Whether the file's source is the fixed image, as the geometry of both tells; FreeSurfer then inverts it, too."""
    if src is None or dst is None or not (source.fixed.known and source.moving.known):
        return False
    fixed = Volume.of(_header(source.fixed, "fixed", source.path).grid)
    moving = Volume.of(_header(source.moving, "moving", source.path).grid)
    if _like(src, moving) and _like(dst, fixed):
        return False
    if _like(src, fixed) and _like(dst, moving):
        text = "maps the fixed to the moving image, as the geometry of its volumes tells; taken in that direction"
        warnings.warn(f"{source.path}: {text}", MedregWarning, stacklevel=4)
        return True
    text = "was made for volumes of another geometry than the two images; a ras2ras matrix may still hold"
    warnings.warn(f"{source.path}: {text}", MedregWarning, stacklevel=4)
    return False


def _like(one: Volume, other: Volume) -> bool:
    return bool(np.abs(one.affine - other.affine).max() < _SAME_PLACE_MM)


def _image(end: End, role: str, path: Path) -> Volume:
    return Volume.of(_header(end, role, path).grid)


def _header(end: End, role: str, path: Path) -> Header:
    header = header_at(end, role, f"{path}: FreeSurfer's files go by the voxels of both images")
    if header.grid.dimension != 3:
        raise TransformError(f"{path}: FreeSurfer's transforms are 3D, the {role} image is 2D")
    return header
