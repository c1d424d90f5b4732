"""Writes `api.md` from the code: the public names with the first lines of their docstrings, and the fields of recipes.

Run `python docs/make_api.py` after changing a public name, a first line or a default; a test compares.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin

import medreg
from medreg import errors
from medreg.registration import recipe

PAGE = Path(__file__).with_name("api.md")

MODULES: Mapping[str, tuple[str, ...]] = {
    "medreg.io": (
        "Mean",
        "StoredImage",
        "Written",
        "check_registrable",
        "read_image",
        "read_stored",
        "select_volume",
        "write_image",
    ),
    "medreg.io.transforms": ("read_transform", "write_transform", "End", "Form"),
    "medreg.io.points": ("read_points", "write_points", "Points", "Space"),
    "medreg.io.gradients": ("read_gradients",),
    "medreg.evaluate": (
        "landmark_errors",
        "label_overlaps",
        "surface_distances",
        "transform_difference",
        "inverse_consistency",
    ),
    "medreg.io.dicom": (
        "Choice",
        "Uneven",
        "Listing",
        "Row",
        "Origin",
        "Instance",
        "list_series",
        "origin_of",
        "read_dicom",
    ),
    "medreg.io.dicom.derived": ("DerivedSeries", "write_derived"),
    "medreg.io.dicom.registration_object": ("read_registration", "write_registration"),
    "medreg.io.dicom.sidecar": ("sidecar_of",),
    "medreg.geometry.affine": (
        "axis_angle",
        "decompose",
        "euler_angles",
        "homogeneous",
        "invert",
        "map_points",
        "rotation_exp",
        "rotation_log",
    ),
    "medreg.geometry.orientation": ("conjugate_lps_ras", "flip_lps_ras", "orientation_code"),
    "medreg.sample": (
        "resample",
        "sample",
        "sample_with_gradient",
        "Sampler",
        "smooth",
        "pyramid",
        "level_of",
        "mask_level_of",
        "spline_coefficients",
    ),
    "medreg.transform.linear": ("LinearTransform", "matrix_of"),
    "medreg.transform.homography": ("Homography", "project", "gradient_by_matrix"),
    "medreg.transform.local_homographies": ("LocalHomographies", "controls_over", "blend"),
    "medreg.transform.generators": ("generators", "exponential", "about"),
    "medreg.metric.mean_squares": ("mean_squares",),
    "medreg.metric.correlation": ("correlation", "regressors"),
    "medreg.metric.robust": ("robust_squares", "tukey", "tukey_weight", "robust_scale"),
    "medreg.metric.local_correlation": ("local_correlation",),
    "medreg.metric.correlation_ratio": ("correlation_ratio", "ranked_bins"),
    "medreg.metric.mutual_information": ("mutual_information", "normalised_mutual_information"),
    "medreg.metric.gradient_fields": ("gradient_directions", "gradient_field_distance"),
    "medreg.metric.self_similarity": ("self_similarity",),
    "medreg.metric.label_overlap": ("label_overlap", "one_hot"),
    "medreg.optimise.loop": ("descend", "Stopping"),
    "medreg.optimise.rules": ("GaussNewton", "LBFGS", "FirstOrder"),
    "medreg.optimise.record": ("Outcome", "Step", "StageRecord"),
    "medreg.registration.recipe": ("Recipe", "Level", "Job", "job_from"),
    "medreg.registration.result": ("Result", "Candidate"),
    "medreg.registration.pairwise": ("assess",),
    "medreg.registration.verdict": ("Verdict", "Standing"),
    "medreg.registration.predicted_error": ("PredictedError",),
    "medreg.registration.agreement": ("agreement_of",),
    "medreg.registration.uncertainty": ("Uncertainty", "uncertainty", "curvature_at"),
    "medreg.registration.rotations": ("super_fibonacci", "in_plane"),
    "medreg.registration.foreground": ("foreground_mask",),
    "medreg.batch": ("MedImageBatch",),
    "medreg.ops": (
        *("rotate", "scale", "translate", "affine", "composed", "resample_to_spacing", "resize", "resample_onto"),
        *(
            "reorient",
            "flip",
            "permute",
            "crop",
            "pad",
            "crop_or_pad",
            "each",
            "rotation",
            "turns",
            "placement",
            "warp_in_world",
        ),
        *("z_score", "min_max", "rescale", "window", "clip", "histogram_match", "nyul_train", "nyul_apply"),
        *(
            "bias_free_statistics",
            "looks_like_labels",
            "one_hot",
            "centroids",
            "maximum_radii",
            "masks_from_points",
            "points_from_masks",
        ),
    ),
    "medreg.io.suv": ("suv", "suv_factor", "lean_body_mass_kg", "body_surface_area_cm2"),
    "medreg.io.hdf5": ("save_images", "append_images", "image_names", "load_image", "LazyImage"),
    "medreg.nn": ("Resample", "Rotate", "Affine", "Homography", "Smooth"),
    "medreg.learn.training": ("begin", "Training"),
    "medreg.learn.checkpoint": ("read_model",),
    "medreg.vision.warping": ("warp", "parameter_jacobian"),
    "medreg.vision.warping_frames": ("Covering", "frame_of"),
    "medreg.vision.filters": (
        *("filter", "convolve", "filter_adjoint", "gaussian", "box", "median", "derivative", "derivative_adjoint"),
        *("gradient", "gradient_magnitude", "laplacian", "laplacian_of_gaussian"),
    ),
    "medreg.vision.statistics": (
        *("mean_absolute_difference", "mean_squared_error", "root_mean_squared_error", "psnr", "ssim"),
        *("finite_mean", "finite_extrema", "finite_quantiles"),
    ),
    "medreg.vision.colour": ("convert", "Convert", "Colour", "seen_as", "Layout", "unmix", "mix", "estimate_stains"),
    "medreg.vision.rasterisation": (
        "raster",
        "raster_pullback",
        "Edges",
        "Orthographic",
        "Perspective",
        "cloud",
        "ray_sums",
    ),
    "medreg.vision.stitching": ("stitch", "Stitching", "Mosaic", "Overlap"),
}
"""What may be used beyond `import medreg`, by home."""

METRICS = (
    recipe.AutoMetric,
    recipe.MeanSquares,
    recipe.Correlation,
    recipe.RobustCorrelation,
    recipe.LocalCorrelation,
    recipe.CorrelationRatio,
    recipe.MutualInformation,
    recipe.NormalisedMutualInformation,
    recipe.GradientFields,
    recipe.SelfSimilarity,
    recipe.LabelOverlap,
    recipe.Several,
)
OPTIMISERS = (recipe.GaussNewton, recipe.LBFGS, recipe.Adam, recipe.RMSprop, recipe.SGD)


def page() -> str:
    """The whole text of api.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# API"
    yield ""
    yield "Made by `docs/make_api.py` from the docstrings and the models; do not edit. `help(name)` in Python tells the"
    yield "rest: shapes, ranges, units, errors and an example."
    yield ""
    yield "## Names of `medreg`"
    yield ""
    yield from _table((name, getattr(medreg, name)) for name in sorted(medreg.__all__, key=str.lower))
    yield ""
    yield "## Modules"
    for module, names in MODULES.items():
        yield ""
        yield f"### `{module}`"
        yield ""
        yield from _table((name, getattr(import_module(module), name)) for name in names)
    yield ""
    yield "## Recipe fields"
    yield ""
    yield "For `medreg.Recipe(...)` and YAML. In YAML the fields of a job stand beside those of its recipe."
    for title, model in (
        ("Recipe", recipe.Recipe),
        ("Level", recipe.Level),
        ("Weighted metric", recipe.Weighted),
        ("Job", recipe.Job),
    ):
        yield ""
        yield f"### {title}"
        yield ""
        yield from _fields(model)
    for title, models in (("Metrics", METRICS), ("Optimisers", OPTIMISERS)):
        yield ""
        yield f"### {title}"
        for model in models:
            yield ""
            yield f"`{model.model_fields['name'].default}`: {_first_line(model)}"
            if len(model.model_fields) > 1:
                yield ""
                yield from _fields(model)
    yield ""
    yield "## Errors"
    yield ""
    yield "| class | exit code | when |"
    yield "|---|---|---|"
    for kind in sorted([errors.MedregError, *errors.MedregError.__subclasses__()], key=lambda kind: kind.exit_code):
        yield f"| `{kind.__name__}` | {kind.exit_code} | {_first_line(kind)} |"


