"""From images, masks and label maps as given to tensors that the registration can work on."""

from __future__ import annotations

import torch
from torch import Tensor

from medreg.errors import ImageError
from medreg.image import Leading, MedImage
from medreg.metric.label_overlap import one_hot
from medreg.registration.mask import check_place

MOST_LABELS = 64
"""A map with more labels is no map of labels, or too large to align by them."""


def volumes(fixed: MedImage, moving: MedImage) -> tuple[Tensor, Tensor]:
    """(C, z, y, x) float32 each: all channels where both images have as many, else the mean of each image's.

    Raises:
        ImageError: different dimensions, a series of volumes, or an image whose every voxel is the same.
    """
    if fixed.dimension != moving.dimension:
        raise ImageError(
            f"{fixed.name} is {fixed.dimension}D and {moving.name} is {moving.dimension}D; "
            "both must have the same dimension"
        )
    data = [_channels(image) for image in (fixed, moving)]
    if len(data[0]) != len(data[1]):
        data = [volume.mean(0, keepdim=True) for volume in data]
    return data[0], data[1]


def _channels(image: MedImage) -> Tensor:
    if image.leading is Leading.FRAMES and image.channels > 1:
        raise ImageError(
            f"{image.name} holds {image.channels} volumes; choose one with --volume N or their mean with --volume mean"
        )
    data = image.data.float()
    low, high = torch.aminmax(data)
    if not bool(low < high):
        raise ImageError(f"{image.name} is constant, every voxel is {float(low):g}: there is nothing to align")
    return data


def mask_of(mask: MedImage | None, image: MedImage) -> Tensor | None:
    """(1, z, y, x) float32 of 0 and 1.

    Raises:
        ImageError: when it is empty or does not lie on the image's grid.
    """
    if mask is None:
        return None
    check_place(mask, image)
    chosen = (mask.data != 0).any(0, keepdim=True).to(image.data.device)
    if not bool(chosen.any()):
        raise ImageError(f"mask {mask.name} is empty: no voxel is above 0")
    return chosen.to(torch.float32)


def label_volumes(
    fixed: MedImage, fixed_labels: MedImage, moving: MedImage, moving_labels: MedImage
) -> tuple[Tensor, Tensor]:
    """(L, z, y, x) float32 of 0 and 1 each: a channel for each label but 0 that both maps hold, in rising order.

    Raises:
        ImageError: a map that does not lie on its image's grid, holds fractions, or shares no label with the other.
    """
    found = []
    for labels, image in ((fixed_labels, fixed), (moving_labels, moving)):
        check_place(labels, image, "label map")
        values = torch.unique(labels.data[:1])
        if len(labels.data) > 1 or bool((values != values.round()).any()) or len(values) > MOST_LABELS:
            raise ImageError(
                f"{labels.name} is no label map: it has {len(labels.data)} channels and {len(values)} different "
                f"values; wanted one channel of at most {MOST_LABELS} whole numbers"
            )
        found.append(set(values[values != 0].long().tolist()))
    common = sorted(found[0] & found[1])
    if not common:
        raise ImageError(
            f"{fixed_labels.name} and {moving_labels.name} share no label: "
            f"{sorted(found[0])[:10]} and {sorted(found[1])[:10]}; give maps of the same labels"
        )
    return (
        one_hot(fixed_labels.data[:1].to(fixed.data.device), common),
        one_hot(moving_labels.data[:1].to(moving.data.device), common),
    )
