"""What the figures were measured on: machine and programs, said before every table."""

import contextlib
import os
import platform
import shutil
import ssl
import subprocess
from pathlib import Path

from transfer_lab.origins import find_nginx

GIB = 1024**3
NEEDED = {"nginx": "nginx", "aria2c": "aria2", "curl": "curl"}
"""Programs, and the Debian packages that have them."""


def require_programs() -> None:
    """End the benchmark, with the packages to install, if a program is missing."""
    missing = [package for program, package in NEEDED.items() if not _has(program)]
    if missing:
        raise SystemExit(f"not installed: apt install {' '.join(missing)}")


def describe_machine() -> list[str]:
    """Return two lines: the machine, and the versions of everything that takes part."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if "model name" in line), cpu)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    machine = f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB"
    versions = [
        f"Python {platform.python_version()} with {ssl.OPENSSL_VERSION}",
        _version([find_nginx() or "nginx", "-v"]),
        _version(["aria2c", "--version"]),
        _version(["curl", "--version"]),
    ]
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return [
        f"{machine}, {platform.system()} {platform.release()}, load {load}",
        "; ".join(versions),
    ]


def _has(program: str) -> bool:
    return bool(find_nginx() if program == "nginx" else shutil.which(program))


def _version(words: list[str]) -> str:
    """Return the first line that a program says of itself, as far as the version goes."""
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    return " ".join((done.stdout or done.stderr).split("\n", 1)[0].split()[:3])
