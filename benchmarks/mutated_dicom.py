#!/usr/bin/env python3
"""What becomes of damaged DICOM files: an image, or a clear error; never a traceback, a hang, or all memory.

    python benchmarks/mutated_dicom.py --files 2000
    python benchmarks/mutated_dicom.py --only 1234        # one of them again, here, with the traceback
    python benchmarks/mutated_dicom.py --table            # pydicom's own files as they are, as a markdown table

Files of pydicom's package (none is downloaded) are damaged: bytes flipped in the header or in the pixels, cut short,
attributes removed or set to absurd values, value representations and lengths overwritten. --seed and a file's number
name its damage. Each is listed and read in a worker process with --seconds of time. Memory counts where more than
--memory-mb above the start are resident (on Linux measured file by file), and where a file asks for more than
--address-mb. Exit code 1 where anything but an image or a MedregError came out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import random
import re
import resource
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement

from medreg.errors import MedregError
from medreg.io.dicom.facts import facts_of
from medreg.io.dicom.origin import origin_of

GOOD = ("image", "error")
VRS = ("AE", "CS", "DS", "FD", "FL", "IS", "LO", "OB", "OW", "PN", "SQ", "SS", "UI", "UL", "UN", "US", "UT", "ZZ")
ABSURD: tuple[tuple[str, tuple[bytes | int, ...]], ...] = (  # integers are US in the file's byte order
    ("Rows", (0, 1, 65535)),
    ("Columns", (0, 1, 65535)),
    ("BitsAllocated", (0, 1, 7, 12, 32, 64, 65535)),
    ("BitsStored", (0, 1, 17, 65535)),
    ("HighBit", (0, 40, 65535)),
    ("PixelRepresentation", (1, 2, 65535)),
    ("SamplesPerPixel", (0, 2, 3, 4, 65535)),
    ("PlanarConfiguration", (1, 9)),
    ("NumberOfFrames", (b"0", b"-1", b"2", b"1000000000", b"nan", b"99999999999999999999", b"1\\2", b"text")),
    ("PixelSpacing", (b"0\\0", b"-1\\-1", b"nan\\nan", b"1e308\\1e-308", b"1", b"a\\b", b"", b"1\\1\\1")),
    ("ImagePositionPatient", (b"nan\\0\\0", b"1e300\\0\\0", b"0\\0", b"text", b"", b"inf\\-inf\\0")),
    (
        "ImageOrientationPatient",
        (b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"nan\\0\\0\\0\\1\\0", b"1\\0", b"9\\0\\0\\0\\9\\0"),
    ),
    ("SliceThickness", (b"0", b"-3", b"nan", b"1e300")),
    ("RescaleSlope", (b"0", b"nan", b"1e308", b"text", b"1\\2", b"1e-320")),
    ("RescaleIntercept", (b"inf", b"-1e308", b"text")),
    ("PhotometricInterpretation", (b"PALETTE COLOR", b"RGB", b"YBR_FULL_422", b"MONOCHROME1", b"NONSENSE", b"")),
    ("SOPClassUID", (b"1.2.3", b"", b"1.2.840.10008.5.1.4.1.1.4.1", b"1.2.840.10008.5.1.4.1.1.66.1")),
    ("SeriesInstanceUID", (b"", b"not a UID", b"1." * 40)),
    ("SpecificCharacterSet", (b"ISO_IR 999", b"\\ISO 2022 IR 87", b"nonsense")),
    ("Modality", (b"", b"PT", b"\xff\xfe")),
    ("ImageType", (b"ORIGINAL\\PRIMARY\\MOSAIC", b"")),
    ("WindowWidth", (b"0", b"nan")),
    ("RedPaletteColorLookupTableDescriptor", (b"\0" * 6, b"\xff" * 6, b"\1\0")),
    ("PixelData", (b"", b"\0", b"\xfe\xff\x00\xe0\xff\xff\xff\x7f")),
    ("SharedFunctionalGroupsSequence", (b"", b"\xff" * 8)),
    ("PerFrameFunctionalGroupsSequence", (b"", b"\xff" * 8)),
)
SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"),
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.3", ""),
)


@dataclass(frozen=True)
class Damaged:
    """One file of the run: its number, the file that it was made of, what was done, its bytes."""

    number: int
    source: str
    damage: str
    content: bytes


@dataclass(frozen=True)
class Result:
    """What came of a file: "image", "error" (a MedregError), "exception", "hang", "memory" or "crash"."""

    kind: str
    said: str


# ---- damage


def flip(content: bytes, first: int, last: int, draw: random.Random) -> bytes:
    """Up to 16 bytes between two places get other values."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        changed[draw.randrange(first, max(first + 1, last))] = draw.randrange(256)
    return bytes(changed)


