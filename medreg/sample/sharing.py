"""Shares of work on points: how large they are, and who does them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Done = TypeVar("Done")


def points_at_once(*tensors: Tensor) -> int:
    """How many points to sample in one step of work on these tensors: few on a CPU, millions elsewhere.

    Below torch's grain of 32,768 elements an operation runs on the calling thread, and its temporaries stay in the
    cache. Torch's own threads would meet at a barrier after each of sixty operations, and on a busy core wait there for
    a thread to be scheduled: 5 to 8 ms an operation were measured, where all of them take 15 ms. With autograd each
    step costs a gradient the size of the volume, so there the steps are large.
    """
    return 32_000 if _is_light(tensors) else 4_000_000


def shared(work: Callable[[Part], Done], parts: Sequence[Part], *tensors: Tensor) -> list[Done]:
    """`work` done on every part, in their order; on a CPU by as many Python threads as torch may use.

    The threads meet once, at the end. Serial where a gradient is tracked or the tensors are on another device.
    """
    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2 or not _is_light(tensors):
        return [work(part) for part in parts]

    def silently(part: Part) -> Done:
        with torch.no_grad():  # the mode is a thread's own
            return work(part)

    return list(_pool(threads).map(silently, parts))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="medreg-sample")


def _is_light(tensors: Sequence[Tensor]) -> bool:
    """Whether work on these tensors is on a CPU and leaves no graph."""
    tracked = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return all(t.device.type == "cpu" for t in tensors) and not tracked
