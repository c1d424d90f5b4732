"""The loop for tensors that autograd finds slopes of: a network's weights, the voxels of a picture, a pose.

Torch's own rules take the steps; around them the loop clips, lets the rate fade, keeps the best that it saw, and knows
when to end. It yields; the caller watches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.optimise.record import Outcome

EPS = 1e-18
"""Of Adam and RMSprop, against a division by 0. Torch's 1e-8 would slow them where slopes are small: those of a mean
over the voxels of a volume are about the error over their number."""

STEEP = 1e5
"""Length of the slope at the start as torch's L-BFGS sees it. It does not learn from a step whose product with the
change of slope is below 1e-10, whatever the unit: of small values, or of a mean over many, it would learn nothing. Much
more, and products of slopes overflow in float32."""


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015, doi:10.48550/arXiv.1412.6980. The rate is about the first step of every number."""

    rate: float = 0.05


@dataclass(frozen=True)
class RMSprop:
    """Tieleman and Hinton 2012: each number's slope over the running root mean square of it."""

    rate: float = 0.01


@dataclass(frozen=True)
class SGD:
    """The slope times the rate, with heavy-ball momentum (doi:10.1016/0041-5553(64)90137-5)."""

    rate: float
    momentum: float = 0.9


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS with a line search after Wolfe (doi:10.1007/BF01589116): needs no rate.

    Attributes:
        memory: how many of the last steps tell the curvature.
    """

    memory: int = 10


Method: TypeAlias = Adam | RMSprop | SGD | LBFGS


@dataclass(frozen=True)
class ClipNorm:
    """The slope, of all tensors together, is shortened to this length where it is longer; its direction stays."""

    limit: float


@dataclass(frozen=True)
class ClipValue:
    """Each number of the slope is cut to this size."""

    limit: float


Clip: TypeAlias = ClipNorm | ClipValue


@dataclass(frozen=True)
class Descent:
    """How to go down, and how far.

    Attributes:
        method: the rule that takes the steps.
        evaluations: most times that the loss and its slope are computed, after the start.
        clip: what shortens a slope that explodes; for rules of first order.
        fade: share of the rate that is left at the end, on half a cosine (doi:10.48550/arXiv.1608.03983); for rules of
            first order.
        window: evaluations without a gain after which it ends.
        gain: share of the loss by which it must fall for that to count; 0 counts any.

    Raises:
        UsageError: no such method or clip, numbers out of range, or a clip for L-BFGS, whose memory is of whole slopes.
    """

    method: Method = field(default_factory=LBFGS)
    evaluations: int = 200
    clip: Clip | None = None
    fade: float = 0.05
    window: int = 20
    gain: float = 1e-5

    def __post_init__(self) -> None:
        """Checks."""
        _check_method(self.method)
        if self.clip is not None:
            _check_clip(self.clip, self.method)
        if self.evaluations < 1 or self.window < 1 or not 0 <= self.fade <= 1 or not 0 <= self.gain < 1:
            raise UsageError(
                "a descent takes evaluations and a window of 1 or more, a fade from 0 to 1 and a gain of 0 or more, "
                f"below 1, got evaluations={self.evaluations}, window={self.window}, fade={self.fade}, gain={self.gain}"
            )


@dataclass(frozen=True)
class Look:
    """One evaluation.

    Attributes:
        number: from 0, the start.
        value: the loss.
        slope: length of its slope by all tensors together, before any clip.
    """

    number: int
    value: float
    slope: float


def descend(
    tensors: Sequence[Tensor], evaluate: Callable[[], float | Outcome], how: Descent
) -> Iterator[Look | Outcome]:
    """Yield each evaluation, the start first, and last the outcome. The tensors are left at the best that was seen.

    Args:
        tensors: that want gradients; changed in place.
        evaluate: adds its slopes to the tensors' `grad`, which is empty then, and returns the loss; or an outcome, if
            this is no place to go on from.
        how: rule and limits.
    """
    rule = _rule(how.method, tensors)
    fading = torch.optim.lr_scheduler.LambdaLR(
        rule, lambda n: how.fade + (1 - how.fade) * (1 + math.cos(math.pi * n / how.evaluations)) / 2
    )
    seen = _Seen(tensors, evaluate, how)
    outcome: Outcome | None = None
    while True:
        told = len(seen.looks)
        try:
            rule.step(seen.look)  # of L-BFGS a few steps, with the evaluations of their line searches
        except _Ended as ended:
            outcome = ended.outcome
        yield from seen.looks[told:]
        if outcome is not None:
            break
        if not isinstance(how.method, LBFGS):
            fading.step()
    seen.restore()
    yield outcome


class _Ended(Exception):  # noqa: N818 - an end is no error
    """Out of torch's rule, with why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class _Seen:
    """Evaluates, counts, and keeps the best."""

    def __init__(self, tensors: Sequence[Tensor], evaluate: Callable[[], float | Outcome], how: Descent) -> None:
        self.tensors, self.evaluate, self.how = tensors, evaluate, how
        self.looks: list[Look] = []
        self.best, self.kept = math.inf, [t.detach().clone() for t in tensors]
        self.mark, self.since = math.inf, 0
        self.scale = 1.0

    def look(self) -> float:
        """The loss, with its slope in the tensors' `grad`; for L-BFGS both times what `STEEP` asks for.

        Raises:
            _Ended: when it is time to.
        """
        for tensor in self.tensors:
            tensor.grad = None
        value = self.evaluate()
        if isinstance(value, Outcome):
            raise _Ended(value)
        slopes = [t.grad for t in self.tensors if t.grad is not None]
        slope = float(torch.stack([s.norm() for s in slopes]).norm()) if slopes else 0.0
        if not (math.isfinite(value) and math.isfinite(slope)):
            raise _Ended(Outcome.DIVERGED)
        if not self.looks and slope and isinstance(self.how.method, LBFGS):
            self.scale = STEEP / slope
        self.looks.append(Look(len(self.looks), value, slope))
        self.since += 1
        if self.mark - value > self.how.gain * abs(value):
            self.mark, self.since = value, 0
        if value < self.best:
            self.best, self.kept = value, [t.detach().clone() for t in self.tensors]
        if self.since >= self.how.window:
            raise _Ended(Outcome.FLAT)
        if len(self.looks) > self.how.evaluations:
            raise _Ended(Outcome.STEPS_SPENT)
        _shorten(slopes, slope, self.how.clip)
        if self.scale != 1:
            for each in slopes:
                each.mul_(self.scale)
        return self.scale * value

    def restore(self) -> None:
        """Back to the best."""
        with torch.no_grad():
            for tensor, kept in zip(self.tensors, self.kept, strict=True):
                tensor.copy_(kept)
                tensor.grad = None


