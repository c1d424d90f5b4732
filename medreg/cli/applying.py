"""One resampling as a process: read while torch is imported, resample, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medreg.cli.files import check_output, write_onto
from medreg.cli.starting import importing_torch
from medreg.cli.warned import collected
from medreg.errors import TransformError
from medreg.geometry.affine import invert
from medreg.io.ahead import clerk, read_files
from medreg.io.failing import missing_file
from medreg.io.spacing import common_unit, with_spacing
from medreg.io.transforms import read_transform


@dataclass(frozen=True)
class Applying:
    """What to move, onto what, through what, and how; `transform` None is the identity, a spacing None the file's."""

    image: Path
    like: Path
    out: Path
    transform: Path | None
    interpolation: str
    outside: float | str
    device: str
    threads: int | None
    image_spacing: tuple[float, ...] | None = None
    like_spacing: tuple[float, ...] | None = None


def apply_to_file(task: Applying, *, inverse: bool, overwrite: bool) -> str:
    """Do it; returns what to tell.

    Raises:
        MedregError: whatever is wrong with the inputs, the transform, the device or the disk; then nothing is written.
    """
    check_output(task.out, overwrite=overwrite)
    for path in (task.image, task.like):
        if not path.exists():
            raise missing_file(path)
    matrix = None if task.transform is None else read_transform(task.transform)
    if matrix is not None and inverse:
        matrix = invert(matrix)
    with clerk() as beside, collected() as warned:
        reading = beside.submit(read_files, [task.image, task.like])
        with importing_torch():
            from medreg.cli import engine
        device, _ = engine.compute_on(task.device, task.threads)
        spacings = (task.image_spacing, task.like_spacing)
        image, like = (with_spacing(ahead.image, mm) for ahead, mm in zip(reading.result(), spacings, strict=True))
        common_unit(image, like, ("--image-spacing", "--like-spacing"))
        d = like.grid.dimension
        if image.grid.dimension != d or (matrix is not None and len(matrix) != d + 1):
            through = "" if matrix is None else f", {task.transform} is {len(matrix) - 1}D"
            raise TransformError(
                f"{task.image} is {image.grid.dimension}D, {task.like} is {d}D{through}; all must agree"
            )
        on_device = engine.image_on(device, image)
        moved = engine.moved_onto(on_device, like.grid, matrix, task.interpolation, task.outside)
        written = beside.submit(write_onto, moved, task.out, like.grid, like.metadata).result()
    return "\n".join([*(f"warning: {text}" for text in warned), f"wrote {task.out} ({written.sentence})"])
