"""Warp: what the modules share that move images. Batches in, batches out; and where their parameters come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from medreg.errors import ImageError, TransformError
from medreg.geometry.grid import Grid
from medreg.sample import Fill, Interpolation, Outside
from medreg.sample.warping import warp

Source: TypeAlias = float | Sequence[float] | Tensor | nn.Module | None
"""Where a module's parameters come from.

A number, numbers or a tensor: they stay. An `nn.Parameter`: they are learnt. Another module: it is called with the
images and predicts them. None: they are handed over with each call.
"""


class Warp(nn.Module, ABC):
    """Images seen through a map that P parameters describe; a subclass says how.

    Args:
        grid: where the voxels of the images lie.
        parameters: (P,) for all images or (N, P), one row for each; see `Source`.
        count: P.
        interpolation: the kernel.
        outside: what points get that the images do not reach.
        onto: where the voxels of the result lie; None for `grid`.

    Attributes:
        values: the tensor or `nn.Parameter`; a buffer or a parameter of the module. None if another gives them.
        predictor: the module that predicts the parameters, or None.

    Raises:
        TransformError: parameters of another shape.
    """

    values: Tensor | None

    def __init__(
        self,
        grid: Grid,
        parameters: Source,
        count: int,
        interpolation: Interpolation,
        outside: Outside,
        onto: Grid | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        self.grid, self.onto = grid, onto or grid
        self.count, self.interpolation, self.outside = count, interpolation, outside
        if self.onto.dimension != grid.dimension:
            raise TransformError(f"images of {grid.dimension} axes cannot lie on a grid of {self.onto.dimension}")
        self.predictor = parameters if isinstance(parameters, nn.Module) else None
        own = None if parameters is None or isinstance(parameters, nn.Module) else self._checked(_tensor_of(parameters))
        if isinstance(own, nn.Parameter):
            self.values = own
        else:
            self.register_buffer("values", own)

    @abstractmethod
    def matrices(self, parameters: Tensor) -> Tensor:
        """Homogeneous matrices (..., D+1, D+1) of parameters (..., P): points of the result to the images', LPS mm."""

    def forward(self, images: Tensor, parameters: Tensor | None = None) -> Tensor:
        """The images, moved.

        Args:
            images: (N, C, z, y, x) or (N, C, y, x) on `grid`.
            parameters: (P,) or (N, P), instead of the module's own.

        Returns:
            (N, C, ...) on `onto`; differentiable to images and parameters.

        Raises:
            ImageError: images that do not lie on the grid.
            TransformError: no parameters, or some of another shape.
        """
        if images.ndim != self.grid.dimension + 2 or images.shape[2:] != self.grid.shape:
            raise ImageError(
                f"{type(self).__name__} was made for images (N, C, {', '.join(map(str, self.grid.shape))}), "
                f"got {tuple(images.shape)}; make it with the grid of these images"
            )
        values = self._checked(self._given(images) if parameters is None else parameters)
        if values.ndim == 2 and len(values) != len(images):
            raise TransformError(f"{len(images)} images need as many rows of parameters, got {len(values)}")
        return _warped(images, self.matrices(values.to(images.device, precision(images.device))), self)

    def extra_repr(self) -> str:
        """Shown by `print`: the sizes, and who gives the parameters."""
        source = (
            "predicted" if self.predictor is not None
            else "handed over with each call" if self.values is None
            else "learnt" if isinstance(self.values, nn.Parameter)
            else "kept"
        )  # fmt: skip
        return f"size={self.grid.size}, onto={self.onto.size}, parameters={self.count} {source}"

    def _given(self, images: Tensor) -> Tensor:
        if self.predictor is not None:
            predicted: Tensor = self.predictor(images)
            return predicted
        if self.values is None:
            raise TransformError(
                f"{type(self).__name__} was made without parameters: hand over (P,) or (N, P), P = {self.count}, with "
                "each call, or give a tensor, an nn.Parameter or a module that predicts them when making it"
            )
        return self.values

    def _checked(self, values: Tensor) -> Tensor:
        if values.ndim not in (1, 2) or values.shape[-1] != self.count or not values.is_floating_point():
            raise TransformError(
                f"{type(self).__name__} in {self.grid.dimension}D takes {self.count} floating-point parameters, "
                f"({self.count},) or (N, {self.count}), got {values.dtype} {tuple(values.shape)}"
            )
        return values


def about(centre: Sequence[float], linear: Tensor) -> Tensor:
    """Homogeneous (..., D+1, D+1): x -> linear (x - centre) + centre, of `linear` (..., D, D)."""
    d = len(centre)
    c = torch.tensor(centre, dtype=linear.dtype, device=linear.device)
    top = torch.cat([linear, (c - linear @ c)[..., None]], -1)
    bottom = torch.eye(d + 1, dtype=linear.dtype, device=linear.device)[d:].expand(*linear.shape[:-2], 1, d + 1)
    return torch.cat([top, bottom], -2)


def precision(device: torch.device) -> torch.dtype:
    """What coordinates are computed in: float64, but on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def _tensor_of(parameters: float | Sequence[float] | Tensor) -> Tensor:
    if isinstance(parameters, Tensor):
        return parameters
    values = [parameters] if isinstance(parameters, int | float) else list(parameters)
    return torch.tensor(values, dtype=torch.get_default_dtype())


def _repeated(outside: Outside, count: int) -> Outside:
    """A fill value for each channel, again for each of the images whose channels follow each other."""
    if isinstance(outside, Fill) and isinstance(outside.value, Tensor) and outside.value.ndim == 2:
        return Fill(outside.value.repeat(count, 1))
    return outside


def _warped(images: Tensor, matrices: Tensor, module: Warp) -> Tensor:
    """The images through matrices of world points: one map for all of them, (D+1, D+1), or one for each."""

    def tensor(affine: object) -> Tensor:
        return torch.as_tensor(affine).to(matrices)

    index = tensor(module.grid.inverse_affine.copy()) @ matrices @ tensor(module.onto.affine.copy())
    shape = module.onto.shape
    if index.ndim == 2:  # items count as channels: the places are worked out once
        flat = warp(images.flatten(0, 1), index, shape, module.interpolation, _repeated(module.outside, len(images)))
        return flat.view(*images.shape[:2], *shape)
    return warp(images, index, shape, module.interpolation, module.outside)
