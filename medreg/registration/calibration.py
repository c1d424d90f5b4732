"""The verdict's model: a logistic function of a few monotone features, its coefficients in `verdict_model.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medreg.errors import RecipeError

FILE = Path(__file__).with_name("verdict_model.json")


FEATURES = ("agreement", "lead", "explained", "pull", "other_metric", "exchanged", "uncertainty", "overlap", "stretch")
"""Figures of the evidence that a model may use; see `medreg.registration.evidence.Evidence`."""


class _Value(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Feature(_Value):
    """How a figure of the evidence counts; see the file's comment."""

    good: float = Field(gt=0)
    bad: float = Field(gt=0)
    unknown: float = Field(ge=0, le=1)
    weight: float = Field(ge=0)
    meaning: str

    def badness(self, value: float) -> float:
        """0 where the figure is as good as it need be, 1 where it is as bad as it can be taken for."""
        if math.isnan(value):
            return self.unknown
        if value <= 0 or math.isinf(value):
            return 1.0 if (value > 0) == (self.bad > self.good) else 0.0
        share = (math.log(value) - math.log(self.good)) / (math.log(self.bad) - math.log(self.good))
        return min(max(share, 0.0), 1.0)

    @model_validator(mode="after")
    def _check(self) -> Feature:
        if self.good == self.bad:
            raise ValueError("good and bad must differ")
        return self


class Limits(_Value):
    """Of the probability of failure: below the first it is ok, from the second on failed."""

    ok: float = Field(gt=0, lt=1)
    failed: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Limits:
        if self.ok >= self.failed:
            raise ValueError("ok must be below failed")
        return self


class ErrorScale(_Value):
    """From the covariance to the predicted error; see the file's comment."""

    factor: float = Field(gt=0)
    floor_voxels: float = Field(ge=0)
    spread: float = Field(ge=0)


class Model(_Value):
    """All of it.

    Example:
        >>> model = model_of()
        >>> fine = {name: 5.0 if name in ("agreement", "lead") else 0.0 for name in model.features}
        >>> model.probability(fine) < model.limits.ok
        True
        >>> model.probability({**fine, "agreement": 1.0, "lead": 0.8}) > model.limits.failed
        True
    """

    comment: tuple[str, ...]
    intercept: float
    features: Mapping[str, Feature]
    limits: Limits
    error: ErrorScale

    @model_validator(mode="after")
    def _check(self) -> Model:
        if unknown := set(self.features) - set(FEATURES):
            raise ValueError(f"no feature is called {', '.join(sorted(unknown))}; there are {', '.join(FEATURES)}")
        return self

    def shares(self, features: Mapping[str, float]) -> dict[str, float]:
        """What each feature adds to the logit, the heaviest first."""
        added = {name: f.weight * f.badness(features[name]) for name, f in self.features.items()}
        return dict(sorted(added.items(), key=lambda item: -item[1]))

    def probability(self, features: Mapping[str, float]) -> float:
        """That the error is more than 2 % of the radius, 0 to 1."""
        logit = self.intercept + sum(self.shares(features).values())
        return 1 / (1 + math.exp(-min(max(logit, -700.0), 700.0)))


@cache
def model_of(path: Path = FILE) -> Model:
    """The model in a file; the package's own by default.

    Raises:
        RecipeError: a key is missing, unknown, or its value out of range.
    """
    try:
        return Model.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(
            f"{path}: is no model of a verdict: {faults}; refit it with benchmarks/calibrate.py"
        ) from None
