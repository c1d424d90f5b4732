"""What `medreg evaluate` does: read, measure, record. torch is imported only to bring labels onto another grid."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medreg.cli.tasks.chain import Link, check_dimensions, composed, images_named
from medreg.cli.tasks.labels import why_labels
from medreg.cli.tasks.outputs import check_free
from medreg.cli.tasks.warned import collected
from medreg.errors import ImageError, MedregWarning, TransformError, UsageError, WriteError
from medreg.evaluate import (
    LabelOverlap,
    SurfaceDistances,
    inverse_consistency,
    label_overlaps,
    landmark_errors,
    paired,
    same_place,
    surface_distances,
    transform_difference,
)
from medreg.io.atomic import written_beside
from medreg.io.dicom.origin import origin_of
from medreg.io.failing import missing_file
from medreg.io.image import read_stored
from medreg.io.points import Known, Points, Space, read_points
from medreg.io.stored import StoredImage
from medreg.io.transforms import End
from medreg.types import FloatArray, VoxelArray

Pair = tuple[Path, Path]


@dataclass(frozen=True, kw_only=True)
class Evaluating:
    """What to compare; see the options of `medreg evaluate`."""

    landmarks: Pair | None = None
    labels: Pair | None = None
    transforms: tuple[Link, ...] = ()
    inverse: tuple[Link, ...] = ()
    transform: tuple[Link, ...] = ()
    interpolation: str | None = None
    like: Path | None = None
    moving: Path | None = None
    space: Space | None = None
    out: Path | None = None


def evaluated(task: Evaluating, *, overwrite: bool) -> dict[str, Any]:
    """The record; the table is written if one was asked for.

    Raises:
        MedregError: whatever is wrong with the options, the files, or the disk; then nothing is written.
    """
    _check(task, overwrite=overwrite)
    record: dict[str, Any] = {}
    with collected() as warned:
        like = None if task.like is None else read_stored(task.like)
        maps = tuple(_label_map(path) for path in task.labels or ())
        fixed, moving = (_end(image) for image in maps or (like, None))
        moving = moving if task.moving is None else End(path=task.moving)
        with images_named("--moving, or the second of --labels", "--like, or the first of --labels"):
            matrix = composed(task.transform, moving, fixed)
        if task.landmarks:
            record["landmarks"] = _landmarks(task, task.landmarks, matrix)
        if len(maps) == 2:
            record["labels"] = _labels(task, *maps, matrix)
        for kind, links in (("transforms", task.transforms), ("inverse", task.inverse)):
            if links and like is not None:
                record[kind] = _over_image(links, like, moving, kind)
    record["warnings"] = warned
    if task.out is not None:
        from medreg.report.evaluation import to_csv

        with written_beside(task.out) as temporary:
            temporary.write_text(to_csv(record), encoding="utf-8", newline="\n")
    return record


def _check(task: Evaluating, *, overwrite: bool) -> None:
    """Refuse options that do not fit together, before any file is read."""
    if not (task.landmarks or task.labels or task.transforms or task.inverse):
        raise UsageError(
            "nothing to compare: name --landmarks, --labels, --transforms or --inverse, each with two files"
        )
    if (task.transforms or task.inverse) and task.like is None:
        raise UsageError("--transforms and --inverse are measured over an image; name the fixed one with --like")
    if task.transform and not (task.landmarks or task.labels):
        raise UsageError("--transform carries landmarks and labels; to compare two transforms use --transforms T1 T2")
    if task.interpolation is not None and not task.labels:
        raise UsageError("--interpolation is for --labels, which are not given")
    if task.moving is not None and not (task.transform or task.transforms or task.inverse):
        raise UsageError("--moving is the moving image of transforms, of which none is given")
    if task.moving is not None and not task.moving.exists():
        raise missing_file(task.moving)
    if task.space is not None and not task.landmarks:
        raise UsageError("--coordinates is for --landmarks, which are not given")
    if task.out is None:
        return
    if task.out.suffix.lower() != ".csv":
        raise WriteError(f"{task.out}: the table is written as .csv; --json prints the record")
    check_free(task.out, overwrite=overwrite)


def _landmarks(task: Evaluating, files: Pair, matrix: FloatArray | None) -> dict[str, Any]:
    fixed, moving = (_points(path, task.space) for path in files)
    dimension = len(matrix) - 1 if matrix is not None else min(fixed.dimension, moving.dimension)
    try:
        fixed, moving = fixed.in_dimension(dimension), moving.in_dimension(dimension)
    except UsageError as error:
        if matrix is None:
            raise
        raise TransformError(f"{error}, for {_name(task.transform)} is {dimension}D") from error
    pairing = paired(fixed.names, moving.names, (len(fixed), len(moving)))
    chosen = fixed.coordinates[list(pairing.fixed)], moving.coordinates[list(pairing.moving)]
    errors = landmark_errors(*chosen, matrix)
    both_pictures = fixed.space is moving.space is Space.PICTURE
    return {
        "fixed": str(files[0]),
        "moving": str(files[1]),
        "transform": _name(task.transform),
        "fixed_space": fixed.sentence,
        "moving_space": moving.sentence,
        "unit": "px" if both_pictures else "mm",
        "matched_by": pairing.by.value,
        "only_fixed": list(pairing.only_fixed),
        "only_moving": list(pairing.only_moving),
        "points": [
            {"name": name, "error": float(distance), "vector": vector.tolist()}
            for name, distance, vector in zip(pairing.names, errors.distances, errors.vectors, strict=True)
        ],
        "summary": {
            "mean": {"error": errors.mean},
            "median": {"error": errors.median},
            "max": {"error": errors.maximum},
            "rms": {"error": errors.rms},
        },
    }


def _labels(task: Evaluating, fixed: StoredImage, moving: StoredImage, matrix: FloatArray | None) -> dict[str, Any]:
    if fixed.grid.dimension != moving.grid.dimension:
        raise ImageError(
            f"{fixed.name} is {fixed.grid.dimension}D, {moving.name} is {moving.grid.dimension}D; they must agree"
        )
    if matrix is not None:
        check_dimensions({str(_name(task.transform)): len(matrix) - 1, fixed.name: fixed.grid.dimension})
    a, how = fixed.array[0], None
    if matrix is not None or not same_place(fixed.grid, moving.grid):
        how = task.interpolation or ("label" if matrix is not None else None)
        if how is None:
            raise UsageError(_apart(fixed, moving))
        b = _brought(fixed, moving, matrix, how)
    else:
        b = moving.array[0]
    overlaps = label_overlaps(a, b)
    distances = surface_distances(a, b, fixed.grid, [overlap.label for overlap in overlaps])
    volume = fixed.grid.voxel_volume
    rows = [_row(overlap, found, volume) for overlap, found in zip(overlaps, distances, strict=True)]
    return {
        "fixed": fixed.name,
        "moving": moving.name,
        "transform": _name(task.transform),
        "interpolation": how,
        "unit": _unit(fixed),
        "only_fixed": [overlap.label for overlap in overlaps if not overlap.voxels[1]],
        "only_moving": [overlap.label for overlap in overlaps if not overlap.voxels[0]],
        "labels": rows,
        "summary": {"mean": _means(rows)},
    }


def _row(overlap: LabelOverlap, found: SurfaceDistances | None, volume: float) -> dict[str, Any]:
    return {
        "label": overlap.label,
        "dice": overlap.dice,
        "jaccard": overlap.jaccard,
        "volume_similarity": overlap.volume_similarity,
        "fixed_volume": overlap.voxels[0] * volume,
        "moving_volume": overlap.voxels[1] * volume,
        "mean_surface": found.mean if found else None,
        "hausdorff_95": found.hausdorff_95 if found else None,
        "hausdorff": found.hausdorff if found else None,
    }


def _means(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Of each quantity, over the labels that have it."""
    means: dict[str, float | None] = {}
    for key in ("dice", "jaccard", "volume_similarity", "mean_surface", "hausdorff_95", "hausdorff"):
        values = [row[key] for row in rows if row[key] is not None]
        means[key] = float(np.mean(values)) if values else None
    return means