def flip_header(content: bytes, draw: random.Random) -> bytes:
    return flip(content, 0, pixels_at(content), draw)


def flip_pixels(content: bytes, draw: random.Random) -> bytes:
    return flip(content, min(pixels_at(content), len(content) - 1), len(content), draw)


def cut_short(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def remove_tags(content: bytes, draw: random.Random) -> bytes:
    dataset = parsed(content)
    tags = list(dataset.keys())
    for tag in draw.sample(tags, min(len(tags), draw.choice((1, 1, 2, 5)))):
        del dataset[tag]
    return written(dataset)


def set_absurd(content: bytes, draw: random.Random) -> bytes:
    dataset = parsed(content)
    present = [(name, values) for name, values in ABSURD if name in dataset]
    for name, values in draw.sample(present or list(ABSURD), min(len(present) or 1, draw.choice((1, 1, 2, 3)))):
        value = draw.choice(values)
        set_raw(dataset, name, value)
    return written(dataset)


def swap_syntax(content: bytes, draw: random.Random) -> bytes:
    dataset = parsed(content)
    dataset.file_meta.TransferSyntaxUID = draw.choice(SYNTAXES)
    saved = io.BytesIO()
    little, implicit = dataset.original_encoding[1], dataset.original_encoding[0]
    dataset.save_as(saved, little_endian=little, implicit_vr=implicit, enforce_file_format=False)
    return saved.getvalue()


def swap_vr(content: bytes, draw: random.Random) -> bytes:
    """One attribute's VR becomes another's, its value staying as it is."""
    dataset = parsed(content)
    tag = draw.choice(list(dataset.keys()))
    raw = dataset.get_item(tag)
    if isinstance(raw, RawDataElement):
        dataset[tag] = raw._replace(VR=draw.choice(VRS), is_implicit_VR=False)
    return written(dataset)


def absurd_length(content: bytes, draw: random.Random) -> bytes:
    """The length before one attribute's value becomes a huge one."""
    dataset = parsed(content)
    places = [raw.value_tell for raw in map(dataset.get_item, dataset.keys()) if isinstance(raw, RawDataElement)]
    place = draw.choice([p for p in places if p >= 4])
    length = draw.choice((0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFE, 0x00100000))
    return content[: place - 4] + struct.pack("<I", length) + content[place:]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(flip_header, flip_header, flip_pixels, cut_short, remove_tags),
    *(set_absurd, set_absurd, set_absurd, swap_syntax, swap_vr, absurd_length),
)


def parsed(content: bytes) -> pydicom.Dataset:
    """The attributes, each still raw bytes."""
    return pydicom.dcmread(io.BytesIO(content), force=True)


def set_raw(dataset: pydicom.Dataset, name: str, value: bytes | int) -> None:
    """Put bytes into an attribute, unchecked."""
    implicit, little = dataset.original_encoding
    if isinstance(value, int):
        value = struct.pack("<H" if little else ">H", value)
    tag = pydicom.tag.Tag(name)
    vr = pydicom.datadict.dictionary_VR(tag).split()[0]
    value += b" " * (len(value) % 2)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, bool(implicit), bool(little))


def written(dataset: pydicom.Dataset) -> bytes:
    """The file of attributes, written as it was encoded."""
    saved = io.BytesIO()
    implicit, little = dataset.original_encoding
    dataset.save_as(saved, implicit_vr=bool(implicit), little_endian=little is not False, enforce_file_format=False)
    return saved.getvalue()


def pixels_at(content: bytes) -> int:
    """Where the pixels begin, or the end of the file."""
    found = max(content.rfind(b"\xe0\x7f\x10\x00"), content.rfind(b"\x7f\xe0\x00\x10"))
    return found if found > 0 else len(content)


