"""Work that is shared by threads: each of them works alone, and the answer is that of one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from medreg.sample.sharing import shared


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_thread_that_shares_work_uses_no_threads_of_its_own(two_threads: None) -> None:
    counts = shared(lambda _: torch.get_num_threads(), range(8), torch.zeros(1))
    assert counts == [1] * 8
    assert torch.get_num_threads() == 2


def test_parts_come_back_in_their_order(two_threads: None) -> None:
    values = torch.arange(10.0)
    assert [float(v) for v in shared(lambda k: values[k] * 2, range(10), values)] == [2.0 * k for k in range(10)]


def test_work_that_is_tracked_stays_in_this_thread_and_keeps_its_graph(two_threads: None) -> None:
    values = torch.arange(4.0, requires_grad=True)
    sum(shared(lambda k: values[k] ** 2, range(4), values)).backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 2.0, 4.0, 6.0]
