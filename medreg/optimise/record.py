"""What the optimiser tells its caller: a step, and how a run of steps ended. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Why the steps ended. Not an error: a poor outcome is a value that says what to do."""

    CONVERGED = "converged"
    FLAT = "flat"
    STEPS_SPENT = "steps_spent"
    DIVERGED = "diverged"
    NO_OVERLAP = "no_overlap"

    @property
    def advice(self) -> str:
        """One sentence for a person."""
        return {
            Outcome.CONVERGED: "The last step was smaller than the tolerance.",
            Outcome.FLAT: "No step improved the metric any more; the answer is as good as its samples allow.",
            Outcome.STEPS_SPENT: "Still moving when the steps were spent: raise `steps` or loosen `tolerance_mm`.",
            Outcome.DIVERGED: "The metric stopped being finite; the last good transform is kept. "
            "Lower the learning rate or set `clip_norm`.",
            Outcome.NO_OVERLAP: "The images ceased to overlap; check the headers, or try `--start search`.",
        }[self]


@dataclass(frozen=True)
class Step:
    """One accepted step.

    Attributes:
        level: position in the recipe's levels, from 0 (coarsest).
        spacing_mm: the level's voxel spacing.
        kind: family of transforms at this stage, e.g. "rigid".
        number: 0 is the value before the first step.
        value: the metric (lower is better).
        step_mm: about how far the step moved the voxels, millimetres.
        overlap: fraction of the samples that fell inside the moving image, of as many as it has room for.
    """

    level: int
    spacing_mm: float
    kind: str
    number: int
    value: float
    step_mm: float
    overlap: float


@dataclass(frozen=True)
class StageRecord:
    """All steps of one level, and how they ended.

    Attributes:
        metric: by name; under `metric: auto` the coarsest level is first aligned by mutual information.
        evaluations: how often the metric and its gradient were computed, rejected trials counted.
        seconds: wall time.
    """

    level: int
    spacing_mm: float
    kind: str
    metric: str
    samples: int
    steps: tuple[Step, ...]
    outcome: Outcome
    evaluations: int
    seconds: float
