"""The folder of a run's outputs: filled all at once, or left as it was."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from medreg.errors import WriteError
from medreg.io.content import KIND_OF_SUFFIX
from medreg.io.transforms import LINEAR, PROJECTIVE

RECORD = "run.json"


class OutputFolder:
    """A folder of `moved.*`, `transform.*` and `run.json`; a context manager around the whole run.

    Entering makes sure, before any work, that the folder can be written and that nothing would be replaced unasked.
    What is written goes to `inside`, a hidden folder in it; `publish` moves it to its place, the record last, so that a
    `run.json` says that all is there. Leaving without it leaves no trace.

    Raises:
        WriteError: outputs are there already and may not be replaced, or the disk refuses.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """Name the folder; nothing is touched before entering."""
        self.path = path
        self._overwrite = overwrite
        self._made: list[Path] = []

    def __enter__(self) -> OutputFolder:
        """Check and prepare."""
        if self.path.exists() and not self.path.is_dir():
            raise WriteError(f"{self.path}: is a file; name a folder for the outputs with --out")
        names = [LINEAR, PROJECTIVE, RECORD, *(f"moved{suffix}" for suffix in KIND_OF_SUFFIX)]
        there = [name for name in names if (self.path / name).exists()]
        if there and not self._overwrite:
            raise WriteError(
                f"{self.path}: holds {', '.join(there)} already; "
                "add --overwrite to replace, or name another folder with --out"
            )
        try:
            for folder in reversed([p for p in (self.path, *self.path.parents) if not p.exists()]):
                folder.mkdir()
                self._made.append(folder)
            self.inside = Path(tempfile.mkdtemp(prefix=".medreg-", dir=self.path))
        except OSError as error:
            self._unmake()
            raise WriteError(f"{self.path}: cannot be written, {error.strerror or error}") from error
        return self

    def publish(self) -> list[Path]:
        """Move everything to its place, the record last; returns the final paths."""
        files = sorted(self.inside.iterdir(), key=lambda p: (p.name == RECORD, p.name))
        try:
            (self.path / RECORD).unlink(missing_ok=True)  # an old record must not vouch for new files
            return [file.replace(self.path / file.name) for file in files]
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
