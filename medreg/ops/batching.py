"""Operations on images made to serve batches: what `each` marks is a parameter an item, all others are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.image import MedImage

P = ParamSpec("P")
Value = TypeVar("Value")


class Operation(Protocol[P]):
    """An operation that gives an image for an image and a batch for a batch."""

    @overload
    def __call__(self, image: MedImage, *args: P.args, **kwargs: P.kwargs) -> MedImage: ...
    @overload
    def __call__(self, image: MedImageBatch, *args: P.args, **kwargs: P.kwargs) -> MedImageBatch: ...


@dataclass(frozen=True)
class _Each(Generic[Value]):
    values: tuple[Value, ...]


def each(values: Iterable[Value]) -> Value:
    """Parameters of an operation on a batch, one for each item.

    As in `rotate(batch, each([(0, 0, 10), (0, 0, 20)]))`.

    Args:
        values: as many as the batch has items; the rows of a tensor get their gradients.

    Returns:
        A mark that operations on batches understand; for type checkers it is one of the values.
    """
    return cast("Value", _Each(tuple(values)))


def for_batches(operation: Callable[Concatenate[MedImage, P], MedImage]) -> Operation[P]:
    """`operation` on an image, that also takes a `MedImageBatch`: exactly the loop over its items, stacked again.

    Items must come out at one size; where they would not (other spacings, expanded grids), the error of
    `MedImageBatch.stack` says so.
    """

    @wraps(operation)
    def served(image: MedImage | MedImageBatch, *args: Any, **kwargs: Any) -> MedImage | MedImageBatch:
        if isinstance(image, MedImage):
            if any(isinstance(value, _Each) for value in (*args, *kwargs.values())):
                raise UsageError("parameters marked by each(...) are for a batch; got one image, pass a plain value")
            return operation(image, *args, **kwargs)
        if not isinstance(image, MedImageBatch):
            raise ImageError(f"an operation takes a MedImage or a MedImageBatch, got {type(image).__name__}")
        count = len(image)
        results = []
        for number, item in enumerate(image):
            positional = [_of_item(value, number, count) for value in args]
            named = {name: _of_item(value, number, count) for name, value in kwargs.items()}
            results.append(operation(item, *positional, **named))
        return MedImageBatch.stack(results)

    return cast("Operation[P]", served)


def _of_item(value: Any, number: int, count: int) -> Any:
    if not isinstance(value, _Each):
        return value
    if len(value.values) != count:
        raise UsageError(f"each(...) holds {len(value.values)} values for a batch of {count}; give one an item")
    return value.values[number]
