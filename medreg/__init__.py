"""medreg: linear registration of medical images, and a differentiable imaging library.

Conventions, stated once and never mixed:

- The world is LPS, in millimetres, float64 (as in DICOM and ITK). RAS lives only in `medreg.io` and
`geometry.orientation`.
- Points, `size`, `spacing` and `origin` run x, y, z. Tensors run `(channel, z, y, x)`, in 2D `(channel, y, x)`. Voxel
  centres are at integer indices.
- A transform maps points of the fixed image to points of the moving image: what resampling needs, and ITK's sense.

    fixed, moving = medreg.read_image("fixed.nii.gz"), medreg.read_image("moving.nii.gz")
    result = medreg.register(fixed, moving, medreg.Recipe(transform="rigid"))
    moved = medreg.resample(moving, onto=fixed.grid, through=result.transform)

Names below are imported on first use, so that `import medreg` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medreg.version import __version__ as __version__

if TYPE_CHECKING:
    from medreg.errors import MedregError, MedregWarning
    from medreg.geometry.grid import Grid
    from medreg.image import Leading, MedImage
    from medreg.io import read_image, write_image
    from medreg.registration.module_training import TrainedResult
    from medreg.registration.pairwise import register
    from medreg.registration.recipe import Recipe
    from medreg.registration.result import Result
    from medreg.sample import (
        CubicBSpline,
        Edge,
        Fill,
        Label,
        Linear,
        Mirror,
        Nearest,
        Periodic,
        Reflect,
        WindowedSinc,
        resample,
    )
    from medreg.transform.composite import Composite
    from medreg.transform.homography import Homography
    from medreg.transform.linear import LinearTransform
    from medreg.transform.neural import Neural

_HOMES = {
    "Composite": "medreg.transform.composite",
    "CubicBSpline": "medreg.sample",
    "Edge": "medreg.sample",
    "Fill": "medreg.sample",
    "Grid": "medreg.geometry.grid",
    "Homography": "medreg.transform.homography",
    "Label": "medreg.sample",
    "Leading": "medreg.image",
    "Linear": "medreg.sample",
    "LinearTransform": "medreg.transform.linear",
    "MedImage": "medreg.image",
    "MedregError": "medreg.errors",
    "MedregWarning": "medreg.errors",
    "Mirror": "medreg.sample",
    "Nearest": "medreg.sample",
    "Neural": "medreg.transform.neural",
    "Periodic": "medreg.sample",
    "Recipe": "medreg.registration.recipe",
    "Reflect": "medreg.sample",
    "Result": "medreg.registration.result",
    "TrainedResult": "medreg.registration.module_training",
    "WindowedSinc": "medreg.sample",
    "read_image": "medreg.io",
    "register": "medreg.registration.pairwise",
    "resample": "medreg.sample",
    "write_image": "medreg.io",
}

__all__ = [
    "Composite",
    "CubicBSpline",
    "Edge",
    "Fill",
    "Grid",
    "Homography",
    "Label",
    "Leading",
    "Linear",
    "LinearTransform",
    "MedImage",
    "MedregError",
    "MedregWarning",
    "Mirror",
    "Nearest",
    "Neural",
    "Periodic",
    "Recipe",
    "Reflect",
    "Result",
    "TrainedResult",
    "WindowedSinc",
    "read_image",
    "register",
    "resample",
    "write_image",
]


def __getattr__(name: str) -> Any:
    """The public name, imported from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'medreg' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