def _over_image(links: tuple[Link, ...], like: StoredImage, moving: End, kind: str) -> dict[str, Any]:
    fixed = _end(like)
    ends = (moving, fixed) if kind == "transforms" else (fixed, moving)
    with images_named("--moving", "--like (for the second of --inverse the other way round)"):
        first, second = links[0].matrix(moving, fixed), links[1].matrix(*ends)
    named = {links[0].name: len(first) - 1, links[1].name: len(second) - 1}
    check_dimensions({**named, like.name: like.grid.dimension})
    measure = transform_difference if kind == "transforms" else inverse_consistency
    apart = measure(first, second, like.grid)
    return {
        "files": [link.name for link in links],
        "like": like.name,
        "unit": _unit(like),
        "apart": asdict(apart),
    }


def _points(path: Path, asked: Space | None) -> Points:
    """The points; `asked` counts where the file does not say its space."""
    points = read_points(path)
    if asked is None or points.known is not Known.ASSUMED or points.space is Space.PICTURE:
        return points
    return read_points(path, asked)


def _label_map(path: Path) -> StoredImage:
    image = read_stored(path)
    if len(image.array) > 1:
        raise ImageError(f"{path}: has {len(image.array)} channels or volumes, a label map has one; choose one of them")
    if why_labels(image) is None:
        warnings.warn(f"{path}: does not look like a label map; is it an image?", MedregWarning, stacklevel=2)
    return image


def _apart(fixed: StoredImage, moving: StoredImage) -> str:
    sizes = [" x ".join(map(str, image.grid.size)) for image in (fixed, moving)]
    what = f"{sizes[0]} and {sizes[1]} voxels" if sizes[0] != sizes[1] else "their voxels lie at other places"
    return (
        f"{fixed.name} and {moving.name} lie on different grids ({what}), so their voxels cannot be compared; bring "
        f"one onto the other with medreg apply {moving.name} --like {fixed.name} --interpolation label, name the "
        "--transform between them, or have it done here with --interpolation label"
    )


def _brought(fixed: StoredImage, moving: StoredImage, matrix: FloatArray | None, how: str) -> VoxelArray:
    """The moving labels on the fixed grid, (z, y, x)."""
    from medreg.cli.tasks.starting import importing_torch

    with importing_torch():
        from medreg.sample import Label, Nearest, resample
    kernel = Label() if how == "label" else Nearest()
    moved: VoxelArray = resample(moving.to_image(), fixed.grid, matrix, kernel).data[0].numpy()
    return moved


def _end(image: StoredImage | None) -> End:
    """What some formats of transforms need to know of an image."""
    return End() if image is None else End(image.grid, origin_of(image.metadata), Path(image.name))


def _name(links: tuple[Link, ...]) -> str | None:
    return ", then ".join(link.name for link in links) or None


def _unit(image: StoredImage) -> str:
    return str(image.metadata.get("unit", "mm"))
