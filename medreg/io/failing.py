"""Where the failures of files, zlib, nibabel and ITK become medreg's errors, with the file's name and next step."""

from __future__ import annotations

import difflib
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medreg.errors import GeometryError, MedregError, MedregWarning, ReadError

AGAIN = "copy or download it again"


def reason(error: BaseException) -> str:
    """The telling part of an exception's text: ITK puts a stack of places before it, and wraps it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Exception thrown" not in line and not line.startswith("/")]
    text = " ".join(telling or lines) or type(error).__name__
    for mark in ("ERROR: ", "[nrrd] "):  # what comes last is nearest to the cause
        text = text.rpartition(mark)[2] or text
    return re.sub(r"^\w+\(0x[0-9a-f]+\): ", "", text)[:300]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into a ReadError or GeometryError that names `path`.

    Raises:
        ReadError: the file is missing, locked, cut short, damaged or larger than memory.
        GeometryError: its header describes no place in space.
    """
    try:
        yield
    except GeometryError as error:
        raise error if str(path) in str(error) else GeometryError(f"{path}: {error}") from error
    except MedregError:
        raise
    except FileNotFoundError as error:
        missing = Path(error.filename) if error.filename else path
        raise missing_file(missing) from error
    except PermissionError as error:
        raise ReadError(f"{path}: permission denied; make it readable (chmod +r) or copy it") from error
    except MemoryError as error:
        raise ReadError(f"{path}: does not fit into memory; its header may be damaged, or crop it first") from error
    except EOFError as error:
        raise ReadError(f"{path}: is cut short, the compressed data stop early; {AGAIN}") from error
    except zlib.error as error:
        raise ReadError(f"{path}: the gzip data are damaged ({error}); {AGAIN}") from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        # nibabel's errors are ValueErrors and Exceptions by its own names, see `nifti.py`; ITK's are RuntimeErrors
        text = reason(error)
        if any(word in text for word in ("spacing", "direction")):
            raise GeometryError(f"{path}: {text}; repair the header before registering") from error
        if "allocate memory" in text:
            raise ReadError(f"{path}: does not fit into memory; its header may be damaged, or crop it first") from error
        raise ReadError(f"{path}: cannot be read, {text}; the file may be damaged, {AGAIN}") from error


def missing_file(path: Path) -> ReadError:
    """The error for a file that is not there, with the nearest names that are."""
    if path.is_symlink():
        return ReadError(f"{path}: is a link to a file that does not exist ({path.readlink()})")
    if not path.parent.is_dir():
        return ReadError(f"{path}: no such file, the folder {path.parent} does not exist")
    names = sorted(p.name for p in path.parent.iterdir())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return ReadError(f"{path}: no such file{hint}")


def warn(notes: list[str], text: str) -> None:
    """Warn, and keep the text for the image's metadata["notes"], which outlives a process that reads ahead."""
    notes.append(text)
    warnings.warn(text, MedregWarning, stacklevel=3)
