"""Files that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medreg.errors import WriteError


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; move what was written there to `path` when the block ends well, drop it when not.

    The given path has the same file name, in a hidden folder beside the final one: on the same file system, so that the
    move is one step, and with its own name, so that formats of two files (.mhd and .raw) name each other rightly. Files
    written next to it are moved too, the named file last. A link is written through, not replaced.

    Raises:
        WriteError: when the folder is missing, `path` is no ordinary file, or the disk refuses.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with written_beside(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [p.name for p in folder.iterdir()]
        ['a.txt']
    """
    given, path = path, Path(path).resolve()
    if not path.parent.is_dir():
        raise WriteError(f"{given}: the folder {path.parent} does not exist; make it first")
    if path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "not an ordinary file"
        raise WriteError(f"{given}: is {what}; give the name of a file to write")
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".medreg-", dir=path.parent))
        yield folder / path.name
        written = sorted(folder.iterdir(), key=lambda p: (p.name == path.name, p.name))
        if not written or written[-1].name != path.name:
            raise WriteError(f"{given}: nothing was written")
        for file in written:
            file.replace(path.parent / file.name)
    except OSError as error:
        raise WriteError(f"{given}: cannot be written, {error.strerror or error}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
