"""Trains through medreg's torch modules: a small network learns to stand pictures upright.

    python docs/examples/train_modules.py --out picture.png

Pictures of one thing, each turned by an unknown angle and shifted a little, go through one `nn.Sequential`: a `Smooth`,
whose width is learnt, too, and a `Rotate`, whose angles a network predicts from the smoothed pictures. Nobody tells it
an angle: what comes out is compared with the upright picture alone, and the gradients reach the network through the
resampler. At the end it is tried on pictures that it has not seen.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import torch
from showing import side_by_side
from torch import Tensor, nn

import medreg
from medreg.nn import Affine, Rotate, Smooth

SIZE = 32
GRID = medreg.Grid.regular((SIZE, SIZE), (1.0, 1.0))
LARGEST = 60.0
"""Degrees: pictures are turned by up to so much, one way or the other."""


@dataclass(frozen=True)
class Trained:
    """What became of the model.

    Attributes:
        model: pictures (N, 1, y, x) in, upright and smoothed out.
        before: root mean square of the angles by which unseen pictures are turned, degrees.
        after: the same when the model has turned them back.
        losses: mean squared errors against the upright picture, by step.
        picture: three unseen pictures | what the model makes of them.
    """

    model: nn.Sequential
    before: float
    after: float
    losses: tuple[float, ...]
    picture: medreg.MedImage


def train(steps: int = 200, seed: int = 0) -> Trained:
    """Learn from 200 pictures, eight a step."""
    torch.manual_seed(seed)
    upright = figure()
    pictures, _ = turned(upright, 200)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (SIZE // 4) ** 2, 32),
        nn.ReLU(),
        nn.Linear(32, 1),
        Degrees(),
    )
    model = nn.Sequential(
        Smooth(GRID, nn.Parameter(torch.tensor(1.5))),  # broad at first: pictures that do not overlap feel no pull
        Rotate(GRID, network, outside=medreg.Edge()),
    )
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for _ in range(steps):
        loss = (model(pictures[torch.randint(200, (8,))]) - upright).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        unseen, angles = turned(upright, 100)
        left = angles + network(model[0](unseen))
        shown = torch.cat([unseen[:3], model(unseen)[:3]])
    return Trained(model, _rms(angles), _rms(left), tuple(losses), side_by_side(*shown, times=4))


class Degrees(nn.Module):
    """Numbers of about 1 to angles of about `LARGEST`: a degree moves a picture little."""

    def forward(self, values: Tensor) -> Tensor:
        """The values in degrees."""
        return values * LARGEST


def figure() -> Tensor:
    """The upright picture (1, 1, y, x): an F, soft at its edges."""
    picture = torch.zeros(1, 1, SIZE, SIZE)
    picture[..., 7:25, 11:14] = 1.0
    picture[..., 7:10, 11:22] = 1.0
    picture[..., 14:17, 11:19] = 1.0
    return Smooth(GRID, 0.7)(picture)


def turned(upright: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Random pictures (N, 1, y, x), shifted by up to half a pixel and turned, and by how much (N, 1), in degrees."""
    angles = (torch.rand(count, 1) * 2 - 1) * LARGEST
    shifts = torch.cat([torch.zeros(count, 4), torch.rand(count, 2) - 0.5], 1)
    pictures = Affine(GRID)(upright.expand(count, -1, -1, -1), shifts)
    return Rotate(GRID)(pictures, angles), angles


def _rms(angles: Tensor) -> float:
    return math.sqrt(float(angles.square().mean()))


def main() -> None:
    """Train, tell, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="PNG: three unseen pictures, and what the model makes of them")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)  # pictures this small give two threads nothing to share
    trained = train(asked.steps, asked.seed)
    first, last = trained.losses[0], sum(trained.losses[-20:]) / 20
    turned_by = f"turned by {trained.before:.1f} degrees (root mean square), then by {trained.after:.2f}"
    print(trained.model)  # noqa: T201
    print(f"mean squared error {first:.5f}, after {asked.steps} steps {last:.5f}")  # noqa: T201
    print(f"unseen pictures are {turned_by}")  # noqa: T201
    if asked.out:
        medreg.write_image(trained.picture, asked.out)


if __name__ == "__main__":
    main()
