"""`--dicom-out`: what is checked before any work, and what is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medreg.cli.tasks.folder import REGISTRATION
from medreg.errors import MedregWarning, UsageError
from medreg.io.dicom.origin import Origin, origin_of, same_patient
from medreg.io.stored import StoredImage
from medreg.types import FloatArray


def check_apart(dicom_out: Path, out: Path, inputs: Iterable[Path]) -> None:
    """Refuse, before any work, a folder that is or holds that of the other outputs, or an image that is read.

    Raises:
        UsageError: with what to do.
    """
    target = dicom_out.resolve()
    if target == out.resolve() or target in out.resolve().parents:
        raise UsageError(f"--dicom-out {dicom_out}: is or holds the folder of the other outputs; name one of its own")
    for path in map(Path.resolve, inputs):
        if target == path or target in path.parents or path in target.parents:
            raise UsageError(
                f"--dicom-out {dicom_out}: is, holds or lies in an input, {path}; name a folder of its own"
            )


def check_dicom_out(fixed: StoredImage, moving: StoredImage, *, linear: bool) -> None:
    """Refuse, before any work, what cannot become DICOM; warn where the images are of two patients.

    Raises:
        UsageError: a moving image that is not from DICOM, or a transform that a registration object cannot hold.
    """
    origin = origin_of(moving.metadata)
    if origin is None:
        raise UsageError(
            f"{moving.name}: --dicom-out derives a series from the moving image's own, but this is "
            f"{moving.metadata.get('format')}: nobody knows whose it is; give the DICOM series as the moving image"
        )
    from medreg.io.dicom.derived import check_plane

    if fixed.grid.dimension == 3:
        check_plane(fixed.grid, Path(fixed.name))
    if not linear:
        raise UsageError("--dicom-out: a DICOM registration cannot hold a homography; leave one of the two out")
    other = origin_of(fixed.metadata)
    if other is not None and not same_patient(origin, other):
        text = "the two series name different patients; the derived one belongs to the moving image's"
        warnings.warn(text, MedregWarning, stacklevel=2)


def write_dicom_out(moved: StoredImage, folder: Path, fixed: Origin | None, matrix: FloatArray) -> dict[str, Any]:
    """Write the series, and of volumes the registration object; returns what the record tells of it.

    Args:
        moved: on the fixed grid, with the moving image's metadata.
        folder: where to.
        fixed: where the fixed image came from; None where that was no DICOM.
        matrix: fixed points -> moving points, LPS mm.
    """
    from medreg.io.dicom.derived import write_derived
    from medreg.io.dicom.registration_object import write_registration

    moving = origin_of(moved.metadata)
    assert moving is not None  # `check_dicom_out` has looked
    series = write_derived(moved, folder, moving=moving, fixed=fixed)
    told = {"files": series.files, "note": series.sentence, "slope": series.slope, "intercept": series.intercept}
    if moved.grid.dimension == 2:
        return told
    write_registration(
        folder / REGISTRATION,
        matrix,
        moving=moving,
        fixed=fixed,
        fixed_frame_of_reference=series.frame_of_reference,
    )
    return {**told, "registration": REGISTRATION}
