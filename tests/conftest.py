"""What tests of more than one folder share."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Two processes share the tests; in each, and in those that they start, torch's own threads would only wait."""
sys.path.append(str(ROOT / "docs" / "examples"))
"""Its scripts import `showing`, which lies beside them, and tests import the scripts."""


@pytest.fixture(scope="session")
def ran() -> Callable[[list[str], Path], str]:
    """Runs Python as users do, in a process of its own."""

    def ran(arguments: list[str], folder: Path) -> str:
        """Run Python in the folder, with the medreg of this checkout; returns what it printed.

        `python -m medreg` and not the `medreg` script: that one need not be on the PATH, or may be another
        environment's. `test_the_script_is_what_python_m_runs` says that both are the same.
        """
        places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    return ran
