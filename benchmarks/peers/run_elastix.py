"""elastix through itk-elastix: its default parameter maps, four levels; an affine starts from a rigid stage."""

import sys
from importlib.metadata import version
from typing import Any

from matrices import about_centre, euler, product, versor
from protocol import Job, Matrix, serve

STAGES = {
    "translation": ["translation"],
    "rigid": ["rigid"],
    "similarity": ["rigid", "similarity"],
    "affine": ["rigid", "affine"],
}
LEVELS = 4
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def register(job: Job) -> Matrix:
    """Run the stages in one elastix call. A later stage is applied after the earlier one, fixed to moving."""
    import itk

    fixed, moving = itk.imread(str(job.fixed), itk.F), itk.imread(str(job.moving), itk.F)
    recipe = itk.ParameterObject.New()
    for stage in STAGES[job.kind]:
        settings = recipe.GetDefaultParameterMap("rigid" if stage == "similarity" else stage, LEVELS)
        if stage == "similarity":  # elastix ships no default map for it
            settings["Transform"] = ("SimilarityTransform",)
        recipe.AddParameterMap(settings)
    moved, found = itk.elastix_registration_method(fixed, moving, parameter_object=recipe, log_to_console=False)
    itk.imwrite(moved, str(job.moved))
    matrix = as_matrix(found.GetParameterMap(0))
    for index in range(1, found.GetNumberOfParameterMaps()):
        matrix = product(as_matrix(found.GetParameterMap(index)), matrix)
    return matrix


def as_matrix(settings: Any) -> Matrix:
    """One elastix parameter map as a matrix."""
    values = [float(v) for v in settings["TransformParameters"]]
    name = settings["Transform"][0]
    if name == "TranslationTransform":
        return about_centre(IDENTITY, [0.0, 0.0, 0.0], values)
    centre = [float(v) for v in settings["CenterOfRotationPoint"]]
    if name == "EulerTransform":
        if settings["ComputeZYX"][0] != "false":
            raise RuntimeError("elastix wrote ComputeZYX true; this script reads its default, Rz Rx Ry, only")
        return about_centre(euler(*values[:3]), centre, values[3:])
    if name == "SimilarityTransform":
        return about_centre(versor(values[:3], values[6]), centre, values[3:6])
    if name == "AffineTransform":
        return about_centre(values[:9], centre, values[9:])
    raise RuntimeError(f"elastix wrote a {name}, which this script does not read")


def versions() -> str:
    """The wheel's version; importing also warms the disk cache."""
    import itk

    itk.ParameterObject.New()
    return f"itk-elastix {version('itk-elastix')}"


if __name__ == "__main__":
    sys.exit(serve(register, versions))
