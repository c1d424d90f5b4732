"""Settings: every choice of a training, validated. Free of torch, so that the command line can check them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal, TypeAlias, get_args

from medreg.errors import UsageError

Phantom: TypeAlias = Literal["line", "head"]
Model: TypeAlias = Literal["rotation", "affine"]

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "line": {"size": 16, "images": 100, "test_images": 20, "epochs": 50, "batch": 1, "learning_rate": 1e-3},
    "head": {"size": 20, "images": 500, "test_images": 100, "epochs": 40, "batch": 8, "learning_rate": 2e-3},
}
"""By phantom. The line's are those published for MedImages.jl; the head's are larger, for an angle below a degree."""

LEAST, MOST = 8, 128
"""Voxels along an edge: below, nothing is left after pooling twice; above, an image no longer is a small one."""


@dataclass(frozen=True)
class Settings:
    """What is trained, on what, and how long.

    Attributes:
        phantom: the image that is moved; see `medreg.learn.phantoms`.
        model: the motions that are undone: "rotation" about three axes, or "affine" in 12 parameters.
        size: voxels along each edge of the image, 8 to 128.
        images: moved images that are trained on.
        test_images: others, which are only looked at.
        epochs: passes through all images.
        batch: images a step.
        learning_rate: Adam's, at the start; it falls to 0 along half a cosine.
        seed: of the motions, the network's first weights and the order of the images.

    Raises:
        UsageError: a value out of range.

    Example:
        >>> Settings.of("head").size
        20
        >>> Settings.of("line", epochs=0)
        Traceback (most recent call last):
        ...
        medreg.errors.UsageError: epochs must be 1 or more, got 0
    """

    phantom: Phantom = "line"
    model: Model = "rotation"
    size: int = 16
    images: int = 100
    test_images: int = 20
    epochs: int = 50
    batch: int = 1
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("phantom", get_args(Phantom)), ("model", get_args(Model))):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("images", "test_images", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not LEAST <= self.size <= MOST:
            raise UsageError(f"size must be {LEAST} to {MOST} voxels, got {self.size}")
        if not (isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning_rate must be above 0, got {self.learning_rate}; 1e-3 is usual")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"seed must be 0 to {2**31 - 1}, got {self.seed}")

    @staticmethod
    def of(phantom: Phantom = "line", model: Model = "rotation", **given: Any) -> Settings:
        """The defaults of a phantom, but for what is given (and not None)."""
        known = {k: v for k, v in given.items() if v is not None}
        return Settings(phantom, model, **{**DEFAULTS.get(phantom, DEFAULTS["line"]), **known})

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Settings:
        """What `to_dict` gave; unknown names are left out."""
        names = {field.name for field in fields(Settings)}
        return Settings(**{k: v for k, v in values.items() if k in names})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
