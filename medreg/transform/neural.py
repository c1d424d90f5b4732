"""Neural: a displacement field that a small network draws, from waves in space; it begins as the identity.

Fourier features let a small network draw fine detail (Tancik et al. 2020, doi:10.48550/arXiv.2006.10739); a last layer
of zeros makes the first map the identity, whatever the other layers hold.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from medreg.errors import TransformError
from medreg.geometry.grid import Grid


class Neural(nn.Module):
    """The map x -> x + scale * network(waves((x - centre) / scale)) of world points, LPS mm, fixed to moving.

    The centre is the grid's and the scale half of its longest side, so that the same weights mean the same bend of the
    same picture in whatever unit it is given, and one rate of learning serves all. Points keep their dtype; only the
    displacement has the weights'.

    Args:
        grid: of the fixed image.
        width: of the hidden layers.
        depth: how many hidden layers.
        features: how many waves.
        waves: how many of them go over half of the longest side, at one standard deviation; more draws finer bends.
        seed: of waves and weights.

    Attributes:
        centre: LPS mm.
        scale: millimetres.

    Raises:
        TransformError: no grid, a width, depth or number of features below 1, or waves that are not above 0.

    Example:
        >>> warp = Neural(Grid.regular((64, 64), (1.0, 1.0)))
        >>> warp(torch.tensor([[3.0, 4.0]]))
        tensor([[3., 4.]], grad_fn=<AddBackward0>)
    """

    def __init__(
        self, grid: Grid, *, width: int = 64, depth: int = 2, features: int = 32, waves: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__()
        if not isinstance(grid, Grid):
            raise TransformError(
                f"a neural map takes the Grid of the fixed image, got {type(grid).__name__}; an image's is image.grid"
            )
        if min(width, depth, features) < 1 or not 0 < waves < math.inf:
            raise TransformError(
                "a neural map takes a width, a depth and features of 1 or more and waves above 0, got "
                f"width={width}, depth={depth}, features={features}, waves={waves}"
            )
        self.centre, self.scale = grid.centre, max(grid.extent) / 2
        random = torch.Generator().manual_seed(seed)
        self.register_buffer("frequencies", waves * torch.randn(features, grid.dimension, generator=random))
        sizes = [2 * features, *[width] * depth]
        hidden = [_linear(a, b, random) for a, b in zip(sizes, sizes[1:], strict=False)]
        last = nn.Linear(width, grid.dimension)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*(part for layer in hidden for part in (layer, nn.SiLU())), last)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.centre)

    def forward(self, points: Tensor) -> Tensor:
        """Moving points (N, D) of fixed points (N, D), LPS mm; differentiable to points and weights.

        Raises:
            TransformError: points of another dimension.
        """
        if points.ndim != 2 or points.shape[1] != self.dimension:
            raise TransformError(
                f"this neural map was made for a {self.dimension}D grid and takes points (N, {self.dimension}), got "
                f"{tuple(points.shape)}"
            )
        frequencies = self.get_buffer("frequencies")
        place = ((points - points.new_tensor(self.centre)) / self.scale).to(frequencies.dtype)
        angles = (2 * math.pi) * (place @ frequencies.T)
        drawn: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], 1))
        return points + drawn.to(points.dtype) * self.scale

    def map_points(self, points: Tensor) -> Tensor:
        """The same, as transforms call it."""
        return self(points)  # type: ignore[no-any-return]


def _linear(inputs: int, outputs: int, random: torch.Generator) -> nn.Linear:
    """As torch begins it, but from a generator of its own."""
    layer = nn.Linear(inputs, outputs)
    reach = 1 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-reach, reach, generator=random)
        layer.bias.uniform_(-reach, reach, generator=random)
    return layer
