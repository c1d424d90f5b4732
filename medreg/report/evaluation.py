"""What `medreg evaluate` found, as tables: on a terminal by rich, elsewhere as plain lines, and as CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes:
        title: what was compared.
        notes: how, a line each.
        columns: their names; the first names the rows.
        rows: texts.
        totals: rows that sum up the others.
    """

    title: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    totals: tuple[tuple[str, ...], ...] = field(default=())


def sheets(record: Mapping[str, Any]) -> list[Sheet]:
    """The tables of a record of `medreg evaluate`, in the order in which a person asks."""
    makers = {"landmarks": _landmarks, "labels": _labels, "transforms": _transforms, "inverse": _inverse}
    return [make(record[kind]) for kind, make in makers.items() if record.get(kind)]


def show(found: Sequence[Sheet]) -> None:
    """Print tables to stdout: with rich on a terminal, else as plain text that scripts can cut."""
    if not sys.stdout.isatty():
        sys.stdout.write("\n\n".join("\n".join(plain_lines(sheet)) for sheet in found) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for k, sheet in enumerate(found):
        table = Table(title=Text(sheet.title, style="bold"), title_justify="left", box=None, pad_edge=False)
        for number, column in enumerate(sheet.columns):
            table.add_column(Text(column), justify="left" if number == 0 else "right", no_wrap=number > 0)
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        if sheet.rows and sheet.totals:
            table.add_section()
        for row in sheet.totals:
            table.add_row(*(Text(cell, style="bold") for cell in row))
        if k:
            console.print()
        console.print(table)
        for note in sheet.notes:
            console.print(Text(note, style="dim"))


def plain_lines(sheet: Sheet) -> list[str]:
    """A table as text: columns at fixed places."""
    body = [sheet.columns, *sheet.rows, *sheet.totals]
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    lines = [sheet.title, *(f"  {note}" for note in sheet.notes)]
    for row in body:
        first = f"{row[0]:<{widths[0]}}"
        rest = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  " + "  ".join([first, *rest]).rstrip())
    return lines


def to_csv(record: Mapping[str, Any]) -> str:
    """A record as one CSV table: a row for each point, label, and pair of transforms, all digits kept.

    Columns are `kind`, `name`, and the quantities of the kinds that were asked for; cells of other kinds are empty.
    """
    rows: list[dict[str, Any]] = []
    for point in (record.get("landmarks") or {}).get("points", ()):
        rows.append({"kind": "landmark", "name": point["name"], "error": point["error"]})
    for label in (record.get("labels") or {}).get("labels", ()):
        rows.append({"kind": "label", "name": label["label"], **{k: v for k, v in label.items() if k != "label"}})
    for kind in ("transforms", "inverse"):
        if found := record.get(kind):
            rows.append({"kind": kind, "name": " ".join(found["files"]), **found["apart"]})
    for kind in ("landmarks", "labels"):
        if found := record.get(kind):
            rows += [{"kind": kind, "name": name, **values} for name, values in found["summary"].items()]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if row.get(key) is None else row[key] for key in columns] for row in rows)
    return text.getvalue()


def _landmarks(found: Mapping[str, Any]) -> Sheet:
    unit = found["unit"]
    through = f" through {found['transform']}" if found["transform"] else ""
    notes = [
        f"fixed points: {found['fixed_space']}",
        f"moving points: {found['moving_space']}",
        f"{len(found['points'])} pairs, matched by {found['matched_by']}",
    ]
    for side in ("fixed", "moving"):
        if left := found[f"only_{side}"]:
            notes.append(f"only in {found[side]}: {', '.join(left[:8])}{' ...' if len(left) > 8 else ''}")
    rows = tuple((point["name"], _number(point["error"])) for point in found["points"])
    totals = tuple((name, _number(values["error"])) for name, values in found["summary"].items())
    title = f"landmarks  {found['fixed']} -> {found['moving']}{through}"
    return Sheet(title, tuple(notes), ("point", f"error {unit}"), rows, totals)


_LABEL_COLUMNS = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "volume_similarity": "volume",
    "mean_surface": "surface",
    "hausdorff_95": "HD95",
    "hausdorff": "HD",
}


def _labels(found: Mapping[str, Any]) -> Sheet:
    unit = found["unit"]
    through = f" through {found['transform']}" if found["transform"] else ""
    titles = tuple(
        f"{title} {unit}" if key in ("mean_surface", "hausdorff_95", "hausdorff") else title
        for key, title in _LABEL_COLUMNS.items()
    )
    notes = []
    if found["interpolation"]:
        notes.append(f"{found['moving']} brought onto the grid of {found['fixed']} ({found['interpolation']})")
    for side in ("fixed", "moving"):
        if left := found[f"only_{side}"]:
            notes.append(
                f"only in {found[side]}: {', '.join(map(str, left[:12]))}{' ...' if len(left) > 12 else ''} "
                "(Dice 0, no distance)"
            )
    rows = tuple((str(row["label"]), *_cells(row)) for row in found["labels"])
    totals = tuple((name, *_cells(values)) for name, values in found["summary"].items())
    return Sheet(
        f"labels  {found['fixed']} and {found['moving']}{through}", tuple(notes), ("label", *titles), rows, totals
    )


def _transforms(found: Mapping[str, Any]) -> Sheet:
    return _displaced(found, "transforms  {} and {}: apart over {}".format(*found["files"], found["like"]))


def _inverse(found: Mapping[str, Any]) -> Sheet:
    return _displaced(found, "inverse  {}, then {}: off the start over {}".format(*found["files"], found["like"]))


def _displaced(found: Mapping[str, Any], title: str) -> Sheet:
    names = {"mean": "mean", "rms": "rms", "percentile_95": "95 %", "maximum": "max"}
    rows = tuple((name, _number(found["apart"][key])) for key, name in names.items())
    return Sheet(title, (), ("over the image", found["unit"]), rows)


def _cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple("-" if values.get(key) is None else _number(values[key]) for key in _LABEL_COLUMNS)


def _number(value: float) -> str:
    """Three decimals; of what is smaller, as much as shows that it is not nothing."""
    return f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.1e}"
