"""Five pictures as far from the true one by PSNR, and how far they are by SSIM.

    python docs/examples/compare_pictures.py --out picture.png

Brighter, with less contrast, blurred, in blocks, with noise: each fault is made as strong as it must be for a PSNR of
24 dB. The mean squared error cannot tell them apart; SSIM (Wang 2004, doi:10.1109/TIP.2003.819861) does, and the eye
agrees.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from showing import side_by_side
from torch import Tensor

import medreg
from medreg.vision.filters import gaussian
from medreg.vision.statistics import psnr, root_mean_squared_error, ssim

SIDE = 96
WANTED_DB = 24.0
BLOCK = 6


@dataclass(frozen=True)
class Compared:
    """The faults of one picture.

    Attributes:
        psnr: dB by the fault's name.
        ssim: by the fault's name.
        picture: the truth and all faults in a row.
    """

    psnr: dict[str, float]
    ssim: dict[str, float]
    picture: medreg.MedImage


def compare(seed: int = 0) -> Compared:
    """Of the picture and the noise that `seed` draws."""
    random = torch.Generator().manual_seed(seed)
    truth = tissue(random)
    blocks = truth.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).mean((2, 3))
    faults = {
        "brighter": truth + 1,
        "less contrast": truth.mean().expand_as(truth),
        "blurred": gaussian(truth, 2.5, dimension=2),
        "blocks": blocks.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1),
        "noise": truth + torch.randn(SIDE, SIDE, generator=random, dtype=torch.float64),
    }
    wrong = {name: faulty(truth, fault) for name, fault in faults.items()}
    return Compared(
        {name: float(psnr(each, truth, data_range=1.0, dimension=2)) for name, each in wrong.items()},
        {name: float(ssim(each, truth, data_range=1.0, dimension=2)) for name, each in wrong.items()},
        side_by_side(*(each.clamp(0, 1) for each in (truth, *wrong.values())), times=2),
    )


def tissue(random: torch.Generator) -> Tensor:
    """(y, x) patches of four greys with fine grain, 0.2 to 0.8."""
    waves = gaussian(torch.randn(SIDE, SIDE, generator=random, dtype=torch.float64), 5.0, dimension=2)
    patches = torch.bucketize(waves / waves.std(), torch.tensor([-0.7, 0.0, 0.7], dtype=torch.float64)) / 3
    grain = gaussian(torch.randn(SIDE, SIDE, generator=random, dtype=torch.float64), 0.7, dimension=2)
    return (0.25 + 0.5 * patches + 0.06 * grain / grain.std()).clamp(0.05, 0.9)


def faulty(truth: Tensor, fault: Tensor) -> Tensor:
    """The truth, so far on its way to a fault that the PSNR is the wanted one."""
    error = root_mean_squared_error(fault, truth, dimension=2)
    return truth + (fault - truth) * 10 ** (-WANTED_DB / 20) / error


def main() -> None:
    """Compare, tell, and write the picture."""
    parser = argparse.ArgumentParser(description="Faults of one PSNR, told apart by SSIM.")
    parser.add_argument("--seed", type=int, default=0, help="another picture, other noise")
    parser.add_argument("--out", help="PNG of truth | brighter | less contrast | blurred | blocks | noise")
    given = parser.parse_args()
    found = compare(given.seed)
    for name, value in found.ssim.items():
        print(f"{name}: PSNR {found.psnr[name]:.1f} dB, SSIM {value:.2f}")  # noqa: T201
    if given.out:
        medreg.write_image(found.picture, given.out)


if __name__ == "__main__":
    main()
