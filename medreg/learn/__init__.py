"""The differentiability proof: networks that learn, through medreg's resampler, to undo motions of an image."""

from medreg.learn.settings import Settings

__all__ = ["Settings"]
