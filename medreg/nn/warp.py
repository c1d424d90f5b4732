"""Warp: what the modules share that move images. Batches in, batches out; and where their parameters come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from medreg.errors import ImageError, TransformError
from medreg.geometry.grid import Grid
from medreg.ops.arguments import Numbers, described, numbers, one_of
from medreg.ops.background import Beyond, resolved
from medreg.ops.batching import of_item
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
        outside: what points get that the images do not reach: `Fill`, `Edge` or `Background`, as in `medreg.ops`. An
            `nn.Parameter` in `Fill` is learnt, and `Fill(each(values))` has one value for each image of the batch.
        onto: where the voxels of the result lie; None for `grid`.

    Attributes:
        fill: the `nn.Parameter` in `outside`, or None.
        values: the tensor or `nn.Parameter`; a buffer or a parameter of the module. None if another gives them.
        predictor: the module that predicts the parameters, or None.

    Raises:
        TransformError: parameters of another shape.
        UsageError: what is no grid, kernel or policy, or parameters that are no numbers.
    """

    values: Tensor | None
    fill: nn.Parameter | None

    def __init__(
        self,
        grid: Grid,
        parameters: Source,
        count: int,
        interpolation: Interpolation,
        outside: Beyond,
        onto: Grid | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        one_of(grid, Grid, "grid")
        one_of(onto, Grid | None, "onto")
        one_of(interpolation, Interpolation, "interpolation")
        one_of(outside, Beyond, "outside")
        self.grid, self.onto = grid, onto or grid
        self.count, self.interpolation, self.outside = count, interpolation, outside
        if self.onto.dimension != grid.dimension:
            raise TransformError(f"images of {grid.dimension} axes cannot lie on a grid of {self.onto.dimension}")
        value = outside.value if isinstance(outside, Fill) else None
        self.register_parameter("fill", value if isinstance(value, nn.Parameter) else None)
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
        check_images(images, self.grid, type(self).__name__)
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

    def policies(self, images: Tensor) -> list[Outside]:
        """What points outside each of the images get."""
        outside = self.outside if self.fill is None else Fill(self.fill)
        count = len(images)
        return [resolved(of_item(outside, k, count), image, self.interpolation) for k, image in enumerate(images)]

    def _checked(self, values: Tensor) -> Tensor:
        if not isinstance(values, Tensor) or not bool(values.detach().isfinite().all()):
            given = values.tolist() if isinstance(values, Tensor) else described(values)
            raise TransformError(f"parameters: {type(self).__name__} takes a tensor of finite numbers, got {given}")
        if values.ndim not in (1, 2) or values.shape[-1] != self.count or not values.is_floating_point():
            raise TransformError(
                f"{type(self).__name__} in {self.grid.dimension}D takes {self.count} floating-point parameters, "
                f"({self.count},) or (N, {self.count}), got {values.dtype} {tuple(values.shape)}"
            )
        return values


def check_images(images: object, grid: Grid, module: str) -> None:
    """Refuse what is no batch of images (N, C, z, y, x) or (N, C, y, x) on a module's grid.

    Raises:
        ImageError: it is something else.
    """
    if not isinstance(images, Tensor):
        raise ImageError(f"images: {module} takes a tensor (N, C, ...), got {described(images)}")
    if images.ndim != grid.dimension + 2 or images.shape[2:] != grid.shape:
        raise ImageError(
            f"images: {module} was made for images (N, C, {', '.join(map(str, grid.shape))}), "
            f"got {tuple(images.shape)}; make it with the grid of these images"
        )


def precision(device: torch.device) -> torch.dtype:
    """What coordinates are computed in: float64, but on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def point_of(grid: Grid, centre: Numbers | None) -> Tensor:
    """The point that was given, or the middle of the grid: (D,), as it was given where it is a tensor.

    Raises:
        TransformError: another number of coordinates.
        UsageError: what is no numbers.
    """
    point = numbers(grid.centre if centre is None else centre, "centre")
    if point.shape != (grid.dimension,):
        raise TransformError(f"a centre in {grid.dimension}D has {grid.dimension} coordinates, got {point.tolist()}")
    return centre if isinstance(centre, Tensor) else point


def _tensor_of(parameters: float | Sequence[float] | Tensor) -> Tensor:
    if isinstance(parameters, Tensor):
        return parameters
    return numbers(parameters, "parameters").to(torch.get_default_dtype()).reshape(-1)


def _together(policies: Sequence[Outside], channels: int) -> Outside:
    """One policy for the channels of all images, which follow each other."""
    values = [policy.value for policy in policies if isinstance(policy, Fill)]
    if len(values) < len(policies) or not any(isinstance(value, Tensor) or value != values[0] for value in values):
        return policies[0]  # the same for all
    return Fill(torch.cat([torch.as_tensor(value).reshape(-1, 1).expand(channels, 1) for value in values]))


def _warped(images: Tensor, matrices: Tensor, module: Warp) -> Tensor:
    """The images through matrices of world points: one map for all of them, (D+1, D+1), or one for each."""

    def tensor(affine: object) -> Tensor:
        return torch.as_tensor(affine).to(matrices)

    index = tensor(module.grid.inverse_affine.copy()) @ matrices @ tensor(module.onto.affine.copy())
    shape = module.onto.shape
    policies = module.policies(images)
    if index.ndim == 2:  # items count as channels: the places are worked out once
        flat = warp(images.flatten(0, 1), index, shape, module.interpolation, _together(policies, images.shape[1]))
        return flat.view(*images.shape[:2], *shape)
    items = zip(images, index, policies, strict=True)
    return torch.stack([warp(image, one, shape, module.interpolation, policy) for image, one, policy in items])
