"""What a registration gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medreg.optimise.record import Outcome, StageRecord
from medreg.registration.recipe import Recipe
from medreg.transform.linear import LinearTransform


@dataclass(frozen=True)
class Candidate:
    """A start that was tried: its name and its metric at the coarsest level (lower is better)."""

    name: str
    value: float


@dataclass(frozen=True)
class Result:
    """The transform found and how it was found.

    Attributes:
        transform: maps fixed points to moving points, LPS mm.
        metric: the metric used, by name; with `metric: auto`, the one that was chosen.
        metric_reason: one sentence: why that one.
        start: the start that won; `candidates` lists all with their scores.
        stages: every level, coarse to fine.
        outcome: how the last stage ended.
        recipe: what was asked.
        seconds: wall time per phase: "start", "optimise".
    """

    transform: LinearTransform
    metric: str
    metric_reason: str
    start: str
    candidates: tuple[Candidate, ...]
    stages: tuple[StageRecord, ...]
    outcome: Outcome
    recipe: Recipe
    seconds: Mapping[str, float] = field(default_factory=dict)
