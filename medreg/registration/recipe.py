"""Recipes: every choice of a registration as a validated, frozen value that YAML and `run.json` can hold.

Free of torch, so that a command line can refuse a bad recipe at once.
"""

from __future__ import annotations

import difflib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medreg.errors import RecipeError
from medreg.transform.kind import Kind


class Start(str, Enum):
    """Where the search begins."""

    AUTO = "auto"
    HEADER = "header"
    CENTRE = "centre"


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


Metric = Annotated[
    AutoMetric | MeanSquares | Correlation | MutualInformation | NormalisedMutualInformation,
    Field(discriminator="name"),
]


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
        samples: voxels of the fixed image that are compared.
        steps: most steps at this level.
        tolerance_mm: a step that moves no parameter by more than this ends the level.
    """

    spacing_mm: float = Field(gt=0)
    samples: int = Field(default=100_000, ge=100)
    steps: int = Field(default=30, ge=1)
    tolerance_mm: float = Field(default=0.005, gt=0)


def _named(value: Any) -> Any:
    """`metric: correlation` for `metric: {name: correlation}`."""
    return {"name": value} if isinstance(value, str) else value


class Recipe(_Value):
    """Every choice of a registration. The defaults suit two brain or body images of up to a few hundred voxels a side.

    Example:
        >>> Recipe(transform="rigid", metric="mutual_information").metric.bins
        48
    """

    transform: Kind = Kind.AFFINE
    metric: Metric = AutoMetric()
    start: Start = Start.AUTO
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


class Job(_Value):
    """A recipe with the images it is for: what a YAML file or a `run.json` may hold."""

    fixed: Path | None = None
    moving: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    volume: int | Literal["mean"] | None = None
    out: Path | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    recipe: Recipe = Recipe()


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
        else:
            lines.append(f"{place}: {fault['msg']} (got {fault['input']!r})")
    return "; ".join(lines)


def _nearest(key: object, known: list[str]) -> str:
    """The question whether the nearest known key was meant, or nothing where none is near."""
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _all_keys() -> list[str]:
    models = (Job, Recipe, Level, Correlation, MutualInformation, GaussNewton, Adam, RMSprop, SGD, LBFGS)
    return sorted({name for model in models for name in model.model_fields})
