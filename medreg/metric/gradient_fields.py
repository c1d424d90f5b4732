"""Normalised gradient fields: edges should lie on edges and run the same way, whatever their contrast.

Haber, Modersitzki 2006 (doi:10.1007/11866763_89). For images that share boundaries but no relation of intensities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.metric.measure import Slope

NOTHING = 1e-24
"""A mean fourth power of gradient lengths (1 for a clear edge) up to this: the image is constant."""


def gradient_directions(volume: Tensor, spacing: Sequence[float], noise: float | None = None) -> Tensor:
    """Gradients per mm shortened to a length below 1: near 1 on edges well above `noise`, near 0 where there is noise.

    They run along the volume's own axes. Before fields of two grids are compared, one is to be turned into the other's
    axes: `torch.einsum("ij,j...->i...", rotation, field)`.

    Args:
        volume: (1, z, y, x) or (1, y, x). Differentiable.
        spacing: millimetres between voxels along x, y(, z).
        noise: the gradient, in image units per mm, that is shortened to a length of 1 / sqrt(2). By default the mean
            gradient of the volume, as in the paper; it is then not differentiated.

    Returns:
        (D, z, y, x) or (D, y, x): x, y(, z) components. 0 for a constant volume and along axes of one voxel.

    Raises:
        ImageError: for several channels, spacings that do not match the axes or are not positive, or negative noise.
    """
    if volume.shape[0] != 1 or len(spacing) != volume.ndim - 1 or min(spacing) <= 0 or (noise or 0) < 0:
        raise ImageError(
            f"gradient fields need one channel, {volume.ndim - 1} positive spacings and noise >= 0; "
            f"got a volume {tuple(volume.shape)}, {tuple(spacing)} mm and {noise}"
        )
    rows = [_along(volume[0], -1 - k, step) for k, step in enumerate(spacing)]
    squares = torch.stack([row * row for row in rows]).sum(0)
    level = float(squares.detach().sqrt().mean()) if noise is None else noise
    return torch.stack(rows) / (squares + max(level * level, 1e-30)).sqrt()


def gradient_field_distance(fixed: Tensor, moving: Tensor, weight: Tensor) -> Tensor:
    """1 minus the cosine between two fields of tensors g g^T: 0 for equal fields up to sign, 1 for orthogonal ones.

    sum <f, m>^2 / sqrt(sum |f|^4 sum |m|^4): each sample counts by its squared lengths in both fields, so noise, being
    short, hardly counts. The paper takes the plain mean of <f, m>^2, which is not 1 for equal fields and grows with the
    number of edges in view; the quotient takes both away.

    Args:
        fixed: (D, N) from `gradient_directions`.
        moving: (D, N) in the same axes; differentiable.
        weight: (N,) non-negative.

    A constant image on either side gives 1.
    """
    along = (weight * (fixed * moving).sum(0) ** 2).sum()
    strengths = [(weight * (field**2).sum(0) ** 2).sum() for field in (fixed, moving)]
    safe = [s.clamp(min=1e-30) for s in strengths]
    seen = (torch.stack(strengths) > NOTHING * weight.sum()).all()
    return torch.where(seen, 1 - along / (safe[0].sqrt() * safe[1].sqrt()), torch.ones_like(along))


class GradientFieldsMeasure:
    """`gradient_field_distance` with its slope in closed form.

    The metric is half the squared distance of two unit vectors, the fields of tensors over their norms. Gauss-Newton of
    that, without what couples the components: 2 (|m|^2 + m_c^2) / sum |m|^4 for component c.
    """

    def __init__(self, fixed: Tensor) -> None:
        """Bind to a field (D, N)."""
        self.fixed = fixed
        self.strengths = fixed.square().sum(0).square()

    def __call__(self, moving: Tensor, weight: Tensor) -> Slope:
        """See `Measure`."""
        along = (self.fixed * moving).sum(0).mul_(weight)
        squares = moving * moving
        lengths = squares.sum(0)
        seen = lengths * weight
        fixed, strength = float(self.strengths.dot(weight)), float(lengths.dot(seen))
        if min(fixed, strength) <= NOTHING * float(weight.sum()):
            return Slope(1.0, torch.zeros_like(moving), torch.zeros_like(moving))
        norm = (fixed * strength) ** 0.5
        cosine = float(along.dot((self.fixed * moving).sum(0))) / norm
        slope = moving * (seen * (2 * cosine / strength)) - self.fixed * (along * (2 / norm))
        return Slope(1 - cosine, slope, squares.add_(lengths).mul_(weight * (2 / strength)))


def _along(values: Tensor, axis: int, step: float) -> Tensor:
    """The derivative per mm along an axis: central differences, one-sided at both ends."""
    if values.shape[axis] == 1:
        return torch.zeros_like(values)
    (row,) = torch.gradient(values, spacing=step, dim=axis)
    return row
