"""Where the search begins: the headers as they are, or centres brought together; the better by the metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medreg.errors import RegistrationError
from medreg.geometry.affine import homogeneous
from medreg.registration import recipe
from medreg.registration.result import Candidate
from medreg.registration.stage import PairLevel, StageResult, run_stage
from medreg.transform.kind import Kind
from medreg.types import FloatArray

STEPS = 12
"""Rigid steps that each candidate gets before they are compared."""


def shift(fixed_point: tuple[float, ...], moving_point: tuple[float, ...]) -> FloatArray:
    """The translation that carries one point to the other."""
    return homogeneous(np.eye(len(fixed_point)), np.subtract(moving_point, fixed_point))


def candidates_for(
    start: recipe.Start, fixed_centres: list[tuple[float, ...]], moving_centres: list[tuple[float, ...]]
) -> dict[str, FloatArray]:
    """Named starts: "header", "centre of mass" and "centre of view", as the recipe allows.

    Args:
        start: the recipe's choice.
        fixed_centres: centre of mass and centre of the field of view of the fixed image, LPS mm.
        moving_centres: the same of the moving image.
    """
    d = len(fixed_centres[0])
    named = {
        "header": np.eye(d + 1),
        "centre of mass": shift(fixed_centres[0], moving_centres[0]),
        "centre of view": shift(fixed_centres[1], moving_centres[1]),
    }
    match start:
        case recipe.Start.HEADER:
            return {"header": named["header"]}
        case recipe.Start.CENTRE:
            return {"centre of mass": named["centre of mass"]}
        case recipe.Start.AUTO:
            return named


def choose(
    candidates: dict[str, FloatArray], level: PairLevel, kind: Kind
) -> tuple[str, StageResult, tuple[Candidate, ...]]:
    """Run each candidate a few rigid steps at the coarsest level under mutual information; keep the best.

    Mutual information serves every contrast. Each value is multiplied by the overlap, so that sliding out of view does
    not pay.

    Raises:
        RegistrationError: when no candidate brings the images to overlap.
    """
    metric = recipe.MutualInformation(bins=24)
    brief = replace(level, settings=level.settings.model_copy(update={"steps": STEPS}))
    rigid = Kind.TRANSLATION if kind is Kind.TRANSLATION else Kind.RIGID
    results: dict[str, StageResult] = {}
    for name, matrix in candidates.items():
        result = run_stage(brief, metric, rigid, matrix, recipe.GaussNewton())
        if np.isfinite(result.value) and result.overlap > 0:
            results[name] = result
    if not results:
        raise RegistrationError(
            "the images do not overlap from any start that was tried (" + ", ".join(candidates) + "); "
            "check their headers with `medreg info FIXED MOVING`, or use --start centre"
        )
    scores = {name: result.value * result.overlap for name, result in results.items()}
    best = min(scores, key=lambda name: scores[name])
    return best, results[best], tuple(Candidate(name, score) for name, score in scores.items())
