"""Reading beside: the same arrays, errors and warnings from a child process as from a thread, and nothing left over."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medreg.errors import GeometryError, MedregWarning, ReadError
from medreg.io.ahead import Clerk, ThreadClerk, Wanted, clerk, read_files

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


def _process_clerk() -> Clerk:
    from medreg.io.beside import ProcessClerk

    return ProcessClerk()


KINDS: dict[str, Callable[[], Clerk]] = {"thread": ThreadClerk}
if sys.platform == "linux":
    KINDS["process"] = _process_clerk


@pytest.fixture(params=list(KINDS))
def made(request: pytest.FixtureRequest) -> Callable[[], Clerk]:
    """Makes a clerk of each kind."""
    return KINDS[request.param]


def _doubled(array: np.ndarray) -> tuple[np.ndarray, int]:
    return array * 2, os.getpid()


def _fails() -> None:
    raise ZeroDivisionError("a bug")


def _refuses() -> None:
    raise GeometryError("a.nii: is singular")


def _warns() -> str:
    warnings.warn("a.nii: looks odd", MedregWarning, stacklevel=2)
    return "done"


def _dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_files_come_back_as_they_are_with_their_checksums(
    made: Callable[[], Clerk], save_nifti: Callable[..., Path], voxels: np.ndarray
) -> None:
    big = np.arange(60**3, dtype=np.int16).reshape(60, 60, 60)  # goes by shared memory
    paths = [save_nifti(voxels, name="small.nii.gz"), save_nifti(big, name="big.nii")]
    with made() as beside:
        small, large = beside.submit(read_files, [Wanted(path) for path in paths]).result()
    assert (voxels == small.image.array[0].T).all()
    assert (big == large.image.array[0].T).all()
    large.image.array[0, 0, 0, 0] = 7  # ours to change
    assert [a.sha256 for a in (small, large)] == [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths]
    assert small.seconds > 0


def test_arrays_of_a_hundred_megabytes_pass_both_ways(made: Callable[[], Clerk]) -> None:
    array = np.arange(25_000_000, dtype=np.float32)
    with made() as beside:
        doubled, _ = beside.submit(_doubled, array).result()
    assert (doubled == array * 2).all()


def test_work_is_answered_in_order_whoever_asks_first(made: Callable[[], Clerk]) -> None:
    with made() as beside:
        pending = [beside.submit(_doubled, np.full(3, n)) for n in range(5)]
        results = [p.result()[0][0] for p in reversed(pending)]
    assert results == [8, 6, 4, 2, 0]


def test_an_error_keeps_its_class_and_text(made: Callable[[], Clerk], tmp_path: Path) -> None:
    with made() as beside:
        with pytest.raises(GeometryError, match="a.nii: is singular"):
            beside.submit(_refuses).result()
        with pytest.raises(ReadError, match=r"none.nii: no such file"):
            beside.submit(read_files, [Wanted(tmp_path / "none.nii")]).result()
        assert beside.submit(_doubled, np.ones(1)).result()[0] == 2  # and the work goes on


def test_a_bug_is_an_error_with_its_traceback(made: Callable[[], Clerk]) -> None:
    with made() as beside, pytest.raises((RuntimeError, ZeroDivisionError), match="a bug"):
        beside.submit(_fails).result()


def test_warnings_are_given_here(made: Callable[[], Clerk]) -> None:
    with made() as beside, pytest.warns(MedregWarning, match="looks odd"):
        assert beside.submit(_warns).result() == "done"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reads in a child process")
class TestProcess:
    """What only the child process can get wrong."""

    def test_it_is_another_process(self) -> None:
        with _process_clerk() as beside:
            assert beside.submit(_doubled, np.ones(1)).result()[1] != os.getpid()

    def test_its_death_is_told(self) -> None:
        with _process_clerk() as beside, pytest.raises(ReadError, match="out of memory, most likely"):
            beside.submit(_dies).result()

    def test_leaving_kills_it_at_once_and_leaves_no_zombie_and_no_open_file(self) -> None:
        before = sorted(p.name for p in Path("/proc/self/fd").iterdir())
        start = time.perf_counter()
        with _process_clerk() as beside:
            beside.submit(time.sleep, 60)
        assert time.perf_counter() - start < 5
        assert sorted(p.name for p in Path("/proc/self/fd").iterdir()) == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_it_ends_when_its_parent_is_killed(self) -> None:
        code = (
            "import os, time\nfrom medreg.io import ahead\nimport numpy as np\n"
            "from medreg.io.beside import ProcessClerk\n"
            "c = ProcessClerk()\nprint(c.submit(os.getpid).result(), flush=True)\ntime.sleep(60)\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        for _ in range(100):
            state = Path(f"/proc/{child}/stat")
            if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.05)
        pytest.fail("the child outlives its parent")


def test_a_process_is_taken_only_where_forking_is_safe() -> None:
    import torch  # noqa: F401

    with clerk() as beside:
        assert isinstance(beside, ThreadClerk)
