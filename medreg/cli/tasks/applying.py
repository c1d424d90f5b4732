"""One image moved as a process: read while torch is imported, resample, write; without a grid a new header alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medreg.cli.tasks.chain import Link, check_dimensions, composed, images_named, read_early
from medreg.cli.tasks.files import write_onto
from medreg.cli.tasks.outputs import check_free, check_image
from medreg.cli.tasks.starting import importing_torch
from medreg.cli.tasks.warned import collected
from medreg.errors import ImageError, MedregWarning, UsageError
from medreg.geometry.affine import invert
from medreg.geometry.covering import covering, respaced
from medreg.geometry.grid import Grid
from medreg.io.ahead import Wanted, clerk, read_files
from medreg.io.content import stem_of
from medreg.io.dicom.choice import Choice
from medreg.io.dicom.origin import origin_of
from medreg.io.failing import missing_file
from medreg.io.spacing import common_unit, with_spacing
from medreg.io.stored import StoredImage
from medreg.io.transforms import End
from medreg.types import FloatArray

if TYPE_CHECKING:
    from medreg.io.gradients import Gradients

LABELS = ("label", "nearest")
"""Interpolations that leave a label map one."""


@dataclass(frozen=True, kw_only=True)
class Applying:
    """What to move, onto what, through what, and how.

    An empty `chain` is the identity, an `interpolation` of None what suits the image, a spacing of None the file's.
    Without `like` and `spacing_out` the voxels stay what they are and the header moves.
    """

    image: Path
    like: Path | None
    out: Path
    chain: Sequence[Link] = ()
    interpolation: str | None = None
    outside: float | str = 0.0
    device: str = "auto"
    threads: int | None = None
    image_spacing: tuple[float, ...] | None = None
    like_spacing: tuple[float, ...] | None = None
    spacing_out: tuple[float, ...] | None = None
    choice: Choice | None = None
    like_choice: Choice | None = None
    bvecs: Path | None = None
    bvals: Path | None = None

    @property
    def wanted(self) -> list[Wanted]:
        """What is to be read."""
        image = Wanted(self.image, self.choice, "--series")
        return [image] if self.like is None else [image, Wanted(self.like, self.like_choice, "--like-series")]

    @property
    def beside(self) -> tuple[Path | None, Path | None]:
        """Where the b-vectors and b-values are written, if any."""
        stem = stem_of(self.out)
        return (
            None if self.bvecs is None else self.out.with_name(f"{stem}.bvec"),
            None if self.bvals is None else self.out.with_name(f"{stem}.bval"),
        )

    @property
    def through(self) -> str:
        """The chain's names, for messages."""
        return " and ".join(link.name for link in self.chain)


def apply_to_file(task: Applying, *, overwrite: bool) -> str:
    """Do it; returns what to tell.

    Raises:
        MedregError: whatever is wrong with the inputs, the transforms, the device or the disk; then nothing is written.
    """
    check_image(task.out, overwrite=overwrite)
    for path in filter(None, task.beside):
        check_free(path, overwrite=overwrite)
    for wanted in task.wanted:
        if not wanted.path.exists():
            raise missing_file(wanted.path)
    gradients = _gradients(task)
    with collected() as warned:
        known = read_early(task.chain)
        if task.like is None and task.spacing_out is None:
            lines = _with_new_header(task, known, gradients)
        else:
            lines = _resampled(task, known, gradients)
    return "\n".join([*(f"warning: {text}" for text in warned), *lines])


def _resampled(task: Applying, known: FloatArray | None, gradients: Gradients | None) -> list[str]:
    """The image in one interpolation on the grid that was asked for."""
    with clerk() as beside:
        read = beside.submit(read_files, task.wanted)
        with importing_torch():
            from medreg.cli.tasks import engine
        device, _ = engine.compute_on(task.device, task.threads)
        spacings = (task.image_spacing, task.like_spacing)
        image, *others = (with_spacing(a.image, mm) for a, mm in zip(read.result(), spacings, strict=False))
        like = others[0] if others else None
        if like is not None:
            common_unit(image, like, ("--image-spacing", "--like-spacing"))
        matrix = _checked(task, _matrix(task, known, image, like), image, like)
        grid = _onto(task, image, like, matrix)
        if gradients is not None:
            gradients = gradients.check_fits(image.frames, image.name).turned(matrix, image.grid, grid)
        how, told = _chosen(task, image)
        _check_finite(image, how)
        if how in LABELS and (told or how == "label" or image.array.dtype.kind in "iub"):
            from medreg.cli.tasks.labels import moved_labels, warn_of_lost

            moved = moved_labels(image, grid, matrix, how, task.outside, device)
            if told:
                warn_of_lost(image, moved)
        else:
            moved = engine.moved_onto(engine.image_on(device, image), grid, matrix, how, task.outside)
        _warn_of_nothing(task, image, moved)
        space: Any = {} if like is None or grid != like.grid else like.metadata
        with _beside(task, gradients) as also:
            written = beside.submit(write_onto, moved, task.out, grid, space).result()
    sized = "" if like is not None and grid == like.grid else f"{' x '.join(map(str, grid.size))} voxels, "
    return [*told, f"wrote {task.out} ({sized}{written.sentence})", *also]


