"""elastix's TransformParameters: fixed -> moving, LPS mm, with the grid of the fixed image; old text and TOML.

Classes as ITK's, about CenterOfRotationPoint. A chain names the file of the transform that acts first
(InitialTransformParameterFileName).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medreg.errors import ReadError, TransformError
from medreg.geometry.grid import Grid
from medreg.io.failing import missing_file
from medreg.io.itk_text import Entry, matrix_of, offset_parameters
from medreg.io.transforms.draft import Draft, Source
from medreg.io.transforms.ends import header_at
from medreg.types import FloatArray

TEXT_MARK = re.compile(r"^\s*\(\s*Transform\s+\"", re.MULTILINE)
TOML_MARK = re.compile(r"^\s*Transform\s*=\s*\"", re.MULTILINE)
_CLASSES = {
    ("AffineTransform", 2): "AffineTransform",
    ("AffineTransform", 3): "AffineTransform",
    ("TranslationTransform", 2): "TranslationTransform",
    ("TranslationTransform", 3): "TranslationTransform",
    ("EulerTransform", 2): "Euler2DTransform",
    ("EulerTransform", 3): "Euler3DTransform",
    ("SimilarityTransform", 2): "Similarity2DTransform",
    ("SimilarityTransform", 3): "Similarity3DTransform",
}
_NO_FILE = ("", "NoInitialTransform")
_LONGEST = 50
_UNTILTED = 1e-6

Parameters = Mapping[str, list[Any]]


def read(source: Source) -> FloatArray:
    """The transform of a file, and those of the files that it builds on."""
    return _chained(source.path, "\n".join(source.lines), ())


def write_text(draft: Draft, target: Path) -> None:
    """The old form, which every elastix reads: `transformix -tp OUT -in MOVING` brings it onto the fixed grid."""
    lines = [f"({key} {' '.join(_quoted(value) for value in values)})" for key, values in _parameters(draft).items()]
    target.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def write_toml(draft: Draft, target: Path) -> None:
    """The form of elastix 5.2 and later."""
    lines = []
    for key, values in _parameters(draft).items():
        shown = [json.dumps(value) for value in values]
        several = len(values) > 1 or key in ("TransformParameters", "CenterOfRotationPoint")
        lines.append(f"{key} = " + (f"[{', '.join(shown)}]" if several else shown[0]))
    target.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _parameters(draft: Draft) -> dict[str, list[Any]]:
    why = f"{draft.path}: elastix keeps the grid of the fixed image beside the transform"
    grid = header_at(draft.fixed, "fixed", why).grid
    d = draft.dimension
    if grid.dimension != d:
        raise TransformError(f"{draft.path}: the fixed image is {grid.dimension}D, the transform {d}D")
    numbers, centre = offset_parameters(draft.matrix, draft.centre)
    return {
        "Transform": ["AffineTransform"],
        "NumberOfParameters": [len(numbers)],
        "TransformParameters": numbers.tolist(),
        "CenterOfRotationPoint": centre.tolist(),
        "InitialTransformParameterFileName": ["NoInitialTransform"],
        "HowToCombineTransforms": ["Compose"],
        "FixedImageDimension": [d],
        "MovingImageDimension": [d],
        "FixedInternalImagePixelType": ["float"],
        "MovingInternalImagePixelType": ["float"],
        **_lattice(grid),
        "UseDirectionCosines": [True],
        "ResampleInterpolator": ["FinalBSplineInterpolator"],
        "FinalBSplineInterpolationOrder": [1],
        "Resampler": ["DefaultResampler"],
        "DefaultPixelValue": [0],
        "ResultImageFormat": ["nii"],
        "ResultImagePixelType": ["float"],
        "CompressResultImage": [False],
    }


def _lattice(grid: Grid) -> dict[str, list[Any]]:
    columns = np.array(grid.direction).T.ravel().tolist()  # column by column, other than everywhere else in ITK
    return {
        "Size": list(grid.size),
        "Index": [0] * grid.dimension,
        "Spacing": list(grid.spacing),
        "Origin": list(grid.origin),
        "Direction": columns,
    }


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return f'"{str(value).lower()}"'
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _chained(path: Path, text: str, before: tuple[Path, ...]) -> FloatArray:
    parameters = _toml(text, path) if TOML_MARK.search(text) else _old(text, path)
    matrix = _matrix(parameters, path)
    name = str(_first(parameters, ("InitialTransformParameterFileName", "InitialTransformParametersFileName"), ""))
    if name in _NO_FILE:
        return matrix
    earlier = _beside(Path(name), path)
    if earlier.resolve() in {p.resolve() for p in (*before, path)} or len(before) > _LONGEST:
        raise TransformError(f"{path}: builds on {name}, which builds on itself")
    try:
        first = _chained(earlier, earlier.read_text(encoding="utf-8-sig"), (*before, path))
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{earlier}: cannot be read, {error}; {path} builds on it") from error
    if len(first) != len(matrix):
        raise TransformError(f"{path}: is {len(matrix) - 1}D and builds on {name}, which is {len(first) - 1}D")
    how = str(_first(parameters, ("HowToCombineTransforms",), "Compose"))
    if how not in ("Compose", "Add"):
        raise TransformError(f"{path}: HowToCombineTransforms is {how!r}, wanted Compose or Add")
    return matrix @ first if how == "Compose" else matrix + first - np.eye(len(matrix))


def _beside(name: Path, path: Path) -> Path:
    """The file of a chain: where its name says, else beside the file that names it, where copies usually lie."""
    for place in (path.parent / name, name, path.parent / name.name):
        if place.is_file():
            return place
    raise ReadError(f"{missing_file(path.parent / name.name)}; {path} builds on it (InitialTransformParameterFileName)")


def _matrix(parameters: Parameters, path: Path) -> FloatArray:
    name = str(_first(parameters, ("Transform",), ""))
    try:
        centre = tuple(float(v) for v in parameters.get("CenterOfRotationPoint", ()))
        numbers = tuple(float(v) for v in parameters["TransformParameters"])
        d = int(_first(parameters, ("FixedImageDimension",), len(centre)))
    except (KeyError, TypeError, ValueError) as error:
        raise TransformError(f"{path}: TransformParameters are missing or no numbers; the file is damaged") from error
    known = _CLASSES.get((name, d))
    if known is None:
        raise TransformError(
            f"{path}: holds a {name or 'transform without a name'} in {d}D; medreg reads elastix's Translation, Euler, "
            "Similarity and Affine transforms in 2D and 3D"
        )
    _check_directions(parameters, d, path)
    if known == "Euler3DTransform":
        zyx = str(_first(parameters, ("ComputeZYX",), "false")).lower() == "true"
        centre = (*(centre or (0.0,) * d), float(zyx))
    try:
        matrix = matrix_of(Entry(known, d, numbers, centre))
    except TransformError as error:
        raise TransformError(f"{path}: {error}") from error
    return np.eye(d + 1) if matrix is None else matrix


def _check_directions(parameters: Parameters, d: int, path: Path) -> None:
    """Refuse what elastix found with the images' directions thrown away: its world is not theirs."""
    used = str(_first(parameters, ("UseDirectionCosines",), "true")).lower()
    direction = np.array([float(v) for v in parameters.get("Direction", np.eye(d).ravel())])
    if used == "false" and (direction.shape != (d * d,) or np.abs(direction - np.eye(d).ravel()).max() > _UNTILTED):
        raise TransformError(
            f"{path}: was made with UseDirectionCosines false, which throws the images' directions away; register "
            "again with true"
        )


