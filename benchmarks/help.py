"""How long `medreg --help` takes, as a whole process: the least and the median of several.

python benchmarks/help.py --repeats 10
"""

import argparse
import statistics
import subprocess
import sys
import time


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    seconds = []
    for _ in range(parser.parse_args().repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "medreg", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    print(f"medreg --help: least {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
