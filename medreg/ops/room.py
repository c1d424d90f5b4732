"""Whether a result can be held at all: asked before it is allocated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.sample import working_dtype

GIB = 2**30
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_room(data: Tensor, shape: Sequence[int], name: str, cause: str, *, keeps_dtype: bool = False) -> None:
    """Refuse a result that is larger than the whole memory of the device of `data`.

    Args:
        data: the voxels (C, z, y, x) or (C, y, x) that it is made of.
        shape: of the result, (z, y, x) or (y, x).
        name: the image's, for the message.
        cause: what asks for so many voxels, such as "a spacing of (0.001, 0.001, 0.001) mm".
        keeps_dtype: whether it has the dtype of `data`, else the one that interpolation gives.

    Raises:
        UsageError: it is.
    """
    dtype = data.dtype if keeps_dtype else working_dtype(data.dtype)
    needed, there = len(data) * prod(shape) * dtype.itemsize, memory_of(data.device)
    if there is not None and needed > there:
        raise UsageError(
            f"{name}: {cause} makes {' x '.join(map(str, reversed(shape)))} voxels, {needed / GIB:,.1f} GiB, and "
            f"{'this machine' if data.device.type == 'cpu' else data.device} has {there / GIB:,.1f} GiB of memory; ask "
            "for fewer voxels"
        )


def memory_of(device: torch.device) -> int | None:
    """Bytes of a device's whole memory; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return _main_memory()


@cache
def _main_memory() -> int | None:
    """That of the machine, or of the container in it where that is less."""
    found = []
    with suppress(AttributeError, ValueError, OSError):  # not POSIX
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _CONTAINER:
        with suppress(OSError, ValueError):  # none, or "max"
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min((n for n in found if n > 0), default=None)
