"""Chains of transforms from the command line: read, turned round where asked, and composed into one. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medreg.errors import MedregError, ReadError, TransformError, UsageError
from medreg.geometry.affine import invert
from medreg.io.failing import missing_file
from medreg.io.transforms import End, Form, form_of_file, read_transform
from medreg.io.transforms.ends import NOTHING
from medreg.io.transforms.form import form_named
from medreg.types import FloatArray

INVERSE = "inverse:"
"""Before a file's name: its transform the other way."""
FLAT = 1e-14
"""A last row (1/mm) of this much, beside a 1, is rounding: 1e-10 of a part at 10 m."""


@dataclass(frozen=True)
class Link:
    """One transform of a chain.

    Attributes:
        path: its file, which maps fixed to moving points and so moves an image from the moving to the fixed space.
        inverse: whether it is passed the other way.
        form: its format, where a person has said it.
    """

    path: Path
    inverse: bool = False
    form: Form | None = None

    @staticmethod
    def of(text: str) -> Link:
        """What `--transform` was given.

        Example:
            >>> Link.of("inverse:rigid.tfm")
            Link(path=PosixPath('rigid.tfm'), inverse=True, form=None)
        """
        if text.startswith(INVERSE) and not Path(text).exists():
            return Link(Path(text[len(INVERSE) :]), inverse=True)
        return Link(Path(text))

    @property
    def reversed(self) -> Link:
        """The same transform the other way."""
        return replace(self, inverse=not self.inverse)

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{INVERSE if self.inverse else ''}{self.path}"

    def matrix(self, begin: End = NOTHING, end: End = NOTHING) -> FloatArray:
        """From points where the image comes to, to points where it comes from.

        Args:
            begin: the image before this transform has moved it, as far as it is known.
            end: an image in the space that it is moved to.

        Raises:
            MedregError: see `read_transform`; or a transform without an inverse.
        """
        if not self.path.exists():
            raise missing_file(self.path)
        fixed, moving = (begin, end) if self.inverse else (end, begin)
        matrix = read_transform(self.path, fixed=fixed, moving=moving, form=self.form)
        try:
            back = invert(matrix)  # asked for either way: what has no inverse moves nothing to anywhere
        except TransformError as error:
            raise TransformError(f"{self.path}: {error}") from error
        return back if self.inverse else matrix


def chain_of(texts: Sequence[str] | None, said: str | None = None, *, inverse: bool = False) -> list[Link]:
    """The links in the order in which the image passes them.

    Args:
        texts: what `--transform` was given, each time.
        said: what `--from` was given: the format of the one file, or of those among several that do not tell it.
        inverse: whether the whole chain is turned round.

    Raises:
        UsageError: no such format, or one of no file.

    Example:
        >>> [link.name for link in chain_of(["a.tfm", "inverse:b.tfm"], inverse=True)]
        ['b.tfm', 'inverse:a.tfm']
    """
    links = [Link.of(text) for text in texts or ()]
    form = form_named(said, "--from")
    if form is not None:
        told = [None if len(links) == 1 else _told(link) for link in links]
        if form not in told and None not in told:
            raise UsageError(
                f"--from {said}: {'all transforms tell their format' if links else 'no transform is named'}"
            )
        links = [link if tells else replace(link, form=form) for link, tells in zip(links, told, strict=True)]
    return [link.reversed for link in reversed(links)] if inverse else links


def composed(links: Sequence[Link], begin: End = NOTHING, end: End = NOTHING) -> FloatArray | None:
    """All links as one matrix, from points where the image ends to points where it begins; None of no links.

    The image that passes A and then B is looked up the other way: from the last space B leads to the one between, and A
    from there to the first. So the matrix is A @ B.

    Args:
        links: in the order in which the image passes them.
        begin: the image before the first, as far as it is known; formats that count in voxels ask for it.
        end: an image in the last space.

    Raises:
        MedregError: a file that cannot be read, or transforms of several dimensions.
    """
    total: FloatArray | None = None
    for number, link in enumerate(links):
        matrix = link.matrix(begin if number == 0 else NOTHING, end if number == len(links) - 1 else NOTHING)
        if total is not None and len(total) != len(matrix):
            raise TransformError(
                f"{link.path} is {len(matrix) - 1}D, {links[0].path} is {len(total) - 1}D; a chain is of one dimension"
            )
        total = matrix if total is None else total @ matrix
    return None if total is None else _settled(total)


def _settled(matrix: FloatArray) -> FloatArray:
    """A product, without the rounding that would make a homography of one whose perspectives undo each other."""
    last = matrix[-1]
    if np.abs(last[:-1]).max() > FLAT * abs(last[-1]):
        return matrix
    settled: FloatArray = matrix / last[-1]
    settled[-1, :-1] = 0.0
    return settled


def _told(link: Link) -> Form | str | None:
    """The format that a file tells, None where it does not; "?" where something else is wrong: its reader says what."""
    try:
        return form_of_file(link.path)
    except UsageError:
        return None
    except MedregError:
        return "?"


def read_early(links: Sequence[Link]) -> FloatArray | None:
    """The chain without the images, where they have no say in it; None where they have.

    Whatever is wrong with such a transform is told before large images are read.

    Raises:
        ReadError: a missing or damaged file.
    """
    try:
        if any((link.form or form_of_file(link.path)).goes_by_images for link in links):
            return None
        return composed(links)
    except ReadError:
        raise
    except MedregError:
        return None


@contextmanager
def images_named(moving: str, fixed: str) -> Iterator[None]:
    """Around what may ask for an image by --fixed and --moving: says how this verb calls them.

    Raises:
        UsageError: the same, with that said.
    """
    try:
        yield
    except UsageError as error:
        if "--fixed" not in str(error) and "--moving" not in str(error):
            raise
        raise UsageError(f"{error}; here the moving image is {moving}, the fixed one {fixed}") from error


def check_dimensions(dimensions: Mapping[str, int]) -> None:
    """Refuse images and transforms of several dimensions, by name.

    Raises:
        TransformError: 2D and 3D among them.
    """
    if len(set(dimensions.values())) > 1:
        told = ", ".join(f"{name} is {d}D" for name, d in dimensions.items())
        raise TransformError(f"{told}; all must agree")
