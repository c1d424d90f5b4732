"""Speed of medreg's rasteriser on the shapes that DiffPointRasterisation publishes, as a markdown table.

    python benchmarks/rasterisation.py --threads 2

Points are drawn from N(0, 0.3^2) as that package's tests do, in float32. Times are milliseconds of wall clock, and of
processor time in brackets: on a machine with other work the second is what to look at. Both are the least of
`--repeats`, the shapes by turns, so that what else the machine does meets all alike. `forward` makes a new image,
`forward into` writes to memory that is there, as `raster!` does; `backward` is `raster_pullback` into memory that is
there, with the slopes by all six arguments. The published times of one thread, of eight and of an NVIDIA A100 stand
beside. `filling` is `Tensor.zero_` on the same memory: no forward pass that empties its image first can be quicker.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medreg.vision.rasterisation import Slopes, raster, raster_pullback


@dataclass(frozen=True)
class Shape:
    """One of the published shapes, with its times in ms: one thread, eight, A100; forward and backward."""

    points: int
    images: int
    side: int
    axes: int
    forward: tuple[int, int, int]
    backward: tuple[int, int, int]

    @property
    def name(self) -> str:
        return f"{self.points:.0e} / {self.images} / {self.side}^{self.axes}".replace("e+0", "e")


SHAPES = [
    Shape(10_000, 64, 128, 2, (341, 73, 15), (37, 10, 1)),
    Shape(10_000, 64, 1024, 2, (387, 101, 16), (78, 24, 2)),
    Shape(100_000, 64, 128, 2, (3313, 741, 153), (374, 117, 9)),
    Shape(100_000, 64, 1024, 2, (3499, 821, 154), (469, 173, 10)),
    Shape(100_000, 1, 1024, 3, (493, 420, 24), (265, 269, 17)),
]


class Least:
    """The least wall and processor times of some work, in ms."""

    def __init__(self, work: Callable[[], object], device: torch.device) -> None:
        self.work, self.device = work, device
        self.wall = self.processor = float("inf")

    def once(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        wall, processor = time.perf_counter(), time.process_time()
        result = self.work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.wall = min(self.wall, 1e3 * (time.perf_counter() - wall))
        self.processor = min(self.processor, 1e3 * (time.process_time() - processor))
        del result

    def __str__(self) -> str:
        return f"{self.wall:.1f}" if self.device.type == "cuda" else f"{self.wall:.0f} ({self.processor:.0f})"


def works(shape: Shape, device: torch.device) -> list[Least]:
    """Forward, forward into, backward and filling of one shape."""
    random = torch.Generator().manual_seed(0)
    lead = (shape.images,) if shape.images > 1 else ()
    size = (shape.side,) * shape.axes
    cloud = 0.3 * torch.randn(shape.points, 3, generator=random)
    turns = torch.linalg.qr(torch.randn(*lead, 3, 3, generator=random))[0][..., : shape.axes, :].contiguous()
    shifts = 0.1 * torch.randn(*lead, shape.axes, generator=random)
    rest = (torch.zeros(lead), torch.ones(lead), torch.ones(shape.points))
    given: list[Tensor] = [t.to(device) for t in (cloud, turns, shifts, *rest)]
    out = torch.zeros(*lead, *size, device=device)
    into = Slopes(*(torch.empty_like(t) for t in given))
    return [
        Least(lambda: raster(size, *given), device),
        Least(lambda: raster(size, *given, out=out), device),
        Least(lambda: raster_pullback(out, *given, into=into), device),
        Least(out.zero_, device),
    ]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--largest", type=float, default=5.0, help="GiB: leave out shapes whose image is larger")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    shapes = [s for s in SHAPES if 4 * s.images * s.side**s.axes <= arguments.largest * 2**30]
    measured = [works(shape, device) for shape in shapes]
    for repeat in range(arguments.repeats + 1):
        for each in measured:
            for work in each:
                work.once()
                if repeat == 0:  # threads and memory start here, once
                    work.wall = work.processor = float("inf")
    print(
        "| points / images / pixels | forward | forward into | published 1, 8 threads, A100 | backward | published "
        "| filling |"
    )
    print("|---|---|---|---|---|---|---|")
    for shape, (new, there, back, filling) in zip(shapes, measured, strict=True):
        published = [", ".join(map(str, t)) for t in (shape.forward, shape.backward)]
        print(f"| {shape.name} | {new} | {there} | {published[0]} | {back} | {published[1]} | {filling} |")


if __name__ == "__main__":
    main()
