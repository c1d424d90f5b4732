"""Rules that turn a gradient into a step. Parameters are millimetre-balanced, so a step length is about a distance.

Second-order rules take a step only if the metric falls; first-order rules always step and keep the best they saw.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from medreg.optimise.problem import Evaluation
from medreg.types import FloatArray


class Rule(Protocol):
    """Chooses steps. `monotone` rules are asked again (after `shrink`) when their step raised the metric."""

    monotone: bool

    def propose(self, here: Evaluation) -> FloatArray:
        """(P,) the next step from `here`."""
        ...

    def learn(self, step: FloatArray, before: Evaluation, after: Evaluation) -> None:
        """Told of each step taken."""
        ...

    def shrink(self) -> None:
        """Told that the last proposal raised the metric."""
        ...


class GaussNewton:
    """Levenberg-Marquardt (doi:10.1137/0111030) with a quasi-Newton correction.

    The Gauss-Newton (or Fisher) matrix preconditions the gradient; on images that differ (two people, two contrasts) it
    bends more sharply than the metric does, and bare Gauss-Newton creeps. So the last few steps and gradient changes
    correct it by the L-BFGS recursion, with the inverse of the damped Gauss-Newton matrix in place of the usual scaled
    identity.
    """

    monotone = True

    def __init__(self, memory: int = 5, longest_mm: float = 20.0) -> None:
        self.damping = 1e-3
        self.longest_mm = longest_mm
        self.pairs: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=memory)

    def propose(self, here: Evaluation) -> FloatArray:
        """See `Rule`."""
        diagonal = np.diag(here.curvature)
        floor = 1e-9 * max(float(diagonal.max()), 1e-30)
        inverse = np.asarray(np.linalg.inv(here.curvature + np.diag(self.damping * diagonal + floor)), dtype=np.float64)
        step = -two_loop(here.gradient, list(self.pairs), inverse)
        if step @ here.gradient >= 0:  # a correction from another valley: forget it
            self.pairs.clear()
            step = -inverse @ here.gradient
        return shortened(step, self.longest_mm)

    def learn(self, step: FloatArray, before: Evaluation, after: Evaluation) -> None:
        """See `Rule`."""
        self.damping = max(self.damping / 5, 1e-6)
        remember(self.pairs, step, before, after)

    def shrink(self) -> None:
        """See `Rule`."""
        self.pairs.clear()
        self.damping = max(self.damping * 10, 1e-2)


class LBFGS:
    """Limited-memory BFGS (doi:10.1007/BF01589116) whose step is quartered where the metric rises."""

    monotone = True

    def __init__(self, history: int = 10, longest_mm: float = 5.0) -> None:
        self.pairs: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=history)
        self.longest_mm = longest_mm
        self.share = 1.0

    def propose(self, here: Evaluation) -> FloatArray:
        """See `Rule`."""
        size = len(here.gradient)
        if self.pairs:
            s, y = self.pairs[-1]
            scale = float(s @ y / (y @ y))
        else:
            scale = 1.0 / max(float(np.linalg.norm(here.gradient)), 1e-30)  # first step: one millimetre
        step = -two_loop(here.gradient, list(self.pairs), np.eye(size) * scale)
        return shortened(step, self.longest_mm) * self.share

    def learn(self, step: FloatArray, before: Evaluation, after: Evaluation) -> None:
        """See `Rule`."""
        self.share = 1.0
        remember(self.pairs, step, before, after)

    def shrink(self) -> None:
        """See `Rule`."""
        self.share /= 4


class FirstOrder:
    """Adam, RMSprop and SGD: running means of the gradient and of its square, told apart by their decays.

    The gradient is divided by its norm at the first step, so that a learning rate in millimetres suits every metric.
    """

    monotone = False

    def __init__(
        self,
        learning_rate_mm: float,
        *,
        momentum: float,
        square_decay: float | None,
        clip_norm: float | None = None,
    ) -> None:
        self.rate, self.momentum, self.square_decay = learning_rate_mm, momentum, square_decay
        self.clip_norm = clip_norm
        self.scale = 0.0
        self.mean: FloatArray = np.zeros(0)
        self.square: FloatArray = np.zeros(0)
        self.count = 0

    @staticmethod
    def adam(learning_rate_mm: float, clip_norm: float | None = None) -> FirstOrder:
        """Kingma and Ba 2015, doi:10.48550/arXiv.1412.6980."""
        return FirstOrder(learning_rate_mm, momentum=0.9, square_decay=0.999, clip_norm=clip_norm)

    @staticmethod
    def rmsprop(learning_rate_mm: float, clip_norm: float | None = None) -> FirstOrder:
        """Tieleman and Hinton 2012, with the square's mean corrected for its start at zero."""
        return FirstOrder(learning_rate_mm, momentum=0.0, square_decay=0.99, clip_norm=clip_norm)

    @staticmethod
    def sgd(learning_rate_mm: float, momentum: float, clip_norm: float | None = None) -> FirstOrder:
        """Gradient descent with heavy-ball momentum; the rate is the first step's length in millimetres."""
        return FirstOrder(learning_rate_mm, momentum=momentum, square_decay=None, clip_norm=clip_norm)

    def propose(self, here: Evaluation) -> FloatArray:
        """See `Rule`."""
        if self.count == 0:
            self.scale = 1.0 / max(float(np.linalg.norm(here.gradient)), 1e-30)
            self.mean, self.square = np.zeros_like(here.gradient), np.zeros_like(here.gradient)
        self.count += 1
        gradient = clipped(here.gradient * self.scale, self.clip_norm)
        self.mean = self.momentum * self.mean + (1 - self.momentum) * gradient
        if self.square_decay is None:
            return -self.rate * self.mean
        self.square = self.square_decay * self.square + (1 - self.square_decay) * gradient**2
        mean = self.mean / (1 - self.momentum**self.count)  # both means began at zero
        square = self.square / (1 - self.square_decay**self.count)
        return -self.rate * mean / (np.sqrt(square) + 1e-8)

    def learn(self, step: FloatArray, before: Evaluation, after: Evaluation) -> None:
        """Nothing: the running means are kept by `propose`."""

    def shrink(self) -> None:
        """Never called: first-order rules are not monotone."""


def two_loop(gradient: FloatArray, pairs: list[tuple[FloatArray, FloatArray]], inverse: FloatArray) -> FloatArray:
    """The L-BFGS product (inverse Hessian) @ gradient, from (step, gradient change) pairs and a first inverse."""
    q = gradient.copy()
    shares = []
    for s, y in reversed(pairs):
        share = float(s @ q) / float(s @ y)
        q -= share * y
        shares.append(share)
    r: FloatArray = inverse @ q
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        r = r + (share - float(y @ r) / float(s @ y)) * s
    return r


def remember(
    pairs: deque[tuple[FloatArray, FloatArray]], step: FloatArray, before: Evaluation, after: Evaluation
) -> None:
    """Keep a step and its change of gradient, if the metric curved upwards along it."""
    change = after.gradient - before.gradient
    if float(step @ change) > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
        pairs.append((step, change))


def clipped(gradient: FloatArray, norm: float | None) -> FloatArray:
    """The gradient, or the same direction with length `norm` where it is longer."""
    length = float(np.linalg.norm(gradient))
    return gradient if norm is None or length <= norm else gradient * (norm / length)


def shortened(step: FloatArray, longest_mm: float) -> FloatArray:
    """The step, or the same direction with its largest parameter at `longest_mm`."""
    largest = float(np.abs(step).max())
    return step if largest <= longest_mm else step * (longest_mm / largest)
