"""One conversion: read, write, and the sidecar beside."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from medreg.cli.tasks.outputs import check_free, check_image
from medreg.cli.tasks.warned import collected
from medreg.io.atomic import written_beside
from medreg.io.content import stem_of
from medreg.io.dicom.choice import Choice
from medreg.io.failing import missing_file


def convert_file(image: Path, out: Path, choice: Choice, *, overwrite: bool, identifiers: bool) -> str:
    """Do it; returns what to tell.

    Raises:
        MedregError: whatever is wrong with the input or the disk; then nothing is written.
    """
    check_image(out, overwrite=overwrite)
    if not image.exists():
        raise missing_file(image)
    sidecar = out.with_name(f"{stem_of(out)}.json")
    from medreg.io.dicom.sidecar import sidecar_of
    from medreg.io.image import read_stored, write_image
    from medreg.report.record import to_json

    with collected() as warned:
        stored = read_stored(image, choice)
        facts = sidecar_of(stored, identifiers=identifiers)
        if facts:
            check_free(sidecar, overwrite=overwrite)
        with written_beside(sidecar) if facts else nullcontext() as temporary:  # both, or none
            if temporary is not None:
                temporary.write_text(to_json(facts), encoding="utf-8")
            written = write_image(stored, out)
    size = " x ".join(map(str, stored.grid.size)) + (f", {stored.frames} volumes" if stored.frames > 1 else "")
    lines = [*(f"warning: {text}" for text in warned), f"wrote {out} ({size}, {written.sentence})"]
    return "\n".join([*lines, f"wrote {sidecar}"] if facts else lines)
