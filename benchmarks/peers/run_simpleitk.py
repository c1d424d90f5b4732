"""SimpleITK: geometric centres, Mattes MI, three levels. Variants: `notebook` and `regular-step`.

`notebook` is the recipe of SimpleITK's own notebooks, which most scripts copy: plain gradient descent, 1 % of the
voxels. Its step length is fixed, so it often stops while still bouncing about the optimum; `regular-step` halves the
step when the gradient turns, and takes 10 % of the voxels.
"""

import sys
from importlib.metadata import version

from matrices import about_centre
from protocol import Job, Matrix, serve

TRANSFORMS = {
    "translation": "TranslationTransform",
    "rigid": "Euler3DTransform",
    "similarity": "Similarity3DTransform",
    "affine": "AffineTransform",
}
SAMPLES = {"notebook": 0.01, "regular-step": 0.10}
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def register(job: Job) -> Matrix:
    """50 bins, random samples (seeded), shrink 4/2/1 with 2/1/0 mm smoothing."""
    import SimpleITK as sitk

    fixed, moving = (sitk.ReadImage(str(path), sitk.sitkFloat32) for path in (job.fixed, job.moving))
    if job.kind == "translation":
        start = sitk.TranslationTransform(3)
    else:
        kind = getattr(sitk, TRANSFORMS[job.kind])
        empty = kind(3) if job.kind == "affine" else kind()
        start = sitk.CenteredTransformInitializer(
            fixed, moving, empty, sitk.CenteredTransformInitializerFilter.GEOMETRY
        )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SAMPLES[job.variant], seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    if job.variant == "notebook":
        method.SetOptimizerAsGradientDescent(
            learningRate=1.0, numberOfIterations=100, convergenceMinimumValue=1e-6, convergenceWindowSize=10
        )
    else:
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=2.0, minStep=1e-3, numberOfIterations=200, gradientMagnitudeTolerance=1e-8
        )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(fixed, moving)
    sitk.WriteImage(sitk.Resample(moving, fixed, found, sitk.sitkLinear, 0.0), str(job.moved))
    if found.GetName() == "CompositeTransform":
        found = sitk.CompositeTransform(found).GetNthTransform(0)
    found = found.Downcast()
    if job.kind == "translation":
        return about_centre(IDENTITY, [0.0, 0.0, 0.0], found.GetOffset())
    return about_centre(found.GetMatrix(), found.GetCenter(), found.GetTranslation())


def versions() -> str:
    """The wheel's version; importing also warms the disk cache."""
    import SimpleITK  # noqa: F401

    return f"SimpleITK {version('SimpleITK')}"


if __name__ == "__main__":
    sys.exit(serve(register, versions, tuple(SAMPLES)))
