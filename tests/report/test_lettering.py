"""Letters of the figure: names of any script without boxes, and plain ones as ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import ImageFont

from medreg.report.page import lettering
from medreg.report.page.lettering import lettered

Fonts = Callable[[str, int], Any]


class Drawn:
    """A mask that shows one text and no other."""

    def __init__(self, text: str) -> None:
        self.size, self.text = (len(text), 1), text

    def __bytes__(self) -> bytes:
        return self.text.encode("utf-32")


class Greek:
    """A font of the Greek block, which draws a box for all else."""

    def getmask(self, letter: str) -> Drawn:
        return Drawn(letter if letter in ".: " or "\u0370" <= letter <= "\u03ff" else "\u25a1")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fonts], None]:
    """Give the system other fonts."""
    return lambda fonts: monkeypatch.setattr(lettering, "_system_font", fonts)


def none(name: str, size: int) -> None:
    return None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("M\u00fcller, Zo\u00eb", "Muller, Zoe"),
        ("\u0105\u010d\u0159", "acr"),
        ("\u03b8.nii.gz", "?.nii.gz"),
        ("\u982d\u90e8", "??"),
        ("2.5\u00b0 \u00b1 1 \u2026", "2.5\u00b0 \u00b1 1 \u2026"),  # which Pillow's own font has
    ],
)
def test_without_fonts_of_the_system_a_letter_loses_its_accents_or_becomes_a_question_mark(
    system: Callable[[Fonts], None], text: str, shown: str
) -> None:
    system(none)
    assert lettered(text, 21)[0] == shown


def test_a_font_of_the_system_is_taken_for_what_it_has_and_for_nothing_else(system: Callable[[Fonts], None]) -> None:
    greek = Greek()
    system(lambda name, size: greek)
    assert lettered("\u03b8 \u03c9.", 21) == ("\u03b8 \u03c9.", greek)
    text, font = lettered("\u03b8 \u0416", 21)  # Cyrillic it has not
    assert (text, font is greek) == ("? ?", False)


def test_plain_text_is_in_pillows_own_font_whatever_the_system_has(system: Callable[[Fonts], None]) -> None:
    system(lambda name, size: pytest.fail("no other font is wanted"))
    plain = "".join(map(chr, range(32, 127)))
    text, font = lettered(plain, 21)
    assert (text, font.getname()) == (plain, ImageFont.load_default(21).getname())


def test_a_font_that_the_system_lacks_is_none() -> None:
    assert lettering._system_font("there is no such font.ttf", 20) is None