def _shorten(slopes: Sequence[Tensor], length: float, clip: Clip | None) -> None:
    """In place."""
    match clip:
        case ClipNorm(limit) if length > limit:
            for slope in slopes:
                slope.mul_(limit / length)
        case ClipValue(limit):
            for slope in slopes:
                slope.clamp_(-limit, limit)


def _check_method(method: object) -> None:
    if not isinstance(method, Method):
        raise UsageError(f"method: takes LBFGS(), Adam(rate), RMSprop(rate) or SGD(rate, momentum), got {method!r}")
    if isinstance(method, LBFGS):
        if method.memory < 1:
            raise UsageError(f"memory: takes a whole number, 1 or more, got {method.memory}")
        return
    if not 0 < method.rate < math.inf:
        raise UsageError(f"rate: takes a number above 0, got {method.rate}")
    if isinstance(method, SGD) and not 0 <= method.momentum < 1:
        raise UsageError(f"momentum: takes a number from 0 to below 1, got {method.momentum}")


def _check_clip(clip: object, method: Method) -> None:
    if not isinstance(clip, Clip):
        raise UsageError(f"clip: takes ClipNorm(limit), ClipValue(limit) or None, got {clip!r}")
    if isinstance(method, LBFGS):
        raise UsageError("clip: serves Adam, RMSprop and SGD; the line search of L-BFGS bounds its own steps")
    if not clip.limit > 0:
        raise UsageError(f"clip: takes a limit above 0, got {clip.limit}")


def _rule(method: Method, tensors: Sequence[Tensor]) -> torch.optim.Optimizer:
    match method:
        case Adam(rate):
            return torch.optim.Adam(tensors, rate, eps=EPS)
        case RMSprop(rate):
            return torch.optim.RMSprop(tensors, rate, eps=EPS)
        case SGD(rate, momentum):
            return torch.optim.SGD(tensors, rate, momentum)
        case LBFGS(memory):
            return torch.optim.LBFGS(
                tensors,
                max_iter=20,
                history_size=memory,
                line_search_fn="strong_wolfe",
                tolerance_grad=0.0,  # torch's own are absolute, so that they depend on the unit of the loss
                tolerance_change=0.0,
            )
