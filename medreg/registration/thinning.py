"""The same problem with fewer samples: for what a part of them tells as well as all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from medreg.registration import recipe
from medreg.registration.measures import measure_for
from medreg.registration.problem import BothWays, OneWay
from medreg.registration.samples import LEAST
from medreg.registration.term import Term


def thinned(problem: OneWay | BothWays, metric: recipe.Metric, count: int) -> OneWay | BothWays:
    """The problem with about `count` of the samples of each term, evenly over them; patches stay whole.

    Args:
        problem: any metrics, one way or both.
        metric: the recipe of it.
        count: how many are wanted; a term that has no more is taken as it is.
    """
    each = [weighted.metric for weighted in recipe.weighted(metric)]

    def fewer(terms: Sequence[Term]) -> list[Term]:
        return [_fewer(term, one, count) for term, one in zip(terms, each, strict=True)]

    if isinstance(problem, OneWay):
        return OneWay(fewer(problem.terms), problem.kind)
    return BothWays(fewer(problem.forward), fewer(problem.backward), problem.kind)


def _fewer(term: Term, metric: recipe.SingleMetric, count: int) -> Term:
    samples = term.samples
    run = metric.patch ** (samples.homogeneous.shape[1] - 1) if isinstance(metric, recipe.LocalCorrelation) else 1
    stride = max(1, min(len(samples) // max(count, run), len(samples) // (run * LEAST)))
    if stride == 1:
        return term
    whole = len(samples) // run * run
    values = samples.values[:, :whole].reshape(len(samples.values), -1, run)[:, ::stride].flatten(1).contiguous()
    homogeneous = samples.homogeneous[:whole].reshape(whole // run, run, -1)[::stride].flatten(0, 1).contiguous()
    few = replace(samples, values=values, homogeneous=homogeneous)
    return Term(few, term.moving, measure_for(metric, few, term.moving.volume), term.weight)
