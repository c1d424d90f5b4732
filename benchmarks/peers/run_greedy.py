"""greedy through picsl-greedy. Variants: `ncc` (NCC in 9x9x9 voxel windows, radius 4) and `nmi`."""

import os
import sys
from importlib.metadata import version
from shlex import quote

from matrices import other_world
from protocol import Job, Matrix, choose, serve

METRICS = {"ncc": "NCC 4x4x4", "nmi": "NMI"}
DEGREES = {"rigid": "6", "similarity": "7", "affine": "12"}


def register(job: Job) -> Matrix:
    """Image centres, then 100x50x10 iterations; greedy writes RAS, fixed to moving."""
    degrees = choose(job.kind, DEGREES)
    from picsl_greedy import Greedy3D

    threads = os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    common = f"-threads {threads} " if threads else ""
    path = quote(str(job.out / "greedy.mat"))
    fixed, moving, moved = (quote(str(p)) for p in (job.fixed, job.moving, job.moved))
    greedy = Greedy3D()
    greedy.execute(
        f"{common}-a -dof {degrees} -i {fixed} {moving} -m {METRICS[job.variant]} "
        f"-n 100x50x10 -ia-image-centers -seed 1 -o {path}"
    )
    greedy.execute(f"{common}-rf {fixed} -rm {moving} {moved} -r {path}")
    return other_world([[float(v) for v in line.split()] for line in (job.out / "greedy.mat").read_text().splitlines()])


def versions() -> str:
    """The wheel's version; importing also warms the disk cache."""
    import picsl_greedy  # noqa: F401

    return f"picsl_greedy {version('picsl_greedy')}"


if __name__ == "__main__":
    sys.exit(serve(register, versions, tuple(METRICS)))
