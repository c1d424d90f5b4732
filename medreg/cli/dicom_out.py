"""`--dicom-out`: the folder of a derived DICOM series and its registration object, filled all at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from medreg.errors import MedregWarning, UsageError, WriteError
from medreg.io.dicom.origin import Origin, origin_of, same_patient
from medreg.io.stored import StoredImage
from medreg.types import FloatArray

REGISTRATION = "registration.dcm"
DERIVED_BY = b"Resampled by medreg"
_HEAD_BYTES = 1 << 20


class DicomFolder:
    """A folder of `IM*.dcm` and `registration.dcm`; a context manager around the whole run.

    Entering makes sure that it can be written. What is written goes to `inside`, a hidden folder beside it; `publish`
    puts that in its place, in one step.

    Raises:
        WriteError: the folder holds files already, or files that are not of such a series, or the disk refuses.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """Name the folder; nothing is touched before entering."""
        self.path = path
        self._overwrite = overwrite
        self._made: list[Path] = []

    def __enter__(self) -> DicomFolder:
        """Check and prepare."""
        if self.path.exists() and not self.path.is_dir():
            raise WriteError(f"{self.path}: is a file; name a folder for the series with --dicom-out")
        there = sorted(self.path.iterdir()) if self.path.is_dir() else []
        foreign = [file for file in there if not _is_derived(file)]
        if foreign or (there and not self._overwrite):
            names = ", ".join(file.name for file in (foreign or there)[:3])
            why = ", which medreg did not write; " if foreign else " already; add --overwrite to replace them, or "
            raise WriteError(f"{self.path}: holds {names}{why}name another folder with --dicom-out")
        try:
            for folder in reversed([p for p in self.path.absolute().parents if not p.exists()]):
                folder.mkdir()
                self._made.append(folder)
            self.inside = Path(tempfile.mkdtemp(prefix=".medreg-", dir=self.path.absolute().parent))
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written, {error.strerror or error}") from error
        return self

    def publish(self) -> None:
        """Put what was written in its place."""
        try:
            self.inside.chmod(0o777 & ~_umask())  # temporary folders are for their owner only
            if self.path.is_dir():
                shutil.rmtree(self.path)
            self.inside.rename(self.path)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written, {error.strerror or error}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what was not published, and the folders that were made for nothing."""
        shutil.rmtree(self.inside, ignore_errors=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # not empty: published
                folder.rmdir()


def _is_derived(file: Path) -> bool:
    """Whether a file is one that medreg derived: nothing else is ever replaced."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    return head[128:132] == b"DICM" and (DERIVED_BY in head or (file.name == REGISTRATION and b"medreg" in head))


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
