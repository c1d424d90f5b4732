"""Smooth: a Gaussian in millimetres, whose width may be learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medreg.errors import ImageError
from medreg.geometry.grid import Grid
from medreg.nn.warp import check_images
from medreg.ops.arguments import number, one_of
from medreg.sample import smooth
from medreg.sample.smoothing import TRUNCATE


class Smooth(nn.Module):
    """Images under a Gaussian; beyond the edge their edge voxels go on.

    The kernel is exp(-x^2 / (2 sigma^2)) at whole voxels up to 4 sigma, scaled to sum 1, along one axis after another.

    Args:
        grid: where the voxels of the images lie.
        sigma_mm: standard deviation, 0 or more, in all directions. A number stays; an `nn.Parameter` of one element is
            learnt (its sign does not count), and must start well above 0, where it has no gradient.

    Shape:
        (N, C, z, y, x) or (N, C, y, x), and the same comes out.

    Raises:
        ImageError: a negative sigma, or images that do not lie on the grid.

    Example:
        >>> grid = Grid.regular((9, 9), (0.5, 0.5))
        >>> Smooth(grid, 1.0)(torch.ones(1, 1, 9, 9)).std() < 1e-6
        tensor(True)
    """

    def __init__(self, grid: Grid, sigma_mm: float | nn.Parameter) -> None:
        """See the class."""
        super().__init__()
        one_of(grid, Grid, "grid")
        if isinstance(sigma_mm, nn.Parameter) and sigma_mm.numel() != 1:
            raise ImageError(f"sigma_mm: Smooth learns one sigma, got a parameter of {sigma_mm.numel()} elements")
        width = number(sigma_mm, "sigma_mm", wanted="millimetres, or an nn.Parameter of one")
        if width < 0:
            raise ImageError(f"sigma_mm: Smooth takes a sigma of 0 mm or more, got {width}")
        if isinstance(sigma_mm, Tensor) and sigma_mm.requires_grad and not isinstance(sigma_mm, nn.Parameter):
            raise ImageError(
                "sigma_mm: a width that wants a gradient is an nn.Parameter; got another tensor, or detach it"
            )
        self.grid, self.sigma_mm = grid, sigma_mm if isinstance(sigma_mm, nn.Parameter) else width

    def forward(self, images: Tensor) -> Tensor:
        """The images (N, C, z, y, x) or (N, C, y, x), smoothed; differentiable to them and to a learnt sigma."""
        check_images(images, self.grid, type(self).__name__)
        flat = images.flatten(0, 1)
        if isinstance(self.sigma_mm, nn.Parameter):
            smoothed = _smoothed(flat, self.sigma_mm.abs().reshape(()), self.grid.spacing)
        else:
            smoothed = smooth(flat, self.sigma_mm, self.grid.spacing)
        return smoothed.view(images.shape)

    def extra_repr(self) -> str:
        """Shown by `print`."""
        learnt = isinstance(self.sigma_mm, nn.Parameter)
        return f"sigma_mm={_number(self.sigma_mm):.4g}{' learnt' if learnt else ''}"


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else value


def _smoothed(volumes: Tensor, sigma_mm: Tensor, spacing: Sequence[float]) -> Tensor:
    """`medreg.sample.smooth` of (N, z, y, x) or (N, y, x), as a convolution that knows the slope by sigma."""
    for axis, step in zip(range(volumes.ndim - 1, 0, -1), spacing, strict=True):
        sigma = (sigma_mm / step).to(volumes)
        reach = math.floor(TRUNCATE * _number(sigma) + 0.5)
        if reach == 0 or volumes.shape[axis] == 1:
            continue
        offsets = torch.arange(-reach, reach + 1, dtype=volumes.dtype, device=volumes.device)
        kernel = torch.softmax(-0.5 * (offsets / sigma) ** 2, 0)
        last = volumes.movedim(axis, -1)
        lines = nn.functional.pad(last.reshape(-1, 1, last.shape[-1]), (reach, reach), "replicate")
        volumes = nn.functional.conv1d(lines, kernel[None, None]).view(last.shape).movedim(-1, axis)
    return volumes
