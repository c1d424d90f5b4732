"""Seconds from two images in memory to their transform, torch imported: what a Python user waits for.

python benchmarks/in_process.py FIXED MOVING [--transform affine] [--threads 2] [--repeat 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

import medreg


def main() -> None:
    """Print the first, the fastest and the median of the repeats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixed", type=Path)
    parser.add_argument("moving", type=Path)
    parser.add_argument("--transform", default="affine", choices=["translation", "rigid", "similarity", "affine"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    fixed, moving = medreg.read_image(asked.fixed), medreg.read_image(asked.moving)
    recipe = medreg.Recipe(transform=asked.transform)
    seconds = []
    for _ in range(asked.repeat):
        begun = time.perf_counter()
        medreg.register(fixed, moving, recipe)
        seconds.append(time.perf_counter() - begun)
    print(f"first {seconds[0]:.2f} s, fastest {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
