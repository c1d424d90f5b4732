"""Trains a warp and a network through a change of colours: slides that lie askew, and where their nuclei are.

    python docs/examples/train_colour.py --out picture.png

Slides stained with haematoxylin and eosin, some of them strongly and some hardly, all lie askew in the same way: turned
by 15 degrees, enlarged, and shifted. Nobody tells the model how. It is one `nn.Sequential`: an `Affine` whose six
numbers are learnt, a `Convert` from RGB to Lab, and a network that judges each pixel's colour alone, so that it cannot
make up for what the warp gets wrong. What comes out is compared with maps of nuclei that lie straight; the gradients
reach the warp through the network and the colours.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from showing import side_by_side
from torch import Tensor, nn

import medreg
from medreg.nn import Affine
from medreg.vision.colour import HE, Colour, Convert, mix

SIZE = 48
GRID = medreg.Grid.regular((SIZE, SIZE), (1.0, 1.0))
ASKEW = (1.0, -5.0, 5.0, 1.0, 3.0, -2.0)
"""Parameters of the `Affine` by which slides lie askew: in pixels, at the picture's middle distance."""


@dataclass(frozen=True)
class Trained:
    """What became of the model.

    Attributes:
        model: slides (N, 3, y, x) in, how surely a pixel is a nucleus (N, 1, y, x) out, as a logit.
        losses: binary cross-entropy, by step.
        before: pixels by which the warp misses at the corners of the frame, at most.
        after: the same when it was learnt.
        overlap: Dice's coefficient of found and true nuclei, of slides that the model has not seen.
        picture: an unseen slide | what the model finds in it | its nuclei.
    """

    model: nn.Sequential
    losses: tuple[float, ...]
    before: float
    after: float
    overlap: float
    picture: medreg.MedImage


def train(steps: int = 120, seed: int = 0) -> Trained:
    """Learn from 100 slides, eight a step."""
    torch.manual_seed(seed)
    slides, nuclei = askew(*tissue(100, seed))
    model = nn.Sequential(
        Affine(GRID, nn.Parameter(torch.zeros(6)), outside=medreg.Edge()),
        Convert(Colour.LAB),
        nn.BatchNorm2d(3),  # L, a and b to about 1
        nn.Conv2d(3, 16, 1),
        nn.ReLU(),
        nn.Conv2d(16, 1, 1),
    )
    warp = model[0]
    optimiser = torch.optim.Adam([{"params": warp.parameters(), "lr": 0.15}, {"params": model[1:].parameters()}], 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    before, losses = missed(warp), []
    for _ in range(steps):
        some = torch.randint(len(slides), (8,))
        loss = nn.functional.binary_cross_entropy_with_logits(model(slides[some]), nuclei[some])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    model.eval()
    with torch.no_grad():
        slides, nuclei = askew(*tissue(20, seed + 1))
        found = torch.sigmoid(model(slides))
    shared = ((found > 0.5) & (nuclei > 0.5)).sum()
    overlap = float(2 * shared / ((found > 0.5).sum() + (nuclei > 0.5).sum()))
    picture = side_by_side(slides[0], found[0].expand(3, -1, -1), nuclei[0].expand(3, -1, -1), times=4)
    return Trained(model, tuple(losses), before, missed(warp), overlap, picture)


def tissue(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Slides (N, 3, y, x), twice as wide as the frame, stained unevenly; and their nuclei (N, 1, y, x)."""
    random = np.random.default_rng(seed)
    y, x = torch.meshgrid(*[torch.arange(2 * SIZE, dtype=torch.float32)] * 2, indexing="ij")
    slides, maps = [], []
    for _ in range(count):
        nuclei, cells = torch.zeros_like(x), torch.zeros_like(x)
        for _ in range(40):
            middle, radius = random.uniform(0, 2 * SIZE, 2), random.uniform(2.5, 4.5)
            away = torch.hypot(x - middle[0], y - middle[1])
            nuclei = torch.maximum(nuclei, torch.sigmoid(2 * (radius - away)))
            cells = torch.maximum(cells, torch.sigmoid((2.2 * radius - away) / 2))
        much, little = random.uniform(0.5, 1.2), random.uniform(0.05, 0.25)
        eosin = random.uniform(0.2, 0.8) * (0.3 + 0.7 * cells)
        amounts = torch.stack([much * nuclei + little * cells, eosin * (1 - 0.5 * nuclei), torch.zeros_like(x)])
        slides.append(mix(amounts, HE, (0.96, 0.93, 0.97)))
        maps.append(nuclei[None])
    return torch.stack(slides), torch.stack(maps)


def askew(slides: Tensor, nuclei: Tensor) -> tuple[Tensor, Tensor]:
    """The slides as they lie, and the nuclei as they should, both cut to the frame."""
    cut = slice(SIZE // 2, SIZE // 2 + SIZE)
    wide = medreg.Grid.regular((2 * SIZE, 2 * SIZE), (1.0, 1.0))
    lying = Affine(wide, list(ASKEW), radius=Affine(GRID).radius)
    return lying(slides)[..., cut, cut], nuclei[..., cut, cut]


def missed(warp: Affine) -> float:
    """Pixels by which what lies askew and is then warped misses its place, at the worst corner of the frame."""
    corners = torch.from_numpy(GRID.corners)
    homogeneous = torch.cat([corners, torch.ones(len(corners), 1)], 1).double()
    lying = Affine(GRID).matrices(torch.tensor(ASKEW, dtype=torch.float64))
    learnt = warp.matrices(next(warp.parameters()).detach().double())
    there = homogeneous @ (lying @ learnt).T
    return float((there[:, :2] - corners).norm(dim=1).max())


def main() -> None:
    """Train, tell, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", help="PNG: an unseen slide, the nuclei that the model finds, and those that it has")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)  # pictures this small give two threads nothing to share
    trained = train(asked.steps, asked.seed)
    first, last = trained.losses[0], sum(trained.losses[-20:]) / 20
    print(trained.model)  # noqa: T201
    print(f"cross-entropy {first:.3f}, after {asked.steps} steps {last:.3f}")  # noqa: T201
    print(f"corners off by {trained.before:.1f} px, then by {trained.after:.2f}")  # noqa: T201
    print(f"nuclei of unseen slides are found with a Dice of {trained.overlap:.3f}")  # noqa: T201
    if asked.out:
        medreg.write_image(trained.picture, asked.out)


if __name__ == "__main__":
    main()
