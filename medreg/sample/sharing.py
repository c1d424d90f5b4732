"""Shares of work on points: how large they are, and who does them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Done = TypeVar("Done")


LEAST, MOST = 32_000, 128_000
"""Points of one share: below the first torch uses one thread anyway, above the second temporaries leave the cache."""


def points_at_once(count: int, *tensors: Tensor) -> int:
    """How many of `count` points to sample in one step of work on these tensors: few on a CPU, millions elsewhere.

    Torch's own threads would meet at a barrier after each of sixty operations, and on a busy core wait there for a
    thread to be scheduled: 5 to 8 ms an operation were measured, where all of them take 15 ms. With autograd each step
    costs a gradient the size of the volume, so there the steps are large.
    """
    if not _is_light(tensors):
        return 4_000_000
    return min(MOST, max(LEAST, -(-count // torch.get_num_threads())))


def shared(work: Callable[[Part], Done], parts: Sequence[Part], *tensors: Tensor) -> list[Done]:
    """`work` done on every part, in their order; on a CPU by as many Python threads as torch may use.

    Each of them works alone, and they meet once, at the end: on two cores half the time of one thread, and half that
    of torch's own two. Serial where a gradient is tracked or the tensors are on another device.
    """
    threads = torch.get_num_threads()
    if threads < 2 or len(parts) < 2 or not _is_light(tensors):
        return [work(part) for part in parts]

    def silently(part: Part) -> Done:
        with torch.no_grad():  # the mode is a thread's own
            return work(part)

    return list(_pool(threads).map(silently, parts))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch uses no threads of its own."""
    together = Barrier(threads + 1)

    def alone() -> None:
        torch.get_num_threads()  # a thread's first use of torch takes over the count for all: later, it would undo this
        torch.set_num_threads(1)  # OpenMP keeps this for each thread
        together.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="medreg-sample", initializer=alone)
    for _ in range(threads):
        pool.submit(int)
    together.wait()
    torch.set_num_threads(threads)  # what threads that others start later begin with
    return pool


def _is_light(tensors: Sequence[Tensor]) -> bool:
    """Whether work on these tensors is on a CPU and leaves no graph."""
    tracked = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return all(t.device.type == "cpu" for t in tensors) and not tracked
