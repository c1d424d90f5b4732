"""Arguments, checked before anything is computed: each error names the argument, what it got, and what it takes.

Where numbers are asked for, lists, NumPy arrays and tensors serve alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import isfinite
from typing import Any, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, MedregError, TransformError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.types import FloatArray

Numbers: TypeAlias = float | Sequence[float] | FloatArray | Tensor
"""One number or several: plain, or a tensor, which gets its gradient."""

Whole: TypeAlias = Sequence[int] | FloatArray | Tensor
"""Several whole numbers."""

Value = TypeVar("Value")

_SHOWN = 60
"""Characters of a value in a message."""


def numbers(value: Numbers, name: str = "numbers") -> Tensor:
    """`value` as a float64 tensor, in its graph and on its device (float32 where that has no float64: Apple's GPUs).

    Raises:
        UsageError: no numbers, none at all, or one that is not finite.
    """
    given = _tensor_of(value)
    if given is None or not given.numel() or given.dtype == torch.bool or given.is_complex():
        raise UsageError(f"{name}: takes numbers, or a tensor or an array of them, got {described(value)}")
    if not bool(given.detach().isfinite().all()):
        raise UsageError(f"{name}: takes finite numbers, got {given.detach().tolist()}")
    return given.to(torch.float32 if given.device.type == "mps" else torch.float64)


def as_many(
    value: Numbers, count: int, name: str, what: str = "numbers", *, error: type[MedregError] = TransformError
) -> Tensor:
    """`value` as (count,), one number repeated; `what` says in the message what they are.

    Raises:
        UsageError: see `numbers`.
        MedregError: `error`, when it holds another number of numbers.
    """
    given = numbers(value, name).reshape(-1)
    if len(given) == 1:
        return given.expand(count)
    if len(given) != count:
        raise error(f"{name}: got {len(given)} {what}, wanted {count}, or one for all")
    return given


def whole_numbers(
    value: Whole, name: str, count: int | None = None, *, error: type[MedregError] = ImageError, of: str = ""
) -> list[int]:
    """`value` as whole numbers, `count` of them, or any number of them where none is given; `of` begins the message.

    Raises:
        UsageError: no list of numbers.
        MedregError: `error`, for fractions, or for another number of them.
    """
    wanted = "whole numbers" if count is None else f"{count} whole numbers"
    plain: list[Any] = []
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    if listed or (isinstance(value, np.ndarray | Tensor) and value.ndim == 1):
        plain = [v.item() if isinstance(v, np.generic) or (isinstance(v, Tensor) and not v.ndim) else v for v in value]
    if not (listed or plain) or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in plain):
        raise UsageError(f"{of}{name}: takes a list of {wanted}, got {described(value)}")
    if not all(isfinite(v) and v == int(v) for v in plain) or (count is not None and len(plain) != count):
        raise error(f"{of}{name}: takes {wanted}, got {plain}")
    return [int(v) for v in plain]


def whole_number(value: object, name: str, least: int, most: int | None = None) -> int:
    """`value` as one whole number in a range.

    Raises:
        UsageError: anything else.
    """
    wanted = f"a whole number, {least} or more" if most is None else f"a whole number, {least} to {most}"
    found = number(value, name, wanted=wanted)
    if found != int(found) or found < least or (most is not None and found > most):
        raise UsageError(f"{name}: takes {wanted}, got {described(value)}")
    return int(found)


def number(value: object, name: str, *, wanted: str = "a number", finite: bool = True) -> float:
    """`value` as one plain number.

    Raises:
        UsageError: anything else, or by default one that is not finite.
    """
    given = _tensor_of(value)
    if given is None or given.numel() != 1 or given.dtype == torch.bool or given.is_complex():
        raise UsageError(f"{name}: takes {wanted}, got {described(value)}")
    found = float(given.detach())
    if finite and not isfinite(found):
        raise UsageError(f"{name}: takes {wanted}, finite, got {found}")
    return found


def pair(value: object, name: str) -> tuple[Any, Any]:
    """`value` as two finite numbers, as they were given: tensors keep their gradients.

    Raises:
        UsageError: anything else.
    """
    if not isinstance(value, Sequence | np.ndarray | Tensor) or isinstance(value, str) or len(value) != 2:
        raise UsageError(f"{name}: takes two numbers, got {described(value)}")
    for end in value:
        number(end, name, wanted="two numbers")
    first, second = (end if isinstance(end, Tensor) else float(end) for end in value)
    return first, second


def one_of(value: Value, kinds: object, name: str) -> Value:
    """`value`, which is a member of an enumeration, or an instance of one of the classes of a union.

    Raises:
        UsageError: anything else, such as the name of a choice, or a class in place of its instance.
    """
    classes: tuple[Any, ...] = get_args(kinds) or (kinds,)
    if isinstance(value, classes):
        return value
    if isinstance(value, type) and issubclass(value, classes):
        raise UsageError(f"{name}: got the class {value.__name__}; pass {value.__name__}(), with the brackets")
    raise UsageError(f"{name}: takes {_listed(classes)}, got {described(value)}")


def an_image(value: object, name: str = "image") -> None:
    """Refuse what is neither a tensor nor an image nor a batch.

    Raises:
        ImageError: it is something else.
    """
    if not isinstance(value, Tensor | MedImage | MedImageBatch):
        hint = "; torch.from_numpy makes it a tensor" if isinstance(value, np.ndarray) else ""
        raise ImageError(
            f"{name}: an operation takes a MedImage, a MedImageBatch or a tensor, got {described(value)}{hint}"
        )


def space_axes(dimension: object) -> int:
    """The number of space axes at the end of a tensor, 2 or 3.

    Raises:
        UsageError: another number.
    """
    if isinstance(dimension, bool) or dimension not in (2, 3):
        raise UsageError(f"dimension: tensors have 2 or 3 space axes, got {described(dimension)}")
    return int(dimension)


def described(value: object) -> str:
    """A value as messages show it: short, and with its kind."""
    if isinstance(value, Tensor | np.ndarray):
        kind = "a tensor" if isinstance(value, Tensor) else "an array"
        few = value.numel() if isinstance(value, Tensor) else value.size
        shown = f" {value.tolist()}" if few <= 4 else ""
        return f"{kind} of shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}{shown}"
    if isinstance(value, MedImage | MedImageBatch | Grid):
        return f"a {type(value).__name__}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"


def _tensor_of(value: object) -> Tensor | None:
    """Numbers as a tensor; None of what holds no numbers, or not of one length."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Sequence) and any(isinstance(v, Tensor) for v in value):
        parts = [_tensor_of(v) for v in value]
        if any(part is None or part.shape != () or part.is_complex() for part in parts):
            return None
        device = next(v.device for v in value if isinstance(v, Tensor))
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return torch.stack([part.to(device, dtype) for part in parts if part is not None])
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):  # lists of several lengths, or of odd things
        return None
    if array.dtype.kind not in "fiu":
        return None
    return torch.from_numpy(array.astype(np.float64))


def _listed(classes: Sequence[Any]) -> str:
    if len(classes) == 1 and issubclass(classes[0], Enum):
        names = [str(member) for member in classes[0]]
    else:
        names = ["None" if kind is type(None) else f"{kind.__name__}(...)" for kind in classes]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
