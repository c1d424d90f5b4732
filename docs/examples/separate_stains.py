"""Takes the stains of a slide apart, by vectors that are found in the slide itself.

    python docs/examples/separate_stains.py --out picture.png
    python docs/examples/separate_stains.py --slide slide.jpg --dyes hdab --out picture.png

Without a slide one is drawn: nuclei in haematoxylin, cells in eosin, dyes whose colours are not quite those of the
book, a background that is not quite white, and noise. Then it is known what each pixel holds, and the example tells how
far it is missed by the book's vectors and by the found ones. The picture shows the slide and each stain alone: by the
vectors of the book above, by the found ones below.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from showing import joined, stored
from torch import Tensor

import medreg
from medreg.vision.colour import HDAB, HE, NonNegative, Stains, as_bytes, estimate_stains, mix, unmix

SIZE = 160
DYES = {"he": HE, "hdab": HDAB}
TRUTH = Stains(HE.names, ((0.56, 0.70, 0.44), (0.17, 0.88, 0.44)))
"""The dyes of the slide that is drawn: 10 and 21 degrees from the book's."""

LIGHT = (0.96, 0.94, 0.97)
"""And the light beside its tissue."""


@dataclass(frozen=True)
class Separated:
    """What was found in a slide.

    Attributes:
        found: the dyes' vectors.
        left: root mean square of the density that the two dyes do not explain, by the book's vectors and by the found.
        picture: two rows, the slide and each stain alone: by the book's vectors, and by the found ones.
        book: the amounts by the book's vectors.
        amounts: those by the found ones.
    """

    found: Stains
    left: tuple[float, float]
    picture: medreg.MedImage
    book: Tensor
    amounts: Tensor


def separate(slide: medreg.MedImage, dyes: Stains) -> Separated:
    """Estimate the vectors, and take the stains apart by them and by those of the book."""
    light = brightest(slide)
    found = estimate_stains(slide, dyes, light)
    shown = slide.data / 255 if slide.data.dtype == torch.uint8 else slide.data
    rows, amounts = [], []
    for stains in (dyes, found):
        held = unmix(slide, stains, light, amounts=NonNegative())
        alone = [mix(held.data * only, stains, light) for only in torch.eye(3)[:2, :, None, None]]
        rows.append(joined([shown, *alone], 2))
        amounts.append(held.data)
    left = tuple(float(held[2].square().mean().sqrt()) for held in amounts)
    return Separated(found, (left[0], left[1]), stored(joined(rows, 1)), *amounts)


def brightest(slide: medreg.MedImage) -> Tensor:
    """(3,) the light that 1 % of the pixels exceed, in each channel: that beside the tissue."""
    data = slide.data.flatten(1).double() / (255 if slide.data.dtype == torch.uint8 else 1)
    return data.kthvalue(max(1, int(0.99 * data.shape[1])), 1).values


def drawn(seed: int = 0) -> tuple[medreg.MedImage, Tensor]:
    """A slide with `TRUTH`'s dyes, as bytes; and the amounts (2, y, x) that it holds."""
    random = np.random.default_rng(seed)
    y, x = torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float32)] * 2, indexing="ij")
    nuclei, cells = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(120):
        middle, radius = random.uniform(0, SIZE, 2), random.uniform(3, 6)
        away = torch.hypot(x - middle[0], y - middle[1])
        nuclei = torch.maximum(nuclei, float(random.uniform(0.6, 1)) * torch.sigmoid(2 * (radius - away)))
        if random.uniform() < 0.7:  # some nuclei lie bare
            cells = torch.maximum(cells, float(random.uniform(0.5, 1)) * torch.sigmoid(2.3 * radius - away))
    amounts = torch.stack([0.8 * nuclei, 0.6 * cells * (1 - nuclei), torch.zeros_like(x)])
    seen = mix(amounts, TRUTH, LIGHT) + 0.004 * torch.from_numpy(random.standard_normal((3, SIZE, SIZE))).float()
    return as_bytes(medreg.MedImage.on(medreg.Grid.regular((SIZE, SIZE), (1.0, 1.0)), seen)), amounts[:2]


def main() -> None:
    """Separate, tell, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", help="an RGB picture; one is drawn where none is given")
    parser.add_argument("--dyes", choices=sorted(DYES), default="he", help="haematoxylin with eosin, or with DAB")
    parser.add_argument("--seed", type=int, default=0, help="another drawing")
    parser.add_argument("--out", help="PNG: the slide and its stains, by the book's vectors above, by the found below")
    asked = parser.parse_args()
    dyes = DYES[asked.dyes] if asked.slide else HE
    slide, truth = (medreg.read_image(asked.slide), None) if asked.slide else drawn(asked.seed)
    separated = separate(slide, dyes)
    for name, vector in zip(separated.found.names, separated.found.vectors, strict=True):
        print(f"{name}: red {vector[0]:.3f}, green {vector[1]:.3f}, blue {vector[2]:.3f}")  # noqa: T201
    book, found = separated.left
    print(f"density that two dyes leave unexplained: {book:.4f} by the book, {found:.4f} by what was found")  # noqa: T201
    if truth is not None:
        book, found = (float((a[:2] - truth).abs().mean()) for a in (separated.book, separated.amounts))
        print(f"amounts are off by {book:.4f} by the book, {found:.4f} by what was found")  # noqa: T201
    if asked.out:
        medreg.write_image(separated.picture, asked.out)


if __name__ == "__main__":
    main()
