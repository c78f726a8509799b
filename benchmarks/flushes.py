"""Count the flushes of a first sync of many small files, and time it with and without them.

    python benchmarks/flushes.py [--files 2000] [--size 2000] [--runs 3] [--at FOLDER]
    python benchmarks/flushes.py --other old/.venv/bin/python

The registry is this project's own, in this process, so that server and client share the
machine. FOLDER must be on a real disk: memory has nothing to flush. Another civsync, by the
interpreter that it is installed for, runs in turn with this one. Calls are counted by strace,
in a run of their own. Nothing is asserted.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from installed import compile_civsync
from noop import clean_environment, timed

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Registry
from civsync.demo.served import serve

CALLS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync")


@dataclass(kw_only=True)
class Contestant:
    """One way to sync, and what its runs took."""

    name: str
    python: str
    flags: tuple[str, ...] = ()
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    def words(self, jobs: int) -> list[str]:
        """Return the command line."""
        sync = ("sync", "--frozen", "--new-root", "-q", "--jobs", str(jobs))
        return [self.python, "-m", "civsync", *sync, *self.flags]


def main() -> None:
    """Serve the files, let each contestant fetch them in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--size", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--at", type=Path, default=None, help="a folder on a real disk")
    parser.add_argument("--other", help="the interpreter of another civsync")
    choice = parser.parse_args()
    compile_civsync()
    here = Contestant(name="civsync", python=sys.executable)
    bare = Contestant(name="civsync --no-fsync", python=sys.executable, flags=("--no-fsync",))
    other = [Contestant(name="the other", python=choice.other)] if choice.other else []
    registry = Registry()
    for number in range(choice.files):
        body = safetensors(f"small {number}", choice.size)
        registry.add_model(f"Small {number}").add_version().add_file("", body)
    with (
        tempfile.TemporaryDirectory(prefix="civsync-flushes-", dir=choice.at) as name,
        serve(registry) as served,
    ):
        folder = Path(name)
        entries = "".join(f"  - model: {number}\n" for number in registry.models)
        (folder / "civsync.yaml").write_text(f"version: 1\nmodels:\n{entries}", encoding="utf-8")
        environment = clean_environment(folder, served.api_url)
        timed(("lock",), folder, environment)
        contestants = [*other, here, bare]
        for _ in range(choice.runs):
            for each in contestants:
                run(each, choice.jobs, folder, environment)
        print(
            f"{choice.files:,} x {choice.size:,} bytes, --jobs {choice.jobs}, {filesystem(folder)}"
        )
        print(f"load {os.getloadavg()[0]:.1f}, median of {choice.runs}, in turn")
        print(f"{'':<22}{'wall':>9}{'best':>9}{'CPU':>9}  calls")
        for each in contestants:
            calls = count(each, choice.jobs, folder, environment)
            wall, best, cpu = (
                statistics.median(each.walls),
                min(each.walls),
                statistics.median(each.cpus),
            )
            print(f"{each.name:<22}{wall:8.2f}s{best:8.2f}s{cpu:8.2f}s  {calls}")


def run(each: Contestant, jobs: int, folder: Path, environment: dict[str, str]) -> None:
    """Do a first sync once, and note what it took; what was written before is on the medium."""
    forget(folder)
    os.sync()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    call(each.words(jobs), folder, environment)
    each.walls.append(time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    each.cpus.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def count(each: Contestant, jobs: int, folder: Path, environment: dict[str, str]) -> str:
    """Return how often a first sync calls what flushes, in words."""
    if shutil.which("strace") is None:
        return "(strace is not installed)"
    forget(folder)
    log = folder / "calls.log"
    trace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}"]
    call([*trace, *each.words(jobs)], folder, environment)
    text = log.read_text("utf-8", "replace")
    found = Counter(re.findall(rf"^\d+ +({'|'.join(CALLS)})\(", text, re.MULTILINE))
    return ", ".join(f"{found[name]:,} {name}" for name in CALLS if found[name]) or "none"


def call(words: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a command to its end; a failure ends the benchmark."""
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"`{' '.join(words)}` failed:\n{done.stderr.decode()}")


def forget(folder: Path) -> None:
    """Go back to a machine that never saw the root."""
    for name in ("models", ".home"):
        shutil.rmtree(folder / name, ignore_errors=True)


def filesystem(folder: Path) -> str:
    """Return the kind of the file system that a folder is on, as `df` says."""
    done = subprocess.run(
        ["df", "--output=fstype", folder], capture_output=True, text=True, check=False
    )
    return done.stdout.split()[-1] if done.returncode == 0 else "an unknown file system"


if __name__ == "__main__":
    main()
