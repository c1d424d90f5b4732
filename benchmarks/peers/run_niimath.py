"""niimath -allineate, the program in the niimath wheel. Affine: its fast engine; fewer degrees: Hellinger cost."""

import json
import subprocess
import sys
from importlib.metadata import version

from matrices import other_world
from protocol import Job, Matrix, choose, serve

OPTIONS = {  # -cost fast fits twelve parameters only; -warp needs another cost, and hel is niimath's own choice then
    "affine": "-cost fast",
    "rigid": "-cost hel -warp shr",
    "translation": "-cost hel -warp sho",
}


def register(job: Job) -> Matrix:
    """`niimath MOVING -allineate FIXED`; its JSON holds the RAS matrix in both directions, named."""
    options = choose(job.kind, OPTIONS).split()
    from niimath import bin as program

    record = job.out / "niimath.json"
    command = [program, job.moving, "-allineate", job.fixed, *options, "-savemat", record, job.moved]
    subprocess.run([str(part) for part in command], check=True)
    return other_world(json.loads(record.read_text())["fixed_to_moving"])


def versions() -> str:
    """The wheel's version; running the program also warms the disk cache."""
    from niimath import bin as program

    subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=False)
    return f"niimath {version('niimath')}"


if __name__ == "__main__":
    sys.exit(serve(register, versions))
