"""Score a linear transform against truth that no tool sees. numpy and nibabel only, and nothing of medreg.

World is LPS in millimetres; a matrix is homogeneous 4x4 and maps fixed points to moving points.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
Points = NDArray[np.floating[Any]]
Figures = dict[str, float]
"""`tre_mm`, `dice` and `landmark_mm`, those that the case has truth for."""

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
FOREGROUND_POINTS = 20_000
DENSE_LABELS = 1_000_000
"""Label maps with more voxels than this are compared at every second voxel of each axis."""


class CasesError(ValueError):
    """A cases file that cannot be used, or a file that a case names and that is not there."""


@dataclass(frozen=True)
class Case:
    """One pair of images and what is known about it; paths are resolved, what a case lacks is None."""

    name: str
    fixed: Path
    moving: Path
    kind: str
    truth: Path | None = None
    labels: tuple[Path, Path] | None = None
    points: tuple[Path, Path] | None = None
    undo: Path | None = None

    @property
    def is_volume(self) -> bool:
        """Whether both images are NIfTI; the peers' scripts read nothing else."""
        return all(path.name.endswith((".nii", ".nii.gz")) for path in (self.fixed, self.moving))


def read_cases(path: Path, only: frozenset[str] = frozenset()) -> list[Case]:
    """The cases of a JSON file (see README.md for its keys), or those of them named in `only`.

    Raises:
        CasesError: an entry lacks a key, names a file that is not there, or `only` names no case.
    """
    try:
        entries: dict[str, dict[str, Any]] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CasesError(f"{path}: cannot be read as JSON ({error})") from error
    if unknown := only - entries.keys():
        raise CasesError(f"{path}: no case {', '.join(sorted(unknown))}; it has {', '.join(entries)}")
    return [_case(name, entry, path) for name, entry in entries.items() if not only or name in only]


def _case(name: str, entry: dict[str, Any], path: Path) -> Case:
    if missing := {"fixed", "moving", "transform"} - entry.keys():
        raise CasesError(f"{path}: case {name} lacks {', '.join(sorted(missing))}")

    def one(key: str) -> Path | None:
        return _existing(entry[key], name, path) if key in entry else None

    def two(key: str) -> tuple[Path, Path] | None:
        if key not in entry:
            return None
        first, second = entry[key]
        return _existing(first, name, path), _existing(second, name, path)

    return Case(
        name,
        _existing(entry["fixed"], name, path),
        _existing(entry["moving"], name, path),
        entry["transform"],
        truth=one("truth"),
        labels=two("labels"),
        points=two("points"),
        undo=one("undo"),
    )


def _existing(relative: str, name: str, path: Path) -> Path:
    found = path.parent / relative
    if not found.exists():
        raise CasesError(f"{path}: case {name} names {relative}, which is not there")
    return found


def map_points(matrix: Matrix, points: Points) -> Points:
    """`points` (n, 3) through a homogeneous matrix, projective ones included."""
    mapped = points @ matrix[:, :3].T + matrix[:, 3]
    return mapped[:, :3] / mapped[:, 3:]


