"""What a registration gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from medreg.optimise.record import Outcome, StageRecord
from medreg.registration.model_choice import Choice
from medreg.registration.recipe import Recipe
from medreg.registration.verdict import Verdict
from medreg.transform.homography import Homography
from medreg.transform.linear import LinearTransform


@dataclass(frozen=True)
class Candidate:
    """A start that was tried.

    Attributes:
        name: "header", "centre of mass", "centre of view", "principal axes N", "search" or "given".
        value: negative mutual information times overlap at a coarse level, nats; lower is better.
        overlap: fraction of the samples of the image with the smaller field of view that lie inside the other; of the
            fixed image where both are about as large.
        degrees: by how much it turns.
    """

    name: str
    value: float
    overlap: float
    degrees: float


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
        verdict: how far it can be trusted.
        fallback: why the transform has fewer degrees of freedom than were asked for; None where it has them all.
        choice: which family was chosen and why, where the recipe left it to the images (`transform: auto`); else None.
        recipe: what was asked.
        seconds: wall time per phase: "start", "optimise", "verdict".
    """

    transform: LinearTransform | Homography
    metric: str
    metric_reason: str
    start: str
    candidates: tuple[Candidate, ...]
    stages: tuple[StageRecord, ...]
    outcome: Outcome
    verdict: Verdict
    fallback: str | None
    recipe: Recipe
    seconds: Mapping[str, float] = field(default_factory=dict)
    choice: Choice | None = None

    def inverse(self) -> Result:
        """The same run told from the other side: the transform maps moving points to fixed points."""
        return replace(self, transform=self.transform.inverse(), verdict=self.verdict.inverse())
