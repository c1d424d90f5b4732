"""Numbers of stored pictures and shares of white: 0 to 255 (or 65535) in files, 0 to 1 where colours are computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import an_image, described, space_axes
from medreg.ops.voxels import Given, Voxels, revalued
from medreg.vision.colour.spaces import Colour

_WHITE = {"uint8": 255, "uint16": 65535}
_HALVES = (torch.float16, torch.bfloat16)


def shares(image: Given) -> Tensor:
    """The values of a picture, floating point, white at 1: uint8 divided by 255, uint16 by 65535, others as they are.

    16-bit pictures come out of files as int32; what they were is read in `metadata["stored_dtype"]`. Halves become
    float32.

    Raises:
        ImageError: other integers, booleans and complex numbers.
    """
    an_image(image)
    data = image if isinstance(image, Tensor) else image.data
    if data.is_floating_point():
        return data.float() if data.dtype in _HALVES else data
    kind = str(data.dtype).removeprefix("torch.")
    if kind not in _WHITE and not isinstance(image, Tensor):
        first = image.metadata if isinstance(image, MedImage) else image.metadata[0]
        kind = str(first.get("stored_dtype", kind))
    if kind not in _WHITE or data.is_complex():
        name = image.name if isinstance(image, MedImage) else "image"
        raise ImageError(
            f"{name}: colours are computed from uint8, uint16, or floating point with white at 1, got "
            f"{described(data)}; divide by the value of white"
        )
    return data.to(torch.float32) / _WHITE[kind]


def as_bytes(image: Voxels) -> Voxels:
    """Shares of white as uint8, as pictures are stored: times 255, rounded, and clipped to 0 to 255. No gradients.

    What is not a number becomes 0.

    Raises:
        ImageError: values that are no floating point numbers.

    Example:
        >>> as_bytes(torch.tensor([-0.1, 0.5, 1.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    an_image(image)
    data = image if isinstance(image, Tensor) else image.data
    if not data.is_floating_point():
        raise ImageError(f"image: takes shares of white, floating point, got {described(data)}")
    return revalued(image, (data.detach() * 255).round().clamp(0, 255).nan_to_num(0.0).to(torch.uint8))


def colour_of(image: Given, of: Colour | None) -> Colour:
    """What the caller or the metadata say that a picture is; RGB where nobody does.

    Raises:
        UsageError: they contradict each other.
    """
    if isinstance(image, Tensor):
        return of or Colour.RGB
    metadata: list[Any] = [image.metadata] if isinstance(image, MedImage) else list(image.metadata)
    told = {Colour.named(one["colour"]) for one in metadata if "colour" in one}
    if len(told) > 1 or (told and of not in (None, *told)):
        said = " and ".join(sorted(map(str, told)))
        raise UsageError(f"of: the image's metadata say that it is {said}, got of={of}; leave `of` out")
    return told.pop() if told else of or Colour.RGB


def channels_of(image: Given, count: int, dimension: int, what: str) -> Tensor:
    """The channels of an image, or of all of a batch, as the first axis of one tensor: a view.

    Raises:
        ImageError: another number of channels, or of axes, or frames of a series.
    """
    an_image(image)
    data, axis = _channel_axis(image, dimension)
    name = image.name if isinstance(image, MedImage) else "image"
    if isinstance(image, MedImage) and image.leading is not image.leading.CHANNELS:
        raise ImageError(f"{name}: is a series of frames, which has no colours; take one with frame(k)")
    if data.ndim < -axis or data.shape[axis] != count:
        last = data.ndim > 0 and data.shape[-1] == count
        hint = "; channels are last? seen_as(image, Layout.CHANNELS_FIRST, of=Layout.CHANNELS_LAST)" if last else ""
        raise ImageError(
            f"{name}: {what} has {count} channel{'s' * (count > 1)}, in a tensor (C, {'z, ' * (-axis - 3)}y, x) or "
            f"(N, C, ...), got {tuple(data.shape)}{hint}"
        )
    return data.movedim(axis, 0)


def rejoined(image: Voxels, values: Tensor, dimension: int, meaning: str) -> Voxels:
    """Channels (C, ...) in the place of those of `image`; halves are halves again. The metadata say what they mean."""
    data, axis = _channel_axis(image, dimension)
    joined = revalued(image, values.movedim(0, axis).to(data.dtype if data.dtype in _HALVES else values.dtype))
    if isinstance(joined, MedImage):
        return joined.with_metadata(colour=meaning)
    if isinstance(joined, MedImageBatch):
        told = tuple({**one, "colour": meaning} for one in joined.metadata)
        return MedImageBatch(joined.data, joined.grids, joined.leadings, told)
    return joined


def _channel_axis(image: Given, dimension: int) -> tuple[Tensor, int]:
    """The values, and which axis holds the channels, counted from the end."""
    if isinstance(image, Tensor):
        return image, -1 - space_axes(dimension)
    return image.data, -1 - image.dimension
