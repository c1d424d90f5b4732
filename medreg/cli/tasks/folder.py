"""Folders of outputs: filled all at once, or left as they were."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from medreg.cli.tasks.reporting import FILES
from medreg.errors import WriteError
from medreg.io.content import KIND_OF_SUFFIX
from medreg.io.dicom.origin import DERIVED_BY
from medreg.io.transforms import LINEAR, PROJECTIVE

RECORD = "run.json"
ERROR = "error.nii.gz"
REGISTRATION = "registration.dcm"
_HEAD_BYTES = 1 << 20

Folder = TypeVar("Folder", bound="FilledAtOnce")


class FilledAtOnce(ABC):
    """A folder of outputs; a context manager around the whole run.

    Entering makes sure, before any work, that it can be written and that nothing would be replaced unasked. What is
    written goes to `inside`, a hidden folder; `publish` puts it in its place. Leaving without it leaves no trace.

    Args:
        path: the folder.
        overwrite: whether older outputs may be replaced.
        home: where the hidden folder lies: on the same file system.
    """

    def __init__(self, path: Path, home: Path, *, overwrite: bool) -> None:
        """Name the folder; nothing is touched before entering."""
        self.path = path
        self._home, self._overwrite = home, overwrite
        self._made: list[Path] = []

    @abstractmethod
    def check(self) -> None:
        """Raise a WriteError where something is in the way."""

    @abstractmethod
    def put_in_place(self) -> None:
        """Move what is `inside` to its place."""

    def __enter__(self: Folder) -> Folder:
        """Check and prepare."""
        self.check()
        try:
            for folder in reversed([p for p in (self._home, *self._home.parents) if not p.exists()]):
                folder.mkdir()
                self._made.append(folder)
            self.inside = Path(tempfile.mkdtemp(prefix=".medreg-", dir=self._home))
        except OSError as error:
            self._unmake()
            raise WriteError(f"{self.path}: cannot be written, {error.strerror or error}") from error
        return self

    def publish(self) -> None:
        """Put everything in its place.

        Raises:
            WriteError: the disk refuses.
        """
        try:
            self.put_in_place()
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written, {error.strerror or error}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what was not published, and the folders that were made for nothing."""
        shutil.rmtree(self.inside, ignore_errors=True)
        self._unmake()

    def _unmake(self) -> None:
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # not empty: published
                folder.rmdir()


class OutputFolder(FilledAtOnce):
    """A folder of `moved.*`, `transform.*`, `error.nii.gz`, `run.json` and a report, among whatever else is there.

    The record comes last, so that a `run.json` says that all is there.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """See the base class."""
        super().__init__(path, path, overwrite=overwrite)

    def check(self) -> None:
        """See the base class."""
        if self.path.exists() and not self.path.is_dir():
            raise WriteError(f"{self.path}: is a file; name a folder for the outputs with --out")
        names = [LINEAR, PROJECTIVE, RECORD, ERROR, *FILES.values(), *(f"moved{suffix}" for suffix in KIND_OF_SUFFIX)]
        there = [name for name in names if (self.path / name).exists()]
        if there and not self._overwrite:
            raise WriteError(
                f"{self.path}: holds {', '.join(there)} already; "
                "add --overwrite to replace, or name another folder with --out"
            )

    def put_in_place(self) -> None:
        """See the base class."""
        files = sorted(self.inside.iterdir(), key=lambda p: (p.name == RECORD, p.name))
        for name in (RECORD, ERROR, *FILES.values()):  # an old record or report must not vouch for new files
            (self.path / name).unlink(missing_ok=True)
        for file in files:
            file.replace(self.path / file.name)


class DicomFolder(FilledAtOnce):
    """A folder of a derived series, `IM*.dcm`, and `registration.dcm`, with nothing else in it.

    An older one is replaced as a whole; a folder with any file that medreg did not derive never is.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """See the base class."""
        path = path.resolve() if path.is_symlink() else path
        super().__init__(path, path.absolute().parent, overwrite=overwrite)

    def check(self) -> None:
        """See the base class."""
        if self.path.exists() and not self.path.is_dir():
            raise WriteError(f"{self.path}: is a file; name a folder for the series with --dicom-out")
        there = sorted(self.path.iterdir()) if self.path.is_dir() else []
        foreign = [file for file in there if not _is_derived(file)]
        if foreign or (there and not self._overwrite):
            names = ", ".join(file.name for file in (foreign or there)[:3])
            why = ", which medreg did not write; " if foreign else " already; add --overwrite to replace them, or "
            raise WriteError(f"{self.path}: holds {names}{why}name another folder with --dicom-out")

    def put_in_place(self) -> None:
        """See the base class."""
        self.check()  # once more: something may have come there meanwhile
        self.inside.chmod(0o777 & ~_umask())  # temporary folders are for their owner only
        if not self.path.exists():
            self.inside.rename(self.path)
            return
        old = Path(tempfile.mkdtemp(prefix=".medreg-", dir=self._home)) / self.path.name
        self.path.rename(old)
        self.inside.rename(self.path)
        shutil.rmtree(old.parent, ignore_errors=True)


def _is_derived(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    return head[128:132] == b"DICM" and (
        DERIVED_BY.encode("ascii") in head or (file.name == REGISTRATION and b"medreg" in head)
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
