"""A training that takes a second, and the verb as a command of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from medreg.cli.train_inverse import train_inverse
from medreg.learn.settings import Settings


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """What the verb computes on; put back, since other tests share the process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small() -> Settings:
    return Settings.of("line", images=6, test_images=4, epochs=4, batch=2, seed=3)


@pytest.fixture
def verb() -> Callable[..., Any]:
    """Run `medreg train-inverse` in this process."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(train_inverse)

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return run
