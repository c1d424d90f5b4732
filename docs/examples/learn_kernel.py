"""Learns a 5 x 5 kernel from one image and what the kernel made of it, by gradient descent through medreg's filter.

    python docs/examples/learn_kernel.py --out picture.png

The kernel is drawn: a slanted edge finder with some noise on it. Nothing is known of it but its size; the descent
starts from nothing, and the border is mirrored, as it was when the picture was made.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from showing import enlarged, side_by_side
from torch import Tensor

import medreg
from medreg.vision.filters import filter, gaussian

SIDE, ENLARGED, GAP = 60, 4, 8
"""Pixels of the image along a side, of the picture for each of them, and of the white between pictures."""
SIZE = 5


@dataclass(frozen=True)
class Learnt:
    """What became of the kernel.

    Attributes:
        truth: (5, 5) the taps that were to be found.
        kernel: (5, 5) those that were.
        losses: mean squared differences of what both make of the image, at the start and after each step.
        picture: the image | what the kernel made of it | the kernel | the kernel found.
    """

    truth: Tensor
    kernel: Tensor
    losses: tuple[float, ...]
    picture: medreg.MedImage

    @property
    def worst(self) -> float:
        """The largest error of a tap."""
        return float((self.kernel - self.truth).abs().max())


def learn(seed: int = 0) -> Learnt:
    """The kernel that `seed` draws, from an image that it draws, too."""
    random = torch.Generator().manual_seed(seed)
    image = blobs(random)
    truth = torch.linspace(-1, 1, SIZE).add(torch.linspace(-1, 1, SIZE)[:, None]).double() / 4
    truth += 0.1 * torch.randn(SIZE, SIZE, generator=random, dtype=torch.float64)
    seen = filter(image, truth)
    kernel = torch.zeros(SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([kernel], max_iter=20, history_size=25, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = (filter(image, kernel) - seen).square().mean()
        value.backward()
        return value

    losses = [loss().item()]
    for _ in range(10):
        descent.step(loss)
        losses.append(loss().item())
    found = kernel.detach()
    shown = [normal(image), normal(seen), *(grown(one, truth.abs().max()) for one in (truth, found))]
    return Learnt(truth, found, tuple(losses), side_by_side(*shown, gap=GAP))


def blobs(random: torch.Generator) -> Tensor:
    """(y, x) bright and dark patches with grain on them: what a kernel does shows at every scale."""
    noise = torch.randn(2, SIDE, SIDE, generator=random, dtype=torch.float64)
    return gaussian(noise[0], 4.0, dimension=2).mul(20).sign() + 0.2 * noise[1]


def normal(image: Tensor) -> Tensor:
    """Its values from 0 to 1, enlarged."""
    low, high = torch.aminmax(image)
    return enlarged((image - low) / (high - low), ENLARGED)


def grown(kernel: Tensor, most: Tensor) -> Tensor:
    """A kernel as large as an image: grey is 0, white the largest tap."""
    return enlarged((kernel / most + 1) / 2, SIDE * ENLARGED // SIZE)


def main() -> None:
    """Descend, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Learn a kernel from an image and what the kernel made of it.")
    parser.add_argument("--seed", type=int, default=0, help="another image and another kernel")
    parser.add_argument("--out", help="PNG of image | filtered image | kernel | kernel found")
    given = parser.parse_args()
    learnt = learn(given.seed)
    print(f"mean squared difference {learnt.losses[0]:.2e} -> {learnt.losses[-1]:.2e}")  # noqa: T201
    print(f"largest error of a tap {learnt.worst:.1e}, of taps up to {float(learnt.truth.abs().max()):.2f}")  # noqa: T201
    if given.out:
        medreg.write_image(learnt.picture, given.out)


if __name__ == "__main__":
    main()
