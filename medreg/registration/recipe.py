"""Recipes: every choice of a registration as a validated, frozen value that YAML and `run.json` can hold.

Free of torch, so that a command line can refuse a bad recipe at once.
"""

from __future__ import annotations

import difflib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from medreg.errors import RecipeError
from medreg.transform.kind import Kind


class Start(str, Enum):
    """Where the first stage begins."""

    AUTO = "auto"
    HEADER = "header"
    CENTRE = "centre"
    MOMENTS = "moments"
    SEARCH = "search"


class _Value(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AutoMetric(_Value):
    """Choose from the data: correlation for images of one contrast, mutual information for different ones."""

    name: Literal["auto"] = "auto"


class MeanSquares(_Value):
    """Mean squared difference: same scanner, same units."""

    name: Literal["mean_squares"] = "mean_squares"


class Correlation(_Value):
    """1 - squared correlation, after the best smooth bias field of the given order has been allowed for."""

    name: Literal["correlation"] = "correlation"
    bias_order: int = Field(
        default=3, ge=0, le=4, description="polynomial order of the bias field in space; 0 for none"
    )
    powers: int = Field(
        default=2, ge=1, le=3, description="powers of the fixed intensity that may explain the moving one"
    )


class MutualInformation(_Value):
    """Negative mutual information in nats (Mattes)."""

    name: Literal["mutual_information"] = "mutual_information"
    bins: int = Field(default=48, ge=8, le=128, description="most bins an axis; coarse levels use fewer")


class NormalisedMutualInformation(_Value):
    """Negative normalised mutual information (Studholme)."""

    name: Literal["normalised_mutual_information"] = "normalised_mutual_information"
    bins: int = Field(default=48, ge=8, le=128, description="most bins an axis; coarse levels use fewer")


class RobustCorrelation(_Value):
    """Correlation under Tukey's biweight: what does not fit at all (a lesion, a resection, a jaw) does not pull."""

    name: Literal["robust_correlation"] = "robust_correlation"
    bias_order: int = Field(default=1, ge=0, le=4, description="as for `correlation`")
    powers: int = Field(default=1, ge=1, le=3, description="as for `correlation`")
    cutoff: float = Field(default=4.685, gt=1, description="residuals beyond this many sigmas count as outliers")


class LocalCorrelation(_Value):
    """1 - the mean squared correlation within small patches: any slow change of brightness is allowed for."""

    name: Literal["local_correlation"] = "local_correlation"
    patch: Literal[3, 5, 7, 9, 11] = Field(default=5, description="voxels of a patch along each axis, at every level")


class CorrelationRatio(_Value):
    """The share of the moving variance that no function of the fixed value explains (Roche)."""

    name: Literal["correlation_ratio"] = "correlation_ratio"
    bins: int = Field(default=32, ge=4, le=256, description="most classes of fixed intensity; coarse levels use fewer")


class GradientFields(_Value):
    """Whether edges run the same way, whatever their contrast (Haber and Modersitzki)."""

    name: Literal["gradient_fields"] = "gradient_fields"


class SelfSimilarity(_Value):
    """Mean squared difference of self-similarity descriptors (MIND-SSC)."""

    name: Literal["self_similarity"] = "self_similarity"


class LabelOverlap(_Value):
    """1 - the mean Dice overlap of labels: of the label maps given beside the images, or of the images themselves."""

    name: Literal["label_overlap"] = "label_overlap"


AnyMetric = (
    MeanSquares
    | Correlation
    | RobustCorrelation
    | LocalCorrelation
    | CorrelationRatio
    | MutualInformation
    | NormalisedMutualInformation
    | GradientFields
    | SelfSimilarity
    | LabelOverlap
)
SingleMetric = Annotated[AnyMetric, Field(discriminator="name")]


class Weighted(_Value):
    """One metric of several, and how much it counts."""

    metric: SingleMetric
    weight: float = Field(default=1.0, gt=0)


class Several(_Value):
    """A weighted sum of metrics. In YAML a list: `metric: [{name: correlation, weight: 2}, label_overlap]`."""

    name: Literal["several"] = "several"
    terms: tuple[Weighted, ...] = Field(min_length=1)


Metric = Annotated[AutoMetric | AnyMetric | Several, Field(discriminator="name")]


def weighted(metric: Metric) -> tuple[Weighted, ...]:
    """What a metric sums: itself, or its terms."""
    if isinstance(metric, Several):
        return metric.terms
    if isinstance(metric, AutoMetric):
        raise TypeError("metric 'auto' is resolved before a level is built")
    return (Weighted(metric=metric),)


def has_labels(metric: Metric) -> bool:
    """Whether a metric, or one of several, compares label maps."""
    return any(isinstance(each, LabelOverlap) for each in (metric, *(t.metric for t in getattr(metric, "terms", ()))))


class GaussNewton(_Value):
    """Levenberg-Marquardt with the analytic chain; the default."""

    name: Literal["gauss_newton"] = "gauss_newton"


class Adam(_Value):
    """Adam (doi:10.48550/arXiv.1412.6980)."""

    name: Literal["adam"] = "adam"
    learning_rate_mm: float = Field(default=0.3, gt=0)
    clip_norm: float | None = Field(default=None, gt=0)


class RMSprop(_Value):
    """RMSprop."""

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate_mm: float = Field(default=0.1, gt=0)
    clip_norm: float | None = Field(default=None, gt=0)


class SGD(_Value):
    """Plain gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    learning_rate_mm: float = Field(default=5.0, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)


class LBFGS(_Value):
    """Limited-memory BFGS with a step that is cut where the metric rises."""

    name: Literal["lbfgs"] = "lbfgs"
    history: int = Field(default=10, ge=1)


Optimiser = Annotated[GaussNewton | Adam | RMSprop | SGD | LBFGS, Field(discriminator="name")]


class Level(_Value):
    """One resolution of the pyramid.

    Attributes:
        spacing_mm: both images are mean-pooled to about this spacing (never below their own).
        samples: voxels of the fixed image that are compared; in a symmetric run as many of the moving image, too.
        steps: most steps at this level.
        tolerance_mm: a step that moves no parameter by more than this ends the level.
    """

    spacing_mm: float = Field(gt=0)
    samples: int = Field(default=100_000, ge=100)
    steps: int = Field(default=30, ge=1)
    tolerance_mm: float = Field(default=0.005, gt=0)


def _named(value: Any) -> Any:
    """`metric: correlation` for `metric: {name: correlation}`, and a list for several with weights."""
    if isinstance(value, list):
        return {"name": "several", "terms": [_weighted(_named(term)) for term in value]}
    return {"name": value} if isinstance(value, str) else value


def _weighted(term: Any) -> Any:
    """`{name: correlation, weight: 2}` for `{metric: {name: correlation}, weight: 2}`."""
    if not isinstance(term, dict) or "metric" in term:
        return term
    return {"metric": {k: v for k, v in term.items() if k != "weight"}, "weight": term.get("weight", 1.0)}


def _family(value: Any) -> Any:
    """One sentence for a name that is no family, in place of one for each type that a transform may have."""
    known = ["auto", *(kind.value for kind in Kind)]
    if value not in known:
        named = ", ".join(f"'{name}'" for name in known[:-1])
        raise ValueError(f"transform: Input should be {named} or '{known[-1]}' (got {value!r})")
    return value


Transform = Annotated[Kind | Literal["auto"], BeforeValidator(_family)]
"""A family of transforms; or auto: the simplest of rigid, similarity, affine (and homography in 2D) that explains the
images."""


class Recipe(_Value):
    """Every choice of a registration. The defaults suit two brain or body images of up to a few hundred voxels a side.

    Example:
        >>> Recipe(transform="rigid", metric="mutual_information").metric.bins
        48
    """

    transform: Transform = Kind.AFFINE
    metric: Metric = AutoMetric()
    start: Start = Start.AUTO
    symmetric: bool = Field(default=False, description="A to B and B to A give exact inverses")
    optimiser: Optimiser = GaussNewton()
    levels: tuple[Level, ...] | None = Field(default=None, min_length=1, description="None: chosen from both images")
    interpolation: Literal["nearest", "linear", "cubic", "sinc"] = "linear"
    outside: float | Literal["edge"] = Field(
        default=0.0, description="value of voxels that the moving image does not reach"
    )
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _accept_names(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: _named(v) if k in ("metric", "optimiser") else v for k, v in data.items()}
        return data


Spacing = (
    Annotated[float, Field(gt=0)]
    | Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=3)]
)
"""Millimetres between pixels: one number for all axes, or x, y(, z)."""


class Job(_Value):
    """A recipe with the images it is for: what a YAML file or a `run.json` may hold."""

    fixed: Path | None = None
    moving: Path | None = None
    fixed_mask: Literal["auto"] | Path | None = Field(
        default=None, description="a file, nonzero where the image counts; or auto, the foreground"
    )
    moving_mask: Literal["auto"] | Path | None = Field(default=None, description="the same for the moving image")
    fixed_exclude: Path | None = Field(default=None, description="a file, nonzero where the image does not count")
    moving_exclude: Path | None = Field(default=None, description="the same for the moving image")
    fixed_labels: Path | None = Field(default=None, description="a label map, for the metric label_overlap")
    moving_labels: Path | None = Field(default=None, description="the same for the moving image")
    initial: Path | None = Field(default=None, description="a transform to start from; `start: FILE` says the same")
    spacing: Spacing | None = Field(
        default=None, description="mm between pixels of both images, whose files do not say; one number, or x, y(, z)"
    )
    fixed_spacing: Spacing | None = Field(default=None, description="of the fixed image alone")
    moving_spacing: Spacing | None = Field(default=None, description="of the moving image alone")
    volume: int | Literal["mean"] | None = None
    fixed_series: str | None = Field(
        default=None, description="which image of a DICOM folder: its number, UID, or a piece of its description"
    )
    moving_series: str | None = Field(default=None, description="the same for the moving image")
    uneven: Literal["refuse", "resample"] = Field(
        default="refuse", description="DICOM slices whose distances differ: refuse them, or interpolate an even grid"
    )
    out: Path | None = None
    dicom_out: Path | None = Field(default=None, description="folder for the moved image as a DICOM series")
    keep_identifiers: bool = Field(default=False, description="name the patients of DICOM images in run.json")
    report: bool = Field(default=True, description="write report.html and figure.png")
    strict: bool = Field(default=False, description="end with exit code 11 where the verdict is failed")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    recipe: Recipe = Recipe()

    @model_validator(mode="after")
    def _check_labels(self) -> Job:
        if (self.fixed_labels is None) != (self.moving_labels is None):
            raise ValueError("give label maps of both images, fixed_labels and moving_labels, or of none")
        if self.fixed_labels is not None and not has_labels(self.recipe.metric):
            raise ValueError("label maps are compared by the metric label_overlap, which is not asked for")
        return self

    @model_validator(mode="before")
    @classmethod
    def _accept_auto(cls, data: Any) -> Any:
        """A command line gives `auto` as a path, YAML the number of a series as one."""
        masks, series = ("fixed_mask", "moving_mask"), ("fixed_series", "moving_series")
        as_text = {k: str(v) for k, v in data.items() if k in series and isinstance(v, int)}
        return {k: "auto" if k in masks and str(v) == "auto" else v for k, v in data.items()} | as_text

    @property
    def spacings(self) -> dict[str, float | tuple[float, ...]]:
        """The asked spacings by "fixed" and "moving", of those that were asked for."""
        asked = {"fixed": self.fixed_spacing or self.spacing, "moving": self.moving_spacing or self.spacing}
        return {role: spacing for role, spacing in asked.items() if spacing is not None}


def job_from(mapping: dict[str, Any], origin: str) -> Job:
    """A job of nested or flat keys: recipe fields may stand at the top beside `fixed` and `moving`.

    Args:
        mapping: as parsed from YAML or JSON.
        origin: the file's name, for messages.

    Raises:
        RecipeError: unknown key (with the nearest known one), or a value out of range; says which and what is allowed.
    """
    if not isinstance(mapping, dict):
        raise RecipeError(f"{origin}: a recipe is a mapping of keys to values, got {type(mapping).__name__}")
    jobs, recipes = set(Job.model_fields) - {"recipe"}, set(Recipe.model_fields)
    for key in mapping:
        if key not in jobs | recipes | {"recipe"}:
            known = sorted(jobs | recipes)
            hint = _nearest(key, known) or f"; known keys: {', '.join(known)}"
            raise RecipeError(f"{origin}: unknown key '{key}'{hint}")
    start = mapping.get("start")
    if isinstance(start, str | Path) and str(start) not in set(Start):  # a transform's file
        mapping = {**{k: v for k, v in mapping.items() if k != "start"}, "initial": start}
    nested = mapping.get("recipe") or {}
    if not isinstance(nested, dict):
        raise RecipeError(f"{origin}: 'recipe' holds a mapping of recipe fields, got {nested!r}")
    nested = {str(k): v for k, v in nested.items()}  # YAML allows numbers as keys
    flat = {k: v for k, v in mapping.items() if k in recipes}
    try:
        return Job(**{k: v for k, v in mapping.items() if k in jobs}, recipe=Recipe(**{**nested, **flat}))
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """Each fault on a line: where, what was got, what is wanted."""
    lines = []
    for fault in error.errors():
        place = ".".join(str(p) for p in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key '{place}'" + _nearest(fault["loc"][-1], _all_keys()))
        elif fault["type"] == "value_error":  # of a validator that looks at the whole: it says all itself
            lines.append(str(fault["ctx"]["error"]))
        else:
            lines.append(f"{place}: {fault['msg']} (got {fault['input']!r})")
    return "; ".join(lines)


def _nearest(key: object, known: list[str]) -> str:
    """The question whether the nearest known key was meant, or nothing where none is near."""
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _all_keys() -> list[str]:
    metrics = (Correlation, RobustCorrelation, LocalCorrelation, CorrelationRatio, MutualInformation, Weighted)
    models = (Job, Recipe, Level, *metrics, GaussNewton, Adam, RMSprop, SGD, LBFGS)
    return sorted({name for model in models for name in model.model_fields})