def _table(named: Iterator[tuple[str, Any]]) -> Iterator[str]:
    yield "| name | what it is |"
    yield "|---|---|"
    for name, value in named:
        yield f"| `{name}{_parameters(value)}` | {_first_line(value)} |"


def _parameters(value: Any) -> str:
    """(fixed, moving, *, watch): names alone, which read the same under every version of Python."""
    if inspect.isclass(value) and issubclass(value, (Enum, BaseException)):
        return ""
    parts = []
    keywords = False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            parts.append("*")
        parts.append(parameter.name)
    return f"({', '.join(parts)})"


def _first_line(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0].replace("|", "\\|")


def _fields(model: Any) -> Iterator[str]:
    attributes = _attributes(inspect.getdoc(model) or "")
    yield "| field | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if name != "name":
            default = "required" if field.is_required() else f"`{_plain(field.default)}`"
            yield f"| `{name}` | {default} | {_allowed(field)} | {field.description or attributes.get(name, '')} |"


def _attributes(doc: str) -> dict[str, str]:
    """What a docstring's section "Attributes" says of each."""
    section = doc.partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.split(r"^    (\w+): ", section, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()).rstrip(".") for name, text in zip(entries[::2], entries[1::2], strict=True)}


def _plain(value: Any) -> str:
    if hasattr(value, "model_dump"):
        return str(getattr(value, "name", "")) or f"{type(value).__name__}()"
    return json.dumps(value.value if isinstance(value, Enum) else value)


def _allowed(field: Any) -> str:
    """The choices of a field, or its bounds."""
    choices = [choice for part in (field.annotation, *get_args(field.annotation)) for choice in _choices(part)]
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(rule, key)}" for rule in field.metadata for key, sign in signs.items() if hasattr(rule, key)
    ]
    return ", ".join([*dict.fromkeys(choices), *bounds])


def _choices(part: Any) -> list[str]:
    if inspect.isclass(part) and issubclass(part, Enum):
        return [f"`{member.value}`" for member in part]
    if part in (*METRICS, *OPTIMISERS):
        return [f"`{part.model_fields['name'].default}`"]
    if str(get_origin(part)) == "typing.Literal":
        return [f"`{choice}`" for choice in get_args(part)]
    return {int: ["whole number"], float: ["number"]}.get(part, [])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