def damaged(seed: int, number: int, sources: list[Path]) -> Damaged:
    """The file that a seed and a number name. What pydicom cannot take apart gets its bytes flipped."""
    draw = random.Random(f"{seed}/{number}")
    source = draw.choice(sources)
    content, damage = source.read_bytes(), draw.choice(DAMAGES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed = damage(content, draw)
    except Exception:
        damage, changed = flip_header, flip_header(content, draw)
    return Damaged(number, source.name, damage.__name__, changed)


def bundled() -> list[Path]:
    """The files with DICOM in them that lie in pydicom's package."""
    home = Path(pydicom.__file__).parent / "data"
    found = [path for folder in ("test_files", "charset_files") for path in sorted((home / folder).rglob("*"))]
    return [path for path in found if path.is_file() and path.suffix not in (".txt", ".json", ".dump", ".icc", ".py")]


# ---- the worker: reads the files whose names come in, and answers a line for each


def read(path: str, reader: str) -> Result:
    """Read one file; a MedregError is an answer, any other exception is not."""
    module, _, name = reader.partition(":")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            list_beside(path)
            image = getattr(importlib.import_module(module), name)(Path(path))
            tell_facts(image)
        array = getattr(image, "array", image)
        return Result("image", f"{'x'.join(map(str, array.shape))} {array.dtype}")
    except MedregError as error:
        said = f"{type(error).__name__}: {error}".replace(path, Path(path).name)
        return Result("memory" if "does not fit into memory" in said else "error", said)
    except MemoryError:
        return Result("memory", "MemoryError")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # decoders written in Rust panic past Exception
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Result("exception", f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})")


def list_beside(path: str) -> None:
    """List what the file holds, as far as that reader is there."""
    dicom = importlib.import_module("medreg.io.dicom")
    if hasattr(dicom, "list_series"):
        with contextlib.suppress(MedregError):
            dicom.list_series(Path(path))


def tell_facts(image: Any) -> None:
    """The sidecar's facts of an image read from DICOM."""
    origin = origin_of(getattr(image, "metadata", {}))
    if origin is not None:
        json.dumps(facts_of(origin.template), allow_nan=False)


def serve(reader: str, address_mb: float, warm: str) -> None:
    """Answer each path on stdin with a line of JSON: kind, what was said, peak megabytes above the start."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries may print
    read(warm, reader)  # import everything that reading imports
    start_mb = status_mb("VmRSS") or peak_mb()
    limit = int((status_mb("VmSize") + address_mb) * 1e6) if status_mb("VmSize") else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        forget_peak()
        result = read(line.rstrip("\n"), reader)
        used = peak_mb() - start_mb
        print(json.dumps([result.kind, result.said, used]), file=answers, flush=True)


def status_mb(name: str) -> float:
    """A figure of /proc/self/status in megabytes; 0 where there is none."""
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0.0
    return int(found.group(1)) * 1024 / 1e6 if found else 0.0


def peak_mb() -> float:
    """Peak resident memory: since `forget_peak` on Linux, else of the whole process."""
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return status_mb("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak() -> None:
    """Let the kernel count the peak anew, where it can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


class Worker:
    """One process that reads file after file, replaced where it hangs or dies."""

    def __init__(self, options: argparse.Namespace, warm: Path) -> None:
        self.options = options
        mine = ["--worker", str(warm), "--reader", options.reader, "--address-mb", str(options.address_mb)]
        self.command = [sys.executable, str(Path(__file__).resolve()), *mine]
        self.process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> Result:
        """Have the file read, for the seconds that it may take."""
        started = self.process is None
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died between two files
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            answered = waiting.select(self.options.seconds + (60 if started else 0))  # the start imports
        line = process.stdout.readline() if answered else ""
        if not answered:
            self.stop()
            return Result("hang", f"more than {self.options.seconds:g} s")
        if not line:
            code = process.wait()
            self.stop()
            return Result("crash", signal.Signals(-code).name if code < 0 else f"the worker ended with {code}")
        kind, said, used = json.loads(line)
        if used > self.options.memory_mb:
            return Result("memory", f"{used:.0f} MB; {said}")
        return Result(kind, said)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


# ---- the run