def _chosen(task: Applying, image: StoredImage) -> tuple[str, list[str]]:
    """The interpolation; and what to tell of it where the image is a label map."""
    from medreg.cli.tasks.labels import suiting, why_labels

    if task.interpolation is None:
        return suiting(image, task.image)
    why = why_labels(image)
    if why is None:
        return task.interpolation, []
    if task.interpolation not in LABELS:
        warnings.warn(
            f"{task.image}: looks like a label map ({why}), and --interpolation {task.interpolation} makes values "
            "between its labels; label or nearest keeps them",
            MedregWarning,
            stacklevel=2,
        )
        return task.interpolation, []
    return task.interpolation, [f"{task.image}: a label map ({why}), by --interpolation {task.interpolation}"]


def _check_finite(image: StoredImage, how: str) -> None:
    """Refuse what a B-spline would make of NaN: its filter carries each of them along whole rows of voxels.

    Raises:
        ImageError: NaN or infinite voxels, and a cubic interpolation.
    """
    if how != "cubic" or image.array.dtype.kind != "f" or bool(np.isfinite(image.array).all()):
        return
    bad = int(np.count_nonzero(~np.isfinite(image.array)))
    raise ImageError(
        f"{image.name}: {bad} voxel{'s are' if bad > 1 else ' is'} not finite (NaN), which --interpolation cubic would "
        "spread over the whole image; take linear, which keeps them in their places, or replace them"
    )


def _warn_of_nothing(task: Applying, image: StoredImage, moved: StoredImage) -> None:
    """Warn of a result of one value alone, where the image is not such a one."""
    if bool((moved.array == moved.array.flat[0]).all()) and not bool((image.array == image.array.flat[0]).all()):
        why = (
            f"is {task.through} of other images, or the other way round (--space fixed)?"
            if task.chain
            else "they lie apart"
        )
        warnings.warn(
            f"{task.out}: is empty, for nothing of {task.image} comes to its grid; {why}",
            MedregWarning,
            stacklevel=2,
        )


def _onto(task: Applying, image: StoredImage, like: StoredImage | None, matrix: FloatArray | None) -> Grid:
    """The grid of the result."""
    if task.spacing_out is None:
        assert like is not None  # else the header alone is moved
        return like.grid
    if like is not None:
        return respaced(like.grid, task.spacing_out)
    return covering(image.grid, task.spacing_out, matrix)


def _matrix(
    task: Applying, known: FloatArray | None, image: StoredImage, like: StoredImage | None
) -> FloatArray | None:
    """Fixed points -> moving points: what is known already, or what the files say when they know these images."""
    if known is not None:
        return known
    begin = End(image.grid, origin_of(image.metadata), task.image)
    end = End() if like is None else End(like.grid, origin_of(like.metadata), task.like)
    with images_named("IMAGE", "--like (with --inverse the other way round)"):
        return composed(task.chain, begin, end)


def _checked(
    task: Applying, matrix: FloatArray | None, image: StoredImage, like: StoredImage | None
) -> FloatArray | None:
    """The matrix, where it and the images are of one dimension.

    Raises:
        TransformError: they are not.
    """
    dimensions = {str(task.image): image.grid.dimension}
    if like is not None:
        dimensions[str(task.like)] = like.grid.dimension
    if matrix is not None:
        dimensions[task.through] = len(matrix) - 1
    check_dimensions(dimensions)
    return matrix


def _with_new_header(task: Applying, known: FloatArray | None, gradients: Gradients | None) -> list[str]:
    """The image's own voxels, at the place to which the transform brings them: nothing is interpolated.

    Raises:
        UsageError: nothing to apply, or a homography, of which no grid is the image.
        TransformError: another dimension.
    """
    from medreg.io.image import write_image

    image = with_spacing(read_files(task.wanted)[0].image, task.image_spacing)
    matrix = _checked(task, _matrix(task, known, image, None), image, None)
    if matrix is None:
        raise UsageError("nothing to do: name a transform with --transform, or a grid to resample onto with --like")
    d = image.grid.dimension
    if matrix[d, :d].any():
        raise UsageError(f"{task.through}: is a homography, which no header can hold; name a grid with --like")
    if image.metadata.get("world") == "picture":
        raise UsageError(f"{task.image}: is a picture without a place in the world; name a grid with --like")
    grid = Grid.from_affine(image.grid.size, invert(matrix) @ image.grid.affine)
    if gradients is not None:
        gradients = gradients.check_fits(image.frames, image.name).turned(matrix, image.grid, grid)
    with _beside(task, gradients) as also:
        written = write_image(replace(image, grid=grid), task.out)
    told = f"wrote {task.out} ({written.sentence}; its voxels as they were, moved by the header alone)"
    return [told, *also]


def _gradients(task: Applying) -> Gradients | None:
    """The b-vectors that were named, before any image is read.

    Raises:
        UsageError: b-values alone.
        ReadError: see `read_gradients`.
    """
    if task.bvecs is None:
        if task.bvals is not None:
            raise UsageError(f"--bvals {task.bvals}: stay what they are; name the b-vectors with --bvecs, too")
        return None
    from medreg.io.gradients import read_gradients

    return read_gradients(task.bvecs, task.bvals)


@contextmanager
def _beside(task: Applying, gradients: Gradients | None) -> Iterator[list[str]]:
    """Around the writing of the image: its b-vectors come with it, or neither; gives what to tell of them."""
    vectors, values = task.beside
    if gradients is None or vectors is None:
        yield []
        return
    from medreg.io.gradients import gradients_beside

    beside = "" if values is None else f" and {values}"
    with gradients_beside(gradients, vectors, values):
        yield [
            f"wrote {vectors}{beside} ({len(gradients)} b-vectors, turned with the image, in the axes of its voxels)"
        ]
