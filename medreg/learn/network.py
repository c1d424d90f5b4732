"""The model: a small network looks at an image and says how to move it; medreg's resampler moves it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medreg.learn.motions import ANGLE, STRETCH
from medreg.learn.phantoms import centre_of, grid_of
from medreg.learn.settings import Settings
from medreg.nn import Affine, Rotate, Warp
from medreg.sample import Edge

CHANNELS = (8, 16, 32)
HIDDEN = 64


class Standardise(nn.Module):
    """(values - mean) / deviation, of the images that are trained on: two numbers that are kept with the model."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: float = 0.0, deviation: float = 1.0) -> None:
        """See the class."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))

    def forward(self, images: Tensor) -> Tensor:
        """The images, standardised."""
        return (images - self.mean) / self.deviation


class InUnitsOf(nn.Module):
    """What comes in, times a unit, so that the numbers of the layer before are about 1."""

    def __init__(self, unit: float) -> None:
        """See the class."""
        super().__init__()
        self.unit = unit

    def forward(self, values: Tensor) -> Tensor:
        """The values in their unit."""
        return values * self.unit

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return f"{self.unit:g}"


def model_for(settings: Settings, standardise: Standardise | None = None) -> Warp:
    """A spatial transformer (Jaderberg et al. 2015, arXiv:1506.02025): images in, images moved back out.

    Its first weights are the seed's, and its first motion is none: the last layer starts at 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = _network(settings, standardise or Standardise())
    make = Rotate if settings.model == "rotation" else Affine
    centre = centre_of(settings.phantom, settings.size)
    return make(grid_of(settings.size), network, centre, outside=Edge())


def _network(settings: Settings, standardise: Standardise) -> nn.Sequential:
    """Conv 8-16-32 and Dense 64-P.

    Of a turned line the mean over all voxels says enough, as published: 19,859 parameters. The poses of a head, and
    shifts, show in where things are; there the last layer keeps its places.
    """
    turns = settings.model == "rotation"
    layers: list[nn.Module] = [standardise]
    width = 1
    for channels in CHANNELS:
        if width > 1:
            layers.append(nn.MaxPool3d(2))
        layers += [nn.Conv3d(width, channels, 3, padding=1), nn.ReLU()]
        width = channels
    places = 1 if turns and settings.phantom == "line" else settings.size // 4
    if places == 1:
        layers.append(nn.AdaptiveAvgPool3d(1))
    last = nn.Linear(HIDDEN, 3 if turns else 12)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    unit = InUnitsOf(ANGLE if turns else STRETCH * settings.size)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * places**3, HIDDEN), nn.ReLU(), last, unit)


def count_of(model: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
