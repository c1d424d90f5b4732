"""DICOM's Spatial Registration objects: a matrix from the moving frame of reference into the fixed one."""

from __future__ import annotations

from pathlib import Path

from medreg.errors import UsageError
from medreg.io.transforms.draft import Draft, Source
from medreg.io.transforms.ends import identity_at
from medreg.types import FloatArray


def read(source: Source) -> FloatArray:
    """The registration of the two images, where the file holds several."""
    from medreg.io.dicom.registration_object import read_registration

    moving, fixed = identity_at(source.moving), identity_at(source.fixed)
    images = [instance.sop_instance for instance in moving.instances] if moving else []
    space, onto = ("" if origin is None else origin.frame_of_reference for origin in (moving, fixed))
    return read_registration(source.path, space, onto, images)


def write(draft: Draft, target: Path) -> None:
    """An object of the moving patient's study; both images are DICOM."""
    from medreg.io.dicom.registration_object import write_registration

    moving, fixed = identity_at(draft.moving), identity_at(draft.fixed)
    for origin, role in ((moving, "moving"), (fixed, "fixed")):
        if origin is None:
            raise UsageError(
                f"{draft.path}: a DICOM registration refers to two DICOM images; name the {role} one with --{role}"
            )
    if moving is not None and fixed is not None:
        frame = fixed.frame_of_reference
        write_registration(target, draft.matrix, moving=moving, fixed=fixed, fixed_frame_of_reference=frame)
