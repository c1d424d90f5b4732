"""The version, at the bottom of all, where every room may name it."""

__version__ = "0.1.0"