def foreground_points(voxels: NDArray[Any], to_world: Matrix) -> Points:
    """Up to 20,000 voxel centres (n, 3) brighter than 15 % of the image's 99th percentile, evenly drawn; LPS mm."""
    bright = np.flatnonzero(voxels > 0.15 * np.percentile(voxels, 99))
    bright = bright[:: max(1, len(bright) // FOREGROUND_POINTS)]
    index = np.stack(np.unravel_index(bright, voxels.shape), axis=1)
    return map_points(to_world, index.astype(np.float64))


def mean_distance(a: Points, b: Points) -> float:
    """Mean distance in mm between points (n, 3) and their counterparts (n, 3)."""
    return float(np.linalg.norm(a - b, axis=1).mean())


def inverse_consistency(forward: Matrix, backward: Matrix, points: Points) -> float:
    """Mean |backward(forward(x)) - x| in mm over `points` of the fixed image: 0 where two runs agree."""
    return mean_distance(map_points(backward, map_points(forward, points)), points)


@dataclass(frozen=True)
class LabelMap:
    """A volume of whole numbers, 0 for nothing, and its index-to-world matrix."""

    labels: NDArray[np.int64]
    to_world: Matrix

    @classmethod
    def read(cls, path: Path) -> "LabelMap":
        """Read a NIfTI file; labels kept as floats are rounded."""
        voxels, to_world = _read(path)
        return cls(np.rint(voxels).astype(np.int64), to_world)


@dataclass(frozen=True)
class Referee:
    """Scores any number of transforms for one case; each file is read once, when it is first needed."""

    case: Case

    def figures(self, matrix: Matrix) -> Figures:
        """Every figure that the case has truth for."""
        return dict(self._figures(matrix))

    def _figures(self, matrix: Matrix) -> Iterator[tuple[str, float]]:
        if self.case.truth:
            wanted = map_points(np.loadtxt(self.case.truth), self.foreground)
            yield "tre_mm", mean_distance(map_points(matrix, self.foreground), wanted)
        if self.case.labels:
            yield "dice", self._dice(matrix, *self._label_maps)
        if self.case.points:
            fixed, moving = paired_landmarks(*self.case.points)
            yield "landmark_mm", mean_distance(map_points(self._undo @ matrix, fixed), moving)

    @cached_property
    def foreground(self) -> Points:
        """`foreground_points` of the fixed image."""
        return foreground_points(*_read(self.case.fixed))

    @cached_property
    def _label_maps(self) -> tuple[LabelMap, ...]:
        return tuple(LabelMap.read(path) for path in self.case.labels or ())

    @cached_property
    def _undo(self) -> Matrix:
        """From the moving image's world to the one that its labels and points were drawn in."""
        return np.linalg.inv(np.loadtxt(self.case.undo)) if self.case.undo else np.eye(4)

    def _dice(self, matrix: Matrix, fixed: LabelMap, moving: LabelMap) -> float:
        """Mean Dice of the labels that both maps hold; the moving map is looked up, nearest, at the fixed voxels."""
        step = 2 if fixed.labels.size > DENSE_LABELS else 1
        thinned = fixed.labels[::step, ::step, ::step]
        left = thinned.ravel()
        index = (step * np.indices(thinned.shape).reshape(3, -1).T).astype(np.float64)
        index_to_index = np.linalg.inv(moving.to_world) @ self._undo @ matrix @ fixed.to_world
        found = np.rint(map_points(index_to_index, index)).astype(np.int64)
        inside = np.all((found >= 0) & (found < moving.labels.shape), axis=1)
        right = np.zeros_like(left)
        right[inside] = moving.labels[tuple(found[inside].T)]
        shared = np.intersect1d(left, moving.labels)
        shared = shared[shared > 0]
        top = int(max(left.max(), moving.labels.max())) + 1
        both = np.bincount(left[left == right], minlength=top)[shared]
        sizes = np.bincount(left, minlength=top)[shared] + np.bincount(right, minlength=top)[shared]
        return float(np.mean(2 * both / np.maximum(sizes, 1)))


def paired_landmarks(fixed: Path, moving: Path) -> tuple[Points, Points]:
    """The points that both files name, in the fixed file's order; paired by order where no name is shared."""
    a, b = _read_landmarks(fixed), _read_landmarks(moving)
    if shared := [name for name in a if name in b]:
        return np.array([a[name] for name in shared]), np.array([b[name] for name in shared])
    count = min(len(a), len(b))
    return np.array(list(a.values())[:count]), np.array(list(b.values())[:count])


def _read(path: Path) -> tuple[NDArray[Any], Matrix]:
    """Voxels of a 3D image and its index-to-world matrix, LPS."""
    image: Any = nib.load(path)
    voxels = np.asanyarray(image.dataobj)
    return voxels.reshape(voxels.shape[:3]), RAS_TO_LPS @ image.affine


def _read_landmarks(path: Path) -> dict[str, list[float]]:
    """Name -> x, y, z of a `name,x,y,z` file, LPS mm."""
    with path.open(newline="") as file:
        return {row["name"]: [float(row[axis]) for axis in "xyz"] for row in csv.DictReader(file)}
