"""Puts the tables of a benchmark run into the marked blocks of README.md and docs/benchmarks.md.

Run `python docs/make_benchmarks.py` after `benchmarks/compare.py`, or name another results.md as its argument.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"


def filled(page: str, results: str) -> str:
    """`page` with `results` between the markers, in place of what is there.

    Raises:
        ValueError: the page has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{results.strip()}\n\n{END}{after}"


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "benchmarks" / "results" / "results.md"
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), source.read_text(encoding="utf-8")), encoding="utf-8")
