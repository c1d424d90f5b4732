"""Operations on images made to serve batches: what `each` marks is a parameter an item, all others are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.ops.arguments import an_image, described

P = ParamSpec("P")
Value = TypeVar("Value")


class Operation(Protocol[P]):
    """An operation that gives an image for an image, a batch for a batch, and a tensor for a tensor."""

    @overload
    def __call__(self, image: MedImage, *args: P.args, **kwargs: P.kwargs) -> MedImage: ...
    @overload
    def __call__(self, image: MedImageBatch, *args: P.args, **kwargs: P.kwargs) -> MedImageBatch: ...
    @overload
    def __call__(self, image: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...


@dataclass(frozen=True)
class _Each(Generic[Value]):
    values: tuple[Value, ...]


def each(values: Iterable[Value]) -> Value:
    """Parameters of an operation on a batch, one for each item.

    As in `rotate(batch, each([(0, 0, 10), (0, 0, 20)]))`. It may stand for an argument, or inside one that carries
    settings, as in `outside=Fill(each([-1000.0, 0.0]))` or `by=Resampled(outside=Fill(each(values)))`.

    Args:
        values: as many as the batch has items; the rows of a tensor get their gradients.

    Raises:
        UsageError: nothing that holds several values.

    Returns:
        A mark that operations on batches understand; for type checkers it is one of the values.
    """
    if isinstance(values, str) or not isinstance(values, Iterable) or (isinstance(values, Tensor) and not values.ndim):
        raise UsageError(f"values: each(...) holds one value for each item, got {described(values)}")
    return cast("Value", _Each(tuple(values)))


def for_batches(operation: Callable[Concatenate[MedImage, P], MedImage]) -> Operation[P]:
    """`operation` on an image, that also takes a `MedImageBatch`, or tensors.

    A batch gives exactly the loop over its items, stacked again. Items must come out at one size; where they would not
    (other spacings, expanded grids), the error of `MedImageBatch.stack` says so.

    A tensor (C, z, y, x), or (C, y, x) in 2D, is taken as an image of spacing 1 along the world's axes whose first
    voxel lies at the origin, so that millimetres are voxels; (N, C, z, y, x) as a batch of such. A tensor comes out.
    """

    @wraps(operation)
    def served(
        image: MedImage | MedImageBatch | Tensor, *args: Any, **kwargs: Any
    ) -> MedImage | MedImageBatch | Tensor:
        an_image(image)
        if isinstance(image, Tensor) and image.ndim != 5:
            placed = _placed(image)
            changed = cast("MedImage", served(placed, *args, **kwargs))
            if changed.data is placed.data and changed.grid != placed.grid:
                raise UsageError(
                    f"image: {operation.__name__} as asked moves nothing but the place, which a tensor has not; pass a "
                    "MedImage (or, to translate, by=Resampled())"
                )
            return changed.data
        if isinstance(image, MedImage):
            if any(_is_marked(value) for value in (*args, *kwargs.values())):
                raise UsageError("parameters marked by each(...) are for a batch; got one image, pass a plain value")
            return operation(image, *args, **kwargs)
        if not len(image):
            raise ImageError("image: a batch holds one image or more, got none")
        results = []
        for number, item in enumerate(image):
            positional = [of_item(value, number, len(image)) for value in args]
            named = {name: of_item(value, number, len(image)) for name, value in kwargs.items()}
            results.append(served(item, *positional, **named))
        if isinstance(image, Tensor):
            return torch.stack(cast("list[Tensor]", results))
        return MedImageBatch.stack(cast("list[MedImage]", results))

    return cast("Operation[P]", served)


def of_item(value: Any, number: int, count: int) -> Any:
    """What a parameter, or what stands in its settings, is for one of `count` items.

    Raises:
        UsageError: `each` with another number of values.
    """
    if isinstance(value, _Each):
        if len(value.values) != count:
            raise UsageError(f"each(...) holds {len(value.values)} values for a batch of {count}; give one an item")
        return value.values[number]
    if _is_marked(value):
        return replace(
            value, **{f.name: of_item(getattr(value, f.name), number, count) for f in fields(value) if f.init}
        )
    return value


def _is_marked(value: Any) -> bool:
    """Whether it is from `each`, or is a value with settings that are."""
    if isinstance(value, _Each):
        return True
    if not is_dataclass(value) or isinstance(value, type):
        return False
    return any(_is_marked(getattr(value, field.name)) for field in fields(value) if field.init)


def _placed(data: Tensor) -> MedImage:
    """A tensor as an image of spacing 1."""
    if data.ndim not in (3, 4):
        raise ImageError(
            f"image: a tensor is (C, y, x), (C, z, y, x) or a batch (N, C, z, y, x), got {described(data)}; a batch of "
            "images of two axes is a MedImageBatch"
        )
    size = tuple(reversed(data.shape[1:]))
    return MedImage.on(Grid.regular(size, (1.0,) * len(size)), data, metadata={"path": "tensor"})
