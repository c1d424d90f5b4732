"""Writes head_t1_dicom.zip and head_t2_dicom.zip beside this script, or into --out: the sample heads as DICOM series.

python sample_data/make_dicom.py [--out DIR]

One invented patient at two visits, so two studies and two frames of reference. The poses are those of `head_t1` and
`head_t2_moved`, and so is the truth between them; the grids are coarser, for size. The same bytes every time.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import dicom_series
import make
import numpy as np
import phantom

NOISE = 0.01


@dataclass(frozen=True)
class Visit:
    """One series to write: the scan and what its headers say."""

    scan: make.Scan
    study: str
    date: str
    series: str
    echo_ms: float
    repetition_ms: float

    def attributes(self) -> dicom_series.Attributes:
        """What differs from `dicom_attributes.SITE` and the maker's defaults."""
        dates = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), self.date)
        return dates | {
            "StudyDescription": self.study,
            "EchoTime": self.echo_ms,
            "RepetitionTime": self.repetition_ms,
        }


FIRST = Visit(
    replace(
        make.FIXED,
        name="head_t1_dicom",
        what="fixed: T1-like, axis-aligned",
        grid=phantom.Grid.centred(size=(88, 108, 66), spacing=(2.2, 2.2, 3.0), centre=make.HEAD_CENTRE_MM),
        subsamples=(1, 1, 2),
    ),
    study="Head, first visit",
    date="20240229",
    series="T1 head",
    echo_ms=3.5,
    repetition_ms=8,
)
SECOND = Visit(
    replace(
        make.T2_MOVED,
        name="head_t2_dicom",
        what="moving: T2-like, moved as `head_t2_moved`, oblique sagittal",
        grid=phantom.Grid.centred(
            size=(114, 98, 56),
            spacing=(2.2, 2.2, 3.5),
            centre=(-4, 14, -24),
            direction=phantom.rotation((4, -6, -3)) @ make.SAGITTAL,
        ),
    ),
    study="Head, second visit",
    date="20240829",
    series="T2 head",
    echo_ms=90,
    repetition_ms=4500,
)
VISITS = (FIRST, SECOND)


def write_series(folder: Path, visit: Visit) -> Path:
    """Write one visit's image as a zip of a series, the files' names in no order."""
    scan = visit.scan
    image = phantom.render(
        scan.grid,
        scan.contrast,
        scan.fixed_to_moving,
        noise=NOISE,
        bias=scan.bias,
        seed=scan.seed,
        subsamples=scan.subsamples,
    )
    stored = np.rint(image).astype(np.uint16).transpose(2, 1, 0)
    with tempfile.TemporaryDirectory() as name:
        paths = dicom_series.classic(
            Path(name) / scan.name,
            stored,
            scan.grid.affine,
            names=[f"IM{number:04d}.dcm" for number in dicom_series.shuffled(len(stored), scan.seed)],
            series=scan.name,
            study=scan.name,
            space=scan.name,
            description=visit.series,
            extra=visit.attributes(),
        )
        return dicom_series.zipped(folder / f"{scan.name}.zip", sorted(paths), Path(name))


HEADING = "## The heads as DICOM"
SECTION = """{heading}

`head_t1_dicom.zip` and `head_t2_dicom.zip` are written by `sample_data/make_dicom.py`, as is this section; run it after
`make.py`. Each is a classic MR series, one slice a file, the files' names in no order. The poses are those of `head_t1`
and `head_t2_moved`, so `head_t2_moved.truth.txt` holds here, too. The grids are coarser, the noise is {noise:.0%}.
The patient, the hospital and all dates, numbers and UIDs are invented: DOE^JANE never was, at two visits.

| series | what | voxels | spacing, mm | study |
|---|---|---|---|---|
{rows}

`dicom_series.py` makes series of many more kinds, for tests: enhanced, mosaic, 4D, colour, PET, compressed ...

"""


def write_section(folder: Path) -> None:
    """Put the section into the SOURCE.md that `make.py` wrote, before the truth's direction, or where it is already."""
    rows = [
        f"| `{visit.scan.name}` | {visit.scan.what} | {' x '.join(map(str, visit.scan.grid.size))} "
        f"| {' x '.join(f'{step:.3g}' for step in np.linalg.norm(visit.scan.grid.affine[:3, :3], axis=0))} "
        f"| {visit.study}, {visit.date} |"
        for visit in VISITS
    ]
    section = SECTION.format(heading=HEADING, noise=NOISE, rows="\n".join(rows))
    page = folder / "SOURCE.md"
    before, _, after = page.read_text().partition("## The truth's direction")
    page.write_text(before.partition(HEADING)[0] + section + "## The truth's direction" + after)


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description="Write the sample heads as DICOM series.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to (default: here)")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for visit in VISITS:
        write_series(folder, visit)
    if (folder / "SOURCE.md").exists():
        write_section(folder)


if __name__ == "__main__":
    main()
