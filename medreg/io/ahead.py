"""Reading while torch is imported, and writing while the rest goes on.

Importing torch holds Python's lock (the GIL) for two seconds, so a thread beside it crawls. Where `os.fork` is safe,
the files are therefore read by a child process, which also pays for nibabel's import; it stays to write the output.
Voxels pass between the two in anonymous shared memory (`memfd`), which needs no name and is gone with its last user,
however either process ends. Elsewhere threads do the same.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from medreg.errors import MedregWarning
from medreg.io.gzipping import cores

if TYPE_CHECKING:
    from medreg.io.dicom.choice import Choice
    from medreg.io.stored import StoredImage


@dataclass(frozen=True)
class Wanted:
    """An image to read.

    Attributes:
        path: a file, or a place of DICOM files.
        choice: which image of several in DICOM.
        option: the flag by which that choice is made, for messages.
    """

    path: Path
    choice: Choice | None = None
    option: str = "--series"


@dataclass(frozen=True, eq=False)
class Ahead:
    """A file that was read ahead.

    Attributes:
        image: what it held.
        sha256: of the file's bytes, hexadecimal; of several files of the sorted list of theirs.
        seconds: wall time of reading and hashing.
    """

    image: StoredImage
    sha256: str
    seconds: float


class Pending(Protocol):
    """A result that is still to come."""

    def result(self) -> Any:
        """Wait for it; raises what the work raised and gives the warnings that it gave."""


class Clerk(Protocol):
    """Whoever does the work with files beside us; a context manager that stops the work when it is left."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Pending:
        """Start `function(*arguments)`, a function of a module; work is done in the order in which it was given."""

    def __enter__(self) -> Clerk:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; what was not done is dropped."""


def clerk() -> Clerk:
    """A process where forking is safe: on Linux, before torch and while no other thread runs; a thread elsewhere.

    macOS is left out on purpose: its system libraries do not survive a fork.
    """
    if sys.platform == "linux" and "torch" not in sys.modules and threading.active_count() == 1:
        from medreg.io.beside import ProcessClerk

        return ProcessClerk()
    return ThreadClerk()


def read_files(images: Sequence[Wanted]) -> list[Ahead]:
    """Read and hash all files side by side.

    Raises:
        MedregError: of the first file, in the order given, that cannot be read; see `medreg.io.read_stored`.
    """
    from medreg.io import image  # noqa: F401  # once, here: threads that import together wait for each other

    with ThreadPoolExecutor(max(1, len(images))) as pool:
        return list(pool.map(_read, images))


def _read(wanted: Wanted) -> Ahead:
    from medreg.io.image import read_stored

    start = time.perf_counter()
    image = read_stored(wanted.path, wanted.choice, wanted.option)
    files = [Path(file) for file in image.metadata.get("files", (wanted.path,))]
    return Ahead(image, _checksum(files), time.perf_counter() - start)


def _checksum(files: Sequence[Path]) -> str:
    """Of a file its SHA-256; of several that of their sorted ones, so that no renaming changes it."""
    with ThreadPoolExecutor(cores()) as pool:
        each = sorted(pool.map(_sha256, files))
    return each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode("ascii")).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class ThreadClerk:
    """Does the work in one thread of this process."""

    def __init__(self) -> None:
        """Start the thread."""
        self._pool = ThreadPoolExecutor(1)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Pending:
        """See `Clerk`."""
        return self._pool.submit(function, *arguments)

    def __enter__(self) -> ThreadClerk:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `Clerk`; a thread cannot be stopped, so this waits for what it is at."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def warn_again(texts: Sequence[str]) -> None:
    """Give here the warnings that were given in another process."""
    for text in texts:
        warnings.warn(text, MedregWarning, stacklevel=3)
