"""Whether an answer can be believed: ok, suspect or failed, with reasons, a predicted error and what to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from medreg.optimise.record import Outcome
from medreg.registration.calibration import Model, model_of
from medreg.registration.evidence import Evidence
from medreg.registration.predicted_error import PredictedError
from medreg.transform.kind import Kind

STRETCH = 2.0
"""Two images of one anatomy do not differ more than this in scale."""

FAR = 0.02
"""Of the radius: what is predicted to be further off is not ok, however well all else fits."""

WEIGHTY = 1.0
"""What a feature adds to the logit for it to be told as a reason."""

LOOK = "look at the result"


class Standing(Enum):
    """How far a result can be trusted."""

    OK = "ok"
    SUSPECT = "suspect"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a result.

    Attributes:
        standing: ok, suspect or failed.
        reasons: sentences; what was seen, the weightiest first.
        agreement: see `medreg.registration.agreement.agreement_of`.
        next: what to try, as commands; empty where nothing is to be mended.
        probability_of_failure: that the error is more than 2 % of the radius of what is compared (2 mm of a head).
        predicted_error: in mm, if the minimum is the right one; None where it cannot be told.
        features: the figures by name, see `medreg.registration.evidence.Evidence`.
    """

    standing: Standing
    reasons: tuple[str, ...]
    agreement: float
    next: tuple[str, ...] = ()
    probability_of_failure: float = math.nan
    predicted_error: PredictedError | None = None
    features: Mapping[str, float] = field(default_factory=dict)

    def inverse(self) -> Verdict:
        """The same of the inverse transform: its error lies at the moving image's points."""
        return replace(self, predicted_error=None if self.predicted_error is None else self.predicted_error.inverse())


def judge(
    evidence: Evidence, outcome: Outcome, kind: Kind, metric: str, seed: int = 0, model: Model | None = None
) -> Verdict:
    """The verdict on a transform.

    Args:
        evidence: of it.
        outcome: how the last stage ended.
        kind: its family.
        metric: by name.
        seed: of the interval's draws.
        model: the package's own by default.
    """
    model, features = model or model_of(), evidence.features
    probability = model.probability(features)
    standing = Standing.OK if probability < model.limits.ok else Standing.SUSPECT
    standing = Standing.FAILED if probability >= model.limits.failed else standing
    reasons = []
    if outcome in (Outcome.DIVERGED, Outcome.NO_OVERLAP):
        standing, reasons = Standing.FAILED, [outcome.advice]
    unsure = features["uncertainty"] * model.error.factor > FAR
    if math.isnan(features["agreement"]) or features["stretch"] > STRETCH or unsure:
        standing = max(standing, Standing.SUSPECT, key=list(Standing).index)
    shares = model.shares(features)
    if features["stretch"] > STRETCH:
        reasons.append(_sentence("stretch", evidence))
    if standing is Standing.OK:
        reasons.append(_sentence("agreement", evidence))
    else:
        told = [name for name, share in shares.items() if share >= WEIGHTY or (name == "uncertainty" and unsure)]
        told = told or list(shares)[:1]
        unknown = ["agreement"] if math.isnan(features["agreement"]) and "agreement" not in told else []
        sentences = [_sentence(name, evidence) for name in (*told, *unknown)]
        reasons += [sentence for sentence in sentences if sentence not in reasons]
    error = None
    if evidence.uncertainty is not None:
        error = PredictedError.of(evidence.uncertainty, evidence.points, model.error, evidence.spacing_mm, seed)
    if unsure:
        shares["uncertainty"] = max(shares.get("uncertainty", 0.0), WEIGHTY)
    tries = () if standing is Standing.OK else _next(shares, features, kind, metric)
    return Verdict(standing, tuple(reasons), features["agreement"], tries, probability, error, features)


def _sentence(name: str, evidence: Evidence) -> str:
    """What a feature says, with its numbers."""
    value, distance = evidence.features[name], evidence.features[name] * evidence.radius_mm
    if name == "agreement":
        if math.isnan(value):
            return "inside their outlines the images show no structure to judge by"
        if value > 1:
            return f"inside their outlines the images share {value:.2f} times the information of nearby poses"
        return "inside their outlines the images agree no better here than at nearby poses"
    if name == "lead":
        if math.isnan(value):
            return "the images share no information in any pose"
        if value >= 1:
            return f"the images share only {value:.2f} times the information of the best pose that is turned elsewhere"
        return (
            f"turned elsewhere the images share {1 / max(value, 1e-3):.2f} times the information that they share here"
        )
    if name == "explained":
        if math.isnan(value):
            return "the objects that both images show hardly overlap"
        return f"where both show their object, one image explains {value:.0%} of the other"
    if name == "stretch":
        return f"the transform scales by a factor of {value:.2f}"
    said = {
        "pull": "the metric is not at rest: its next step is {d}",
        "other_metric": "mutual information would move the answer by {d}",
        "exchanged": "with the images exchanged the answer moves by {d}",
        "uncertainty": "noise and differences of the images leave an error of about {d}",
    }[name]
    return said.format(d=f"{distance:.2g} mm" if math.isfinite(distance) else "an unknown distance")


def _next(shares: Mapping[str, float], features: Mapping[str, float], kind: Kind, metric: str) -> tuple[str, ...]:
    """Commands for what weighs most, FIXED and MOVING standing for the images."""
    command = f"medreg register FIXED MOVING -t {kind.value}"
    tries = []
    lost = any(shares.get(name, 0.0) >= WEIGHTY for name in ("agreement", "lead", "explained"))
    if lost or not (features["stretch"] > STRETCH or any(share >= WEIGHTY for share in shares.values())):
        tries += ["medreg info FIXED MOVING", f"{command} --start search"]
        tries.append(f"{command} --fixed-mask auto --moving-mask auto")
    if shares.get("pull", 0.0) >= WEIGHTY:
        tries.append(f"{command} --start transform.tfm")
    if max(shares.get(name, 0.0) for name in ("other_metric", "exchanged")) >= WEIGHTY:
        other = "gradient_fields" if metric == "mutual_information" else "mutual_information"
        tries.append(f"{command} --metric {other}")
    if features["stretch"] > STRETCH and "medreg info FIXED MOVING" not in tries:
        tries.append("medreg info FIXED MOVING")
    if kind not in (Kind.TRANSLATION, Kind.RIGID) and (
        features["stretch"] > STRETCH or shares.get("uncertainty", 0.0) >= WEIGHTY
    ):
        tries.append("medreg register FIXED MOVING -t rigid")
    return tuple(tries)
