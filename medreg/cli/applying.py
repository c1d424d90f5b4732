"""One resampling as a process: read while torch is imported, resample, write; without a grid a new header alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medreg.cli.files import check_output, write_onto
from medreg.cli.starting import importing_torch
from medreg.cli.warned import collected
from medreg.errors import TransformError, UsageError
from medreg.geometry.affine import invert
from medreg.geometry.grid import Grid
from medreg.io.ahead import Wanted, clerk, read_files
from medreg.io.dicom.choice import Choice
from medreg.io.dicom.origin import origin_of
from medreg.io.failing import missing_file
from medreg.io.spacing import common_unit, with_spacing
from medreg.io.stored import StoredImage
from medreg.io.transforms import is_dicom_file, read_transform
from medreg.types import FloatArray


@dataclass(frozen=True)
class Applying:
    """What to move, onto what, through what, and how.

    A `transform` of None is the identity, a spacing of None the file's; without `like` the voxels stay what they are
    and the header moves.
    """

    image: Path
    like: Path | None
    out: Path
    transform: Path | None
    interpolation: str
    outside: float | str
    device: str
    threads: int | None
    image_spacing: tuple[float, ...] | None = None
    like_spacing: tuple[float, ...] | None = None
    choice: Choice | None = None
    like_choice: Choice | None = None
    inverse: bool = False

    @property
    def wanted(self) -> list[Wanted]:
        """What is to be read."""
        image = Wanted(self.image, self.choice, "--series")
        return [image] if self.like is None else [image, Wanted(self.like, self.like_choice, "--like-series")]


def apply_to_file(task: Applying, *, overwrite: bool) -> str:
    """Do it; returns what to tell.

    Raises:
        MedregError: whatever is wrong with the inputs, the transform, the device or the disk; then nothing is written.
    """
    check_output(task.out, overwrite=overwrite)
    for wanted in task.wanted:
        if not wanted.path.exists():
            raise missing_file(wanted.path)
    known = None  # whatever is wrong with it is told before the images are read; DICOM's needs to know them
    if task.transform is not None and not is_dicom_file(task.transform):
        known = read_transform(task.transform)
    if task.like is None:
        return _with_new_header(task, known)
    with clerk() as beside, collected() as warned:
        read = beside.submit(read_files, task.wanted)
        with importing_torch():
            from medreg.cli import engine
        device, _ = engine.compute_on(task.device, task.threads)
        spacings = (task.image_spacing, task.like_spacing)
        image, like = (with_spacing(ahead.image, mm) for ahead, mm in zip(read.result(), spacings, strict=True))
        common_unit(image, like, ("--image-spacing", "--like-spacing"))
        matrix = _matrix(task, known, (image, like))
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


def _matrix(task: Applying, known: FloatArray | None, images: Sequence[StoredImage]) -> FloatArray | None:
    """Fixed points -> moving points: the one that is known, or of a DICOM registration that for these images."""
    if task.transform is None:
        return None
    if known is None:
        origins = [origin_of(image.metadata) for image in images]
        known = read_transform(task.transform, *(origins[::-1] if task.inverse and len(origins) > 1 else origins))
    return invert(known) if task.inverse else known


def _with_new_header(task: Applying, known: FloatArray | None) -> str:
    """The image's own voxels, at the place to which the transform brings them: nothing is interpolated.

    Raises:
        UsageError: nothing to apply, or a homography, of which no grid is the image.
        TransformError: another dimension.
    """
    from medreg.io.image import write_image

    with collected() as warned:
        image = with_spacing(read_files(task.wanted)[0].image, task.image_spacing)
        matrix = _matrix(task, known, [image])
        if matrix is None:
            raise UsageError("nothing to do: name a transform with --transform, or a grid to resample onto with --like")
        d = image.grid.dimension
        if len(matrix) != d + 1:
            raise TransformError(f"{task.image} is {d}D, {task.transform} is {len(matrix) - 1}D; they must agree")
        if matrix[d, :d].any():
            raise UsageError(f"{task.transform}: is a homography, which no header can hold; name a grid with --like")
        if image.metadata.get("world") == "picture":
            raise UsageError(f"{task.image}: is a picture without a place in the world; name a grid with --like")
        grid = Grid.from_affine(image.grid.size, invert(matrix) @ image.grid.affine)
        written = write_image(replace(image, grid=grid), task.out)
    told = f"wrote {task.out} ({written.sentence}; its voxels as they were, moved by the header alone)"
    return "\n".join([*(f"warning: {text}" for text in warned), told])
