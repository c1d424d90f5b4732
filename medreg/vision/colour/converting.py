"""convert: a picture's channels in another colour; and Convert, the same as a torch module."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor, nn

from medreg.batch import MedImageBatch
from medreg.errors import ImageError, UsageError
from medreg.image import MedImage
from medreg.ops.arguments import an_image, described, one_of, space_axes
from medreg.ops.voxels import Voxels
from medreg.vision.colour.graph import Relative, steps
from medreg.vision.colour.levels import channels_of, colour_of, rejoined, shares
from medreg.vision.colour.spaces import Colour
from medreg.vision.colour.standards import D65, REC_601, Luma, White

_STORED = (Colour.RGB, Colour.BGR, Colour.LINEAR_RGB, Colour.GRAY)
"""What integers may hold; nobody says what 255 is in Lab."""


class Opacity(Enum):
    """Where a picture has a channel that says how opaque it is; that one stays as it is."""

    FIRST = "first"
    LAST = "last"


def convert(
    image: Voxels,
    to: Colour,
    *,
    of: Colour | None = None,
    white: White = D65,
    luma: Luma = REC_601,
    opacity: Opacity | None = None,
    dimension: int = 2,
) -> Voxels:
    """A picture's channels in another colour. Ranges and units: see `Colour`.

    RGB is sRGB (IEC 61966-2-1) with white D65. Any colour goes to any other through RGB, linear RGB and XYZ as far as
    they need; nothing is clipped, so that colours out of gamut come back. To gray, and from there to any other, only
    greys come back.

    Differentiable, with finite gradients everywhere. Where a colour has none, they are chosen: 0 to the hue of a grey,
    to the saturation and the chromaticity of black (and in HSL of white), and to the chroma at a chroma of 0.

    In float64 round trips of sRGB's colours are good to 1e-12. In float32 values are good to 2e-6 of the channel's
    range, but for the hue and the saturation of near greys and the chromaticity of near black, whose errors are divided
    by how far they are from grey or black; below 2e-6 of white they count as having none. Halves are computed as
    float32.

    Args:
        image: an image of `of`'s channels, or a tensor (C, y, x), or (N, C, y, x). uint8 and uint16 of RGB, BGR, linear
            RGB and gray are scaled to 0 to 1; floating point numbers are taken as they are.
        to: what to make of it.
        of: what it is; None for what an image's metadata say under `colour`, and RGB where they say nothing.
        white: what Lab, Luv and DIN99 are relative to, and black's chromaticity in xyY.
        luma: the weights in gray and YCbCr.
        opacity: where there is a further channel, which is not touched (but scaled to 0 to 1).
        dimension: space axes of a tensor; an image knows its own.

    Returns:
        The same kind of thing, floating point; the metadata of an image say the colour.

    Raises:
        ImageError: another number of channels, or integers where no one says what they count.
        UsageError: a colour that is none, or that contradicts the metadata.

    Example:
        >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1)
        >>> convert(red, Colour.LAB).flatten()
        tensor([53.2371, 80.0901, 67.2033])
        >>> convert(convert(red, Colour.HSL), Colour.RGB, of=Colour.HSL).flatten()
        tensor([1., 0., 0.])
    """
    an_image(image)
    _check(to, of, white, luma, opacity, dimension)
    known = colour_of(image, of)
    integers = not (image if isinstance(image, Tensor) else image.data).is_floating_point()
    if integers and known not in _STORED:
        raise ImageError(f"image: integers cannot be {known}; give floating point numbers in the ranges of Colour")
    values = shares(image)
    given = values if isinstance(image, Tensor) else _with(image, values)
    channels = channels_of(given, known.channels + (opacity is not None), dimension, str(known))
    channels, opaque = _parted(channels, opacity)
    for step in steps(known, to):
        channels = step(channels, Relative(white, luma))
    whole = {
        None: [channels],
        Opacity.FIRST: [opaque, channels],
        Opacity.LAST: [channels, opaque],
    }[opacity]
    return rejoined(image, torch.cat(whole) if opacity else channels, dimension, str(to))


class Convert(nn.Module):
    """Pictures in another colour, for `nn.Sequential`: `convert` as a module. It learns nothing and passes gradients.

    Args:
        to: what to make of the pictures.
        of: what they are.
        white: see `convert`.
        luma: see `convert`.

    Shape:
        (N, C, y, x) or (N, C, z, y, x), also without N; C is 3, or 1 for gray.

    Raises:
        UsageError: a colour that is none.

    Example:
        >>> model = nn.Sequential(Convert(Colour.LAB), nn.Conv2d(3, 8, 3))
        >>> model(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 8, 14, 14])
    """

    def __init__(
        self,
        to: Colour,
        of: Colour = Colour.RGB,
        white: White = D65,
        luma: Luma = REC_601,
        dimension: int = 2,
    ) -> None:
        """See the class."""
        super().__init__()
        _check(to, of, white, luma, None, dimension)
        self.to_colour, self.of_colour, self.white, self.luma, self.dimension = to, of, white, luma, dimension

    def forward(self, images: Tensor) -> Tensor:
        """The pictures (N, C, ...) in the other colour."""
        if not isinstance(images, Tensor):
            raise ImageError(f"images: Convert takes a tensor (N, C, ...), got {described(images)}; use convert")
        return convert(
            images, self.to_colour, of=self.of_colour, white=self.white, luma=self.luma, dimension=self.dimension
        )

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return f"{self.of_colour} to {self.to_colour}"


def _check(to: Colour, of: Colour | None, white: White, luma: Luma, opacity: Opacity | None, dimension: int) -> None:
    for value, name in ((to, "to"), (of, "of")):
        if isinstance(value, str):
            raise UsageError(f"{name}: takes a Colour, got the text {value!r}; Colour.named({value!r}) reads it")
        one_of(value, Colour if name == "to" else Colour | None, name)
    one_of(white, White, "white")
    one_of(luma, Luma, "luma")
    one_of(opacity, Opacity | None, "opacity")
    space_axes(dimension)


def _with(image: MedImage | MedImageBatch, values: Tensor) -> MedImage | MedImageBatch:
    return image if values is image.data else image.with_data(values)


def _parted(channels: Tensor, opacity: Opacity | None) -> tuple[Tensor, Tensor]:
    """The channels of colour, and those of opacity (1 or 0 of them)."""
    if opacity is Opacity.FIRST:
        return channels[1:], channels[:1]
    return (channels[:-1], channels[-1:]) if opacity is Opacity.LAST else (channels, channels[:0])