def _first(parameters: Parameters, names: tuple[str, ...], otherwise: Any) -> Any:
    for name in names:
        if parameters.get(name):
            return parameters[name][0]
    return otherwise


def _old(text: str, path: Path) -> Parameters:
    """Lines `(Key value value)`; // begins a comment."""
    found: dict[str, list[Any]] = {}
    for line in text.splitlines():
        line = re.sub(r'("[^"]*")|//.*', lambda match: match[1] or "", line).strip()
        if not line:
            continue
        match = re.fullmatch(r"\(\s*(\w+)\s*(.*?)\s*\)", line)
        if match is None:
            raise TransformError(f"{path}: {line[:60]!r} is no line of elastix, which have the form (Key value ...)")
        found[match[1]] = [quoted if quoted or not bare else bare for quoted, bare in _WORDS.findall(match[2])]
    return found


_WORDS = re.compile(r'"([^"]*)"|([^\s"]+)')


def _toml(text: str, path: Path) -> Parameters:
    """`Key = value`; elastix's values are numbers, strings, booleans and flat lists of them, written as in JSON."""
    found: dict[str, list[Any]] = {}
    waiting = ""
    for line in text.splitlines():
        waiting += re.sub(r'("(?:[^"\\]|\\.)*")|#.*', lambda match: match[1] or "", line).strip() + " "
        key, equals, value = (part.strip() for part in waiting.partition("="))
        if not waiting.strip() or (equals and value.count("[") > value.count("]")):
            continue
        waiting = ""
        try:
            loaded = json.loads(re.sub(r",\s*\]", "]", value))
        except ValueError as error:
            raise TransformError(f"{path}: {line[:60]!r} is no line of elastix's TOML") from error
        found[key] = loaded if isinstance(loaded, list) else [loaded]
    if waiting.strip():
        raise TransformError(f"{path}: ends within a list; the file is cut short")
    return found
