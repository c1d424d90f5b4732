"""What every peer script shares: its command line, and the one file by which it reports its transform.

Standard library only, so that the time charged to a tool is the tool's own:

    python run_ants.py FIXED MOVING KIND OUT [--variant NAME]
    python run_ants.py --version

writes OUT/moved.nii.gz and OUT/matrix.txt, the 4x4 that maps fixed points to moving points in LPS millimetres.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Matrix = list[list[float]]
"""A homogeneous 4x4, row by row."""

NOT_OFFERED = 3
"""Exit code of a script whose tool does not offer the transform asked for."""


@dataclass(frozen=True)
class Job:
    """One registration to do: where the images are, what kind of transform, where the answer goes."""

    fixed: Path
    moving: Path
    kind: str
    out: Path
    variant: str

    @property
    def moved(self) -> Path:
        """Where the moved image must be written."""
        return self.out / "moved.nii.gz"


class NotOfferedError(ValueError):
    """The tool has no transform of the kind asked for."""


def choose(kind: str, offered: dict[str, str]) -> str:
    """The tool's own name for `kind`.

    Raises:
        NotOfferedError: the tool has none; the message lists what it has.
    """
    if kind not in offered:
        raise NotOfferedError(f"no {kind} transform; this tool offers {', '.join(offered)}")
    return offered[kind]


def serve(register: Callable[[Job], Matrix], version: Callable[[], str], variants: Sequence[str] = ("default",)) -> int:
    """Run a peer script: parse the command line, register, write OUT/matrix.txt; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        print(version())
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("fixed", type=Path)
    parser.add_argument("moving", type=Path)
    parser.add_argument("kind", choices=["translation", "rigid", "similarity", "affine"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    job = Job(**vars(parser.parse_args()))
    job.out.mkdir(parents=True, exist_ok=True)
    try:
        matrix = register(job)
    except NotOfferedError as error:
        print(error, file=sys.stderr)
        return NOT_OFFERED
    lines = (" ".join(f"{value:.17g}" for value in row) for row in matrix)
    (job.out / "matrix.txt").write_text("\n".join(lines) + "\n")
    return 0
