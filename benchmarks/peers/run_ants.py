"""ANTs through antspyx. Variants: `default` (Affine, Rigid, ...: Mattes MI) and `fast` (AffineFast)."""

import sys
from importlib.metadata import version

from matrices import about_centre
from protocol import Job, Matrix, choose, serve

TYPES = {
    "default": {"translation": "Translation", "rigid": "Rigid", "similarity": "Similarity", "affine": "Affine"},
    "fast": {"affine": "AffineFast"},
}


def register(job: Job) -> Matrix:
    """`ants.registration` with its defaults; its .mat already maps fixed to moving in LPS, about a centre."""
    name = choose(job.kind, TYPES[job.variant])
    import ants

    fixed, moving = ants.image_read(str(job.fixed)), ants.image_read(str(job.moving))
    result = ants.registration(fixed=fixed, moving=moving, type_of_transform=name, outprefix=f"{job.out}/ants_")
    ants.image_write(result["warpedmovout"], str(job.moved))
    (path,) = result["fwdtransforms"]
    transform = ants.read_transform(path)
    values, centre = [float(v) for v in transform.parameters], [float(v) for v in transform.fixed_parameters]
    if len(values) != 12:
        raise RuntimeError(f"{path}: {len(values)} parameters, wanted the 12 of a matrix and a shift")
    return about_centre(values[:9], centre, values[9:])


def versions() -> str:
    """The wheel's version; importing also warms the disk cache."""
    import ants  # noqa: F401

    return f"antspyx {version('antspyx')}"


if __name__ == "__main__":
    sys.exit(serve(register, versions, tuple(TYPES)))
