"""Run one program and write down its wall time, CPU time and peak memory.

    python -I -S measured.py REPORT PROGRAM [ARGUMENT...]

A process of its own, and one that imports next to nothing: the kernel counts the memory of
whoever starts a program as the program's own peak, up to the instant at which it begins.
"""

import os
import sys
import time


def main() -> int:
    """Return the exit status of the program."""
    report, *words = sys.argv[1:]
    began = time.perf_counter()
    child = os.posix_spawnp(words[0], words, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    with open(report, "w", encoding="ascii") as file:
        # Linux counts the peak in KiB.
        file.write(f"{wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}\n")
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
