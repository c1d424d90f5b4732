"""The tools that are compared: how each is started, where it leaves its matrix, what its version is."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scoring import Matrix

PEERS = Path(__file__).resolve().parent / "peers"
THREAD_VARIABLES = (
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
NOT_OFFERED = 3
"""Exit code by which a peer script says that its tool has no such transform (see peers/protocol.py)."""


@dataclass(frozen=True)
class Tool:
    """One column of the comparison: a name and the command that FIXED MOVING KIND OUT is handed to."""

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ()

    def register(self, fixed: Path, moving: Path, kind: str, out: Path) -> list[str]:
        """The whole command line of one registration."""
        return [*self.command, str(fixed), str(moving), kind, str(out), *self.options]

    def matrix(self, out: Path) -> Matrix | None:
        """The transform that a run left in `out`, or None."""
        path = out / "matrix.txt"
        return np.loadtxt(path) if path.exists() else None

    def version(self) -> str:
        """What the tool calls itself, or why it cannot be started. Also warms the disk cache with the tool's files."""
        try:
            done = subprocess.run(
                [*self.command, "--version"], capture_output=True, text=True, timeout=300, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"cannot be started ({type(error).__name__})"
        if done.returncode:
            return f"cannot be started ({last_line(done.stderr)})"
        return last_line(done.stdout)


@dataclass(frozen=True)
class Medreg(Tool):
    """medreg through its command line."""

    def register(self, fixed: Path, moving: Path, kind: str, out: Path) -> list[str]:
        """The whole command line of one registration."""
        return [*self.command, "register", str(fixed), str(moving), "--transform", kind, "--out", str(out)]

    def matrix(self, out: Path) -> Matrix | None:
        """The transform that a run left in `out`, or None."""
        path = out / "run.json"
        return np.array(json.loads(path.read_text())["transform"]["matrix"], float) if path.exists() else None


def every_tool(peers_python: str, medreg: tuple[str, ...]) -> dict[str, Tool]:
    """All tools by name, in the order of the tables."""

    def peer(name: str, script: str, *options: str) -> Tool:
        return Tool(name, (peers_python, str(PEERS / script)), options)

    tools = [
        Medreg("medreg", medreg),
        peer("ants", "run_ants.py"),
        peer("ants-fast", "run_ants.py", "--variant", "fast"),
        peer("elastix", "run_elastix.py"),
        peer("greedy-ncc", "run_greedy.py", "--variant", "ncc"),
        peer("greedy-nmi", "run_greedy.py", "--variant", "nmi"),
        peer("niimath", "run_niimath.py"),
        peer("simpleitk", "run_simpleitk.py", "--variant", "notebook"),
        peer("simpleitk-regular", "run_simpleitk.py", "--variant", "regular-step"),
    ]
    return {tool.name: tool for tool in tools}


def environment(threads: int) -> dict[str, str]:
    """This process's environment with every library told to use `threads` threads."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def last_line(text: str) -> str:
    """The last line that says anything, or a remark that none does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
