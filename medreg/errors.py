"""Every error that medreg raises on purpose. Each class carries the exit code that the command line returns.

A message says what is wrong, what was found, what was wanted, and what to do next. `docs/exit-codes.md` tables the
codes.
"""

from __future__ import annotations

from typing import ClassVar


class MedregError(Exception):
    """Base of all expected failures; anything else that escapes is a bug (exit code 1)."""

    exit_code: ClassVar[int] = 1


class UsageError(MedregError):
    """The command line or the arguments of a call do not fit together."""

    exit_code = 2


class ReadError(MedregError):
    """A file is missing, is a directory, is of an unknown kind, or is damaged."""

    exit_code = 3


class GeometryError(MedregError):
    """Spacing, origin, direction or affine cannot describe an image in space."""

    exit_code = 4


class ImageError(MedregError):
    """The voxels cannot be used: empty, constant, complex, not finite, or of the wrong dimension."""

    exit_code = 5


class RecipeError(MedregError):
    """A recipe (YAML, run.json or keyword) has an unknown key or a value out of range."""

    exit_code = 6


class WriteError(MedregError):
    """An output cannot be written, or is there already and may not be replaced."""

    exit_code = 7


class RegistrationError(MedregError):
    """The images cannot be registered: no overlap, too few samples, masks that leave nothing."""

    exit_code = 8


class DeviceError(MedregError):
    """The asked device is not there or cannot do what is asked of it."""

    exit_code = 9


class TransformError(MedregError):
    """A transform cannot be inverted, composed, or held by the asked format."""

    exit_code = 10


class FailedError(MedregError):
    """The registration was done, but its verdict is `failed`, and `--strict` asked to hear of it so."""

    exit_code = 11


class MedregWarning(UserWarning):
    """Something looks wrong but medreg can go on; the text says what it did."""