def results(options: argparse.Namespace, sources: list[Path]) -> Iterator[tuple[Damaged, Result]]:
    """Damage and read all files, on as many workers as asked."""
    own, workers, warm = threading.local(), [], sources[0]
    with tempfile.TemporaryDirectory() as scratch:

        def one(number: int) -> tuple[Damaged, Result]:
            if not hasattr(own, "worker"):
                own.worker = Worker(options, warm)
                workers.append(own.worker)
            made = damaged(options.seed, number, sources)
            path = Path(scratch) / f"{number}_{made.source}"
            path.write_bytes(made.content)
            result = own.worker.read(path)
            path.unlink()
            return made, result

        with ThreadPoolExecutor(options.workers) as pool:
            yield from pool.map(one, range(options.first, options.first + options.files))
        for worker in workers:
            worker.stop()


def table(options: argparse.Namespace, sources: list[Path]) -> int:
    """What becomes of the files as they are."""
    worker, count = Worker(options, sources[0]), Counter[str]()
    print("| file | outcome |\n|---|---|")
    for path in sources:
        home = next(parent for parent in path.parents if parent.name == "data")
        result = worker.read(path)
        count[result.kind] += 1
        shown = result.said if result.kind in GOOD else f"**{result.kind}**: {result.said}"
        print(f"| {path.relative_to(home)} | {shown.replace('|', '/').replace(chr(10), ' ')} |", flush=True)
    worker.stop()
    print("\n" + ", ".join(f"{n} {kind}" for kind, n in count.most_common()))
    return 0 if set(count) <= set(GOOD) else 1


def again(options: argparse.Namespace, sources: list[Path]) -> int:
    """One damaged file in this process, with whatever it raises."""
    made = damaged(options.seed, options.only, sources)
    with tempfile.TemporaryDirectory() as scratch:
        path = (options.keep or Path(scratch)) / f"{made.number}_{made.source}"
        path.write_bytes(made.content)
        print(f"{path.name}: {made.damage}, {len(made.content)} bytes")
        module, _, name = options.reader.partition(":")
        image = getattr(importlib.import_module(module), name)(path)
        print(getattr(image, "array", image).shape)
    return 0


def main() -> int:
    """Return 0 if all files end as an image or a clear error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="how many; default: 2000")
    parser.add_argument("--first", type=int, default=0, help="number of the first; default: 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="read this one in this process")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="with --only: leave the file there")
    parser.add_argument("--table", action="store_true", help="read the files undamaged, print a table")
    parser.add_argument("--sources", type=Path, metavar="FOLDER", help="files to damage; default: pydicom's")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="a file may take; default: 10")
    parser.add_argument("--memory-mb", type=float, default=1000, help="a file may take; default: 1000")
    parser.add_argument("--address-mb", type=float, default=4000, help="a file may ask for; default: 4000")
    parser.add_argument("--reader", default="medreg.io:read_stored", metavar="MODULE:FUNCTION")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(options.reader, options.address_mb, options.worker)
        return 0
    sources = [p for p in sorted(options.sources.rglob("*")) if p.is_file()] if options.sources else bundled()
    if options.table:
        return table(options, sources)
    if options.only is not None:
        return again(options, sources)
    kinds, classes, by_damage = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for made, result in results(options, sources):
        kinds[result.kind] += 1
        by_damage[made.damage, result.kind] += 1
        if result.kind == "error":
            classes[result.said.partition(":")[0]] += 1
        elif result.kind != "image":
            which = f"--seed {options.seed} --only {made.number}: {made.source}, {made.damage}"
            print(f"{which}: {result.kind}, {result.said}", flush=True)
    shown = [*GOOD, *sorted(set(kinds) - set(GOOD))]
    print("\n| damage | " + " | ".join(shown) + " |\n|---|" + "---:|" * len(shown))
    for damage in sorted({name for name, _ in by_damage}):
        print(f"| {damage} | " + " | ".join(str(by_damage[damage, kind]) for kind in shown) + " |")
    print("| all | " + " | ".join(str(kinds[kind]) for kind in shown) + " |")
    print("\nerrors: " + ", ".join(f"{n} {name}" for name, n in classes.most_common()))
    return 0 if set(kinds) <= set(GOOD) else 1


if __name__ == "__main__":
    sys.exit(main())
