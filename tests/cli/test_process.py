"""The command as a process: what it imports, how fast it answers, what is left when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from medreg.registration.recipe import Metric, Start

if TYPE_CHECKING:
    from conftest import Pair

Process = Callable[..., "subprocess.CompletedProcess[str]"]

HEAVY = ("torch", "nibabel", "SimpleITK")


def imported_by(*arguments: object) -> set[str]:
    """The heavy libraries that a command imports in its own process."""
    code = (
        "import sys, json\nfrom typer.testing import CliRunner\nfrom medreg.cli.main import app\n"
        "r = CliRunner().invoke(app, sys.argv[1:])\nassert r.exit_code == 0, r.output\n"
        f"print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("arguments", [["--help"], ["register", "--help"], ["apply", "--help"], ["info", "--help"]])
def test_no_help_imports_torch_or_a_file_library(arguments: list[str]) -> None:
    assert imported_by(*arguments) == set()


def test_the_help_of_register_names_choices_and_defaults_whole() -> None:
    environment = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, "-m", "medreg", "register", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=True)
    words = " ".join(done.stdout.replace("│", " ").split())
    for metric in get_args(get_args(Metric)[0]):
        name = metric.model_fields["name"].default
        assert name in words or name == "several"  # which only a recipe can say
    for start in Start:
        assert start.value in words
    for said in ("affine (the default)", "(default: linear)", "(default: 0)", "(default: MOVING_to_FIXED)"):
        assert said in words


def test_info_does_without_torch(pair: Pair) -> None:
    assert imported_by("info", *pair.both) == {"nibabel"}
    assert imported_by("info", *pair.both, "--json") == {"nibabel"}


def test_a_run_reads_and_writes_in_the_child_and_leaves_nibabel_out(pair: Pair, tmp_path: Path) -> None:
    if sys.platform != "linux":
        return  # elsewhere threads read
    assert imported_by("register", *pair.both, "-t", "translation", "--out", tmp_path / "o") == {"torch"}


def test_a_process_and_this_one_write_the_same_bytes(
    pair: Pair, process: Process, medreg: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = ["register", *pair.both, "-t", "rigid", "--out"]
    done = process(*arguments, tmp_path / "a")  # reads and writes in a forked child
    assert done.returncode == 0, done.stderr
    medreg(*arguments, tmp_path / "b")  # torch is here already: in a thread
    for name in ("moved.nii.gz", "transform.tfm"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_errors_of_the_child_end_the_process_with_their_code(pair: Pair, process: Process, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(pair.moving.read_bytes()[:5000])
    done = process("register", pair.fixed, damaged, "--out", tmp_path / "o")
    assert done.returncode == 3
    assert "damaged.nii.gz" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [0.3, 1.5])
def test_a_signal_at_any_time_leaves_no_files_and_no_process(
    number: signal.Signals, code: int, after: float, pair: Pair, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.yaml"
    slow.write_text("optimiser: {name: adam, learning_rate_mm: 0.0001}\nlevels: [{spacing_mm: 2, steps: 1000000}]\n")
    command = [sys.executable, "-m", "medreg", "register", *pair.both, "--config", str(slow), "--out", "out"]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )
    start = time.perf_counter()
    while not (tmp_path / "out").exists() and time.perf_counter() - start < 30:
        time.sleep(0.02)  # from then on the signal handlers are in place
    time.sleep(after)
    os.killpg(running.pid, number)  # as a terminal does: to the parent and to its child
    _, told = running.communicate(timeout=30)
    assert running.returncode == code, told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slow.yaml"]
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


def test_output_through_a_closed_pipe_is_no_traceback(pair: Pair) -> None:
    command = f"{sys.executable} -m medreg info {pair.fixed} | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_the_version_is_told(process: Process) -> None:
    assert process("--version").stdout.startswith("medreg ")
