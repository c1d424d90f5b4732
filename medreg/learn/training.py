"""Training: the loop yields epochs; whoever calls it watches, saves and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from medreg.errors import UsageError
from medreg.learn import measures
from medreg.learn.measures import Row
from medreg.learn.motions import Samples, drawn
from medreg.learn.network import Standardise, count_of, model_for
from medreg.learn.phantoms import phantom_of
from medreg.learn.settings import Settings
from medreg.nn import Warp


@dataclass(frozen=True)
class Epoch:
    """One pass through all images.

    Attributes:
        number: from 1.
        train: mean of the loss (MSE) over the images as they came by, so with the weights of that moment.
        test: the model at the epoch's end, on the images that it has not seen.
        seconds: of the pass and of the look at the test images.
    """

    number: int
    train: float
    test: Row
    seconds: float


@dataclass(frozen=True)
class Frame:
    """What the epochs are held against, of one set of images.

    Attributes:
        baseline: the moved images as they are.
        oracle: the exact inverse motions through the same resampler.
        empty: an image of zeros.
    """

    baseline: Row
    oracle: Row
    empty: Row


@dataclass(eq=False)
class Training:
    """A model, its images, and how far it is; made by `begin`, and moved on by `epochs`.

    Attributes:
        settings: all choices.
        phantom: (1, z, y, x), what the moved images should become.
        train: images to learn from.
        test: images to look at.
        model: images in, images moved back out.
        optimiser: Adam.
        history: the epochs that are done.
    """

    settings: Settings
    phantom: Tensor
    train: Samples
    test: Samples
    model: Warp
    optimiser: torch.optim.Adam
    history: list[Epoch] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Numbers that are learnt."""
        return count_of(self.model)

    def frame(self, samples: Samples) -> Frame:
        """Baseline, oracle and empty image of the one or the other set."""
        return Frame(
            measures.uncorrected(samples, self.phantom, self.settings),
            measures.oracle(samples, self.phantom, self.settings),
            measures.empty(self.phantom),
        )

    def epochs(self) -> Iterator[Epoch]:
        """Train on, and yield each epoch when it is done, until all are.

        Raises:
            UsageError: the network predicts what is not finite: the learning rate is too high.
        """
        while len(self.history) < self.settings.epochs:
            yield self._epoch()

    def _epoch(self) -> Epoch:
        started, number = time.perf_counter(), len(self.history)
        batches = torch.split(order_of(self.settings, number), self.settings.batch)
        total = torch.zeros((), dtype=torch.float64)
        for k, batch in enumerate(batches):
            done = (number + k / len(batches)) / self.settings.epochs
            total += self._step(batch, rate_at(self.settings.learning_rate, done)).cpu() * len(batch)
        row = measures.corrected(self.model, self.test, self.phantom, self.settings)
        epoch = Epoch(number + 1, float(total) / self.settings.images, row, time.perf_counter() - started)
        self.history.append(epoch)
        return epoch

    def _step(self, batch: Tensor, rate: float) -> Tensor:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images = self.train.images[batch.to(self.train.images.device)]
        assert self.model.predictor is not None
        motions = self.model.predictor(images)
        if not bool(motions.detach().isfinite().all()):
            raise UsageError(
                f"the training has diverged in epoch {len(self.history) + 1}: the network predicts no finite motion; "
                f"take a smaller --learning-rate than {self.settings.learning_rate:g}"
            )
        loss = measures.squared(self.model(images, motions), self.phantom).mean()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()


def begin(settings: Settings, device: str = "cpu") -> Training:
    """A training at its start: images drawn, the model made, nothing learnt.

    Example:
        >>> training = begin(Settings.of("line", images=4, test_images=2, epochs=2))
        >>> training.parameters
        19859
        >>> [epoch.number for epoch in training.epochs()]
        [1, 2]
    """
    train, test = drawn(settings)
    deviation, mean = torch.std_mean(train.images)
    model = model_for(settings, Standardise(float(mean), float(deviation))).to(device)
    fused = torch.device(device).type in ("cpu", "cuda")  # one call for all tensors: a sixth of the time on a CPU
    optimiser = torch.optim.Adam(model.parameters(), settings.learning_rate, fused=fused)
    phantom = phantom_of(settings.phantom, settings.size).to(device)
    return Training(settings, phantom, train.to(device), test.to(device), model, optimiser)


def rate_at(start: float, done: float) -> float:
    """The rate once a share `done` of the steps is taken: half a cosine (Loshchilov 2017, arXiv:1608.03983)."""
    return 0.5 * start * (1 + math.cos(math.pi * done))


def order_of(settings: Settings, epoch: int) -> Tensor:
    """The order of the images in an epoch, counted from 0: its own generator, so that a resumed run needs no state."""
    generator = torch.Generator().manual_seed((settings.seed + 1) * 1_000_003 + epoch)
    return torch.randperm(settings.images, generator=generator)
