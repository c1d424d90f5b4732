"""Hue, saturation, and how light: HSV, HSL and HSI of RGB. Channels are the first axis.

A grey has no hue and black no saturation (in HSL white neither): they are 0 there, and so are their gradients. Where
two channels are equally large or small, the largest and the smallest pass half the gradient to each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medreg.vision.colour.guarding import nothing, quotient, turns, wrapped


def hsv_from_rgb(values: Tensor) -> Tensor:
    """Hue in turns, (max - min) / max, max."""
    most, least = values.amax(0), values.amin(0)
    return torch.stack([_hexagonal(values, most, least), quotient(most - least, most), most])


def rgb_from_hsv(values: Tensor) -> Tensor:
    """The inverse of `hsv_from_rgb`; a hue counts modulo 1."""
    hue, saturation, value = values
    rgb: Tensor = value - value * saturation * _lacking(hue)
    return rgb


def hsl_from_rgb(values: Tensor) -> Tensor:
    """Hue in turns, (max - min) / (1 - |2 L - 1|), L = (max + min) / 2."""
    most, least = values.amax(0), values.amin(0)
    lightness = (most + least) / 2
    saturation = quotient(most - least, 2 * torch.minimum(lightness, 1 - lightness))
    return torch.stack([_hexagonal(values, most, least), saturation, lightness])


def rgb_from_hsl(values: Tensor) -> Tensor:
    """The inverse of `hsl_from_rgb`; a hue counts modulo 1."""
    hue, saturation, lightness = values
    reach = saturation * torch.minimum(lightness, 1 - lightness)
    rgb: Tensor = lightness + reach * (1 - 2 * _lacking(hue))
    return rgb


def hsi_from_rgb(values: Tensor) -> Tensor:
    """The angle about the grey axis in turns, 1 - min / I, I = mean (Gonzalez & Woods, Digital Image Processing)."""
    red, green, blue = values
    across, along = math.sqrt(3) * (green - blue), 2 * red - green - blue
    grey = nothing(values.amax(0) - values.amin(0))
    mean = values.mean(0)
    saturation = quotient(mean - values.amin(0), mean)
    return torch.stack([turns(across, along, grey), saturation, mean])


def rgb_from_hsi(values: Tensor) -> Tensor:
    """The inverse of `hsi_from_rgb`; a hue counts modulo 1."""
    hue, saturation, mean = values
    # along the hue's direction until the least channel is mean (1 - saturation): no sectors, hence no seams
    ways = torch.stack([torch.cos(2 * torch.pi * (hue - third / 3)) for third in range(3)])
    rgb: Tensor = mean - mean * saturation * ways / ways.amin(0)
    return rgb


def _hexagonal(values: Tensor, most: Tensor, least: Tensor) -> Tensor:
    """Hue around the hexagon of the colour cube, 0 to just below 1."""
    red, green, blue = values
    span = most - least
    sixths = torch.where(
        most == red,
        quotient(green - blue, span),
        torch.where(most == green, 2 + quotient(blue - red, span), 4 + quotient(red - green, span)),
    )
    return torch.where(nothing(span), 0, wrapped(sixths / 6))


def _lacking(hue: Tensor) -> Tensor:
    """(3, ...): by how much red, green and blue of a full colour of this hue fall short of 1."""
    places = torch.stack([torch.remainder(6 * hue + shift, 6) for shift in (5, 3, 1)])
    return torch.minimum(places, 4 - places).clamp(0, 1)
