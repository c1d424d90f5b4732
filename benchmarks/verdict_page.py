"""The page on the verdict, docs/verdict.md, and its reliability plot: what the calibration's test showed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from verdict_rows import Row

from medreg.registration.calibration import Model
from medreg.registration.verdict import Verdict

DOCS = Path(__file__).resolve().parent.parent / "docs"
SIDE, MARGIN, GAP = 460, 70, 90
INK, FAINT, GOOD, BAD = (30, 30, 30), (205, 205, 205), (0, 114, 178), (213, 94, 0)
BINS = ((0.0, 0.02), (0.02, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 0.98), (0.98, 1.0))


def write_page(rows: Sequence[Row], verdicts: Sequence[Verdict], figures: dict[str, float], model: Model) -> None:
    """Write both."""
    plot(rows, verdicts).save(DOCS / "verdict.png", optimize=True)
    text = (DOCS / "verdict.md").read_text(encoding="utf-8")
    table = "\n".join([*_figures(figures), "", *_features(model)])
    before, rest = text.split("<!-- figures -->\n", 1)
    after = rest.split("<!-- end of figures -->", 1)[1]
    (DOCS / "verdict.md").write_text(
        f"{before}<!-- figures -->\n{table}\n<!-- end of figures -->{after}", encoding="utf-8"
    )


def _figures(figures: dict[str, float]) -> list[str]:
    """A table of what the test showed."""
    return [
        f"| on {figures['cases']} unseen cases, {figures['failures']} of them failures | | bar |",
        "|---|---|---|",
        f"| area under the ROC curve of the probability | {figures['auc']:.4f} | >= 0.99 |",
        f"| failures that are called `ok` | {figures['failures_called_ok']} | 0 |",
        f"| good ones that are not called `ok` | {figures['good_not_ok']:.1%} | <= 5 % |",
        f"| good ones whose error lies in the 95 % interval | {figures['covered']:.1%} | 90 to 99 % |",
    ]


def _features(model: Model) -> list[str]:
    """A table of the model."""
    lines = [f"Intercept {model.intercept:g}; ok below {model.limits.ok:g}, failed from {model.limits.failed:g}.", ""]
    lines += ["| feature | what it is | counts from | in full at | weight |", "|---|---|---|---|---|"]
    return lines + [
        f"| `{name}` | {f.meaning} | {f.good:g} | {f.bad:g} | {f.weight:g} |" for name, f in model.features.items()
    ]


def plot(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> Image.Image:
    """Left: the share of failures by the probability of one. Right: the error by the predicted error, good cases."""
    picture = Image.new("RGB", (2 * SIDE + GAP + 2 * MARGIN, SIDE + 2 * MARGIN), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(17)
    _reliability(draw, font, rows, verdicts)
    _errors(draw, font, rows, verdicts)
    return picture


def _reliability(draw: ImageDraw.ImageDraw, font, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    def at(x: float, y: float) -> tuple[float, float]:
        return MARGIN + x * SIDE, MARGIN + (1 - y) * SIDE

    _frame(draw, at)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        draw.text((at(tick, 0)[0], at(0, 0)[1] + 6), f"{tick:g}", INK, font, anchor="ma")
        draw.text((at(0, 0)[0] - 8, at(0, tick)[1]), f"{tick:g}", INK, font, anchor="rm")
    draw.line([at(0, 0), at(1, 1)], FAINT, 2)
    p, fails = np.array([v.probability_of_failure for v in verdicts]), np.array([row.fails for row in rows])
    for number, (low, high) in enumerate(BINS):
        inside = (p >= low) & ((p < high) | (high == 1.0))
        if count := int(inside.sum()):
            x, y = at(float(p[inside].mean()), float(fails[inside].mean()))
            radius = 4 + 1.2 * math.sqrt(count)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), GOOD if y > MARGIN + SIDE / 2 else BAD)
            low_half = x < MARGIN + SIDE / 2  # labels inside the frame, neighbours one above another
            step = radius + 14 + 24 * (number if low_half else len(BINS) - 1 - number)
            place = x + (4 if low_half else -4), y - step if y > MARGIN + SIDE / 2 else y + step
            draw.text(place, f"{count} case{'s' if count > 1 else ''}", INK, font, anchor="lm" if low_half else "rm")
    draw.text((MARGIN + SIDE / 2, MARGIN - 16), "share that failed", INK, font, anchor="mb")
    draw.text((MARGIN + SIDE / 2, MARGIN + SIDE + 32), "probability of failure", INK, font, anchor="ma")


def _errors(draw: ImageDraw.ImageDraw, font, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    low, high, left = math.log10(0.01), math.log10(5), MARGIN + SIDE + GAP

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * SIDE, MARGIN + (1 - y) * SIDE

    def share(value: float) -> float:
        return min(max((math.log10(max(value, 1e-6)) - low) / (high - low), 0.0), 1.0)

    _frame(draw, at)
    for tick in (0.01, 0.1, 1.0):
        x, y = at(share(tick), share(tick))
        draw.text((x, at(0, 0)[1] + 6), f"{tick:g}", INK, font, anchor="ma")
        draw.text((left - 8, y), f"{tick:g}", INK, font, anchor="rm")
        draw.line([(x, at(0, 0)[1]), (x, at(0, 1)[1])], FAINT)
        draw.line([(left, y), (left + SIDE, y)], FAINT)
    draw.line([at(0, 0), at(1, 1)], FAINT, 2)
    for row, verdict in zip(rows, verdicts, strict=True):
        error = verdict.predicted_error
        if row.fails or error is None:
            continue
        x, y = at(share(error.mean_mm), share(row.tre_mm))
        held = error.interval_mm[0] <= row.tre_mm <= error.interval_mm[1]
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), GOOD if held else BAD)
    draw.text((left + SIDE / 2, MARGIN - 16), "true error, mm (orange: not in the interval)", INK, font, anchor="mb")
    draw.text((left + SIDE / 2, MARGIN + SIDE + 32), "predicted error, mm", INK, font, anchor="ma")


def _frame(draw: ImageDraw.ImageDraw, at) -> None:
    draw.rectangle([at(0, 1), at(1, 0)], outline=INK)
