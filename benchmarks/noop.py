"""Time what a second `civsync sync` of a synced tree costs, as a whole process.

    python benchmarks/noop.py [--files 10000] [--runs 11]
    python benchmarks/noop.py --files 100000 --placed

Serves a registry of small files on loopback, locks and syncs them once, then runs
commands that have nothing to do. Each time is a whole process, interpreter included;
the requests are counted by the registry. With --placed the files lie in place before the
first sync, which then only reads them: 100,000 downloads would take ten minutes, and
a file is looked at alike whoever brought it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from installed import compile_civsync

from civsync.demo.registry import File, Registry
from civsync.demo.served import Served, serve
from civsync.documents.lock import read_lock

CIVSYNC = str(Path(sys.executable).with_name("civsync"))
"""The command as it was installed beside this interpreter: what people type."""

COMMANDS = (
    ("sync",),
    ("sync", "--locked"),
    ("sync", "--frozen"),
    ("status",),
)


def main() -> None:
    """Build the tree, time the commands, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--jobs", type=int, default=16, help="of the first sync")
    parser.add_argument("--placed", action="store_true", help="download nothing")
    choice = parser.parse_args()
    compile_civsync()
    with tempfile.TemporaryDirectory(prefix="civsync-noop-") as folder:
        run_all(
            Path(folder),
            files=choice.files,
            runs=choice.runs,
            jobs=choice.jobs,
            placed=choice.placed,
        )


def run_all(folder: Path, *, files: int, runs: int, jobs: int, placed: bool) -> None:
    """Print how long making the tree took, and then each command with nothing to do."""
    registry = Registry()
    served_files = [
        registry.add_model(f"Model {number}").add_version().add_file() for number in range(files)
    ]
    entries = "".join(f"  - model: {number}\n" for number in registry.models)
    (folder / "civsync.yaml").write_text(f"version: 1\nmodels:\n{entries}", encoding="utf-8")
    with serve(registry) as served:
        environment = clean_environment(folder, served.api_url)
        for words in (("lock",), ("sync", "--jobs", str(jobs))):
            if placed and words[0] == "sync":
                place(folder, served_files)
            wall, cpu = timed(words, folder, environment)
            share = f"{wall / files * 1000:.1f} ms a file"
            print(f"{' '.join(words):<24}{wall:8.2f} s wall {cpu:8.2f} s CPU   ({share})")
        print(f"\n{files:,} files, lock of {(folder / 'civsync.lock').stat().st_size / 1e6:.1f} MB")
        print(f"{'':<24}{'median':>8} {'best':>8} {'CPU':>8}   requests")
        report(("--version",), folder, environment, served, runs)
        for words in COMMANDS:
            report(words, folder, environment, served, runs)


def place(folder: Path, files: Iterable[File]) -> None:
    """Write each file of the lock where it belongs."""
    bodies = {file.id: file.body for file in files}
    for _, file in read_lock((folder / "civsync.lock").read_bytes(), closely=False).files():
        target = folder / "models" / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        body = bodies[file.file_id]
        target.write_bytes(b"".join(body.chunks(0, body.size)))


def report(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], served: Served, runs: int
) -> None:
    """Print one row: wall time of the whole process, its CPU time, requests asked."""
    served.reset_counts()
    timed(words, folder, environment)
    times = [timed(words, folder, environment) for _ in range(runs)]
    walls, cpus = [wall for wall, _ in times], [cpu for _, cpu in times]
    middle, best, cpu = statistics.median(walls), min(walls), statistics.median(cpus)
    asked = len(served.requests)
    print(f"{' '.join(words):<24}{middle:7.3f}s {best:7.3f}s {cpu:7.3f}s   {asked}")


def timed(words: tuple[str, ...], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Run one command to its end; return wall and CPU seconds. A failure ends the benchmark."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [CIVSYNC, *words, *(() if "--version" in words else ("-q",))],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"`civsync {' '.join(words)}` failed:\n{done.stderr.decode()}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, cpu


def clean_environment(folder: Path, api_url: str) -> dict[str, str]:
    """Return this environment without what could change what civsync does."""
    ours = ("CIVSYNC_", "CIVITAI_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and name != "CI"
    }
    home = str(folder / ".home")
    return kept | {
        "CIVSYNC_API_URL": api_url,
        "XDG_STATE_HOME": home,
        "XDG_CONFIG_HOME": home,
    }


if __name__ == "__main__":
    main()
