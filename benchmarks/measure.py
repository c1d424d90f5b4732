"""Run one command and record what it cost. Standard library only; compare.py starts it as a small process of its own:

    python -I -S measure.py TIMEOUT_S REPORT.json LOG COMMAND...

Why a process between: Linux counts the memory of the process that forks into the child's peak (`ru_maxrss` outlives
exec), so a parent that holds images would charge them to every tool. This one holds about 12 MB.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def measure(command: list[str], log: Path, timeout_s: float) -> dict[str, float | bool]:
    """Run `command` to its end or to `timeout_s`; wall and CPU seconds and peak megabytes include its own children."""
    timed_out = threading.Event()
    with log.open("wb") as sink:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )

        def stop() -> None:
            timed_out.set()
            os.killpg(child.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_s, stop)
        timer.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - start
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    return {
        "exit_code": os.waitstatus_to_exitcode(status),
        "timed_out": timed_out.is_set(),
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / unit,
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(sys.argv[4:], Path(sys.argv[3]), float(sys.argv[1]))))
