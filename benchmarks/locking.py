"""Time `civsync lock` on manifests of many sizes, as whole processes, on a slow registry.

    python benchmarks/locking.py [--sizes 1000,5000,20000] [--runs 3]

The registry on loopback waits 20 ms before each answer of the API and pads every model to
30 KB, as real ones are. Requests are counted by the registry; memory is the peak of the
process, as the kernel counts it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from installed import compile_civsync
from noop import clean_environment

from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve

LATENCY_S = 0.02
MODEL_BYTES = 30_000

RUN = (
    "import sys\n"
    "from civsync.cli.main import main\n"
    "status = int(main(sys.argv[1:]))\n"
    "peak = [l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')]\n"
    "print('peak', *peak, file=sys.stderr)\n"
    "sys.exit(status)\n"
)
"""A command, and what memory it took: of this process alone, not of the one that started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one whole process took."""

    wall: float
    peak_mib: float
    requests: int


def main() -> None:
    """Lock, look and lock again at each size; then lock a search."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="1000,5000,20000")
    parser.add_argument("--runs", type=int, default=3)
    choice = parser.parse_args()
    compile_civsync()
    print(f"{'':<40}{'wall':>9}{'peak':>12}   requests")
    for size in map(int, choice.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="civsync-locking-") as folder:
            run_all(Path(folder), size, choice.runs)


def run_all(folder: Path, size: int, runs: int) -> None:
    """Print the rows of one size."""
    registry = Registry()
    registry.api_latency = LATENCY_S
    registry.pad_bytes_per_model = MODEL_BYTES
    for number in range(size):
        registry.add_model(f"Model {number}", tags=["bench"]).add_version().add_file()
    entries = "".join(f"  - model: {number}\n" for number in registry.models)
    manifest, lock = folder / "civsync.yaml", folder / "civsync.lock"
    with serve(registry) as served:
        environment = clean_environment(folder, served.api_url)

        def row(name: str, *words: str, anew: bool = False) -> None:
            costs = []
            for _ in range(runs):
                if anew:
                    lock.unlink(missing_ok=True)
                costs.append(cost(words, folder, environment, served))
            wall = statistics.median(each.wall for each in costs)
            peak = max(each.peak_mib for each in costs)
            print(f"{name:<40}{wall:8.2f}s{peak:9.0f} MiB   {costs[-1].requests}")

        manifest.write_text(f"version: 1\nmodels:\n{entries}", encoding="utf-8")
        row(f"lock, {size:,} entries", "lock", anew=True)
        print(f"{'  the lock has':<40}{lock.stat().st_size / 1e6:8.1f} MB")
        row("  again, nothing changed", "lock")
        row("  --check", "lock", "--check")
        row("  --upgrade, nothing new", "lock", "--upgrade")
        if size <= 1000:
            search = f"version: 1\nsearches:\n  - {{tag: bench, limit: {size}}}\n"
            manifest.write_text(search, encoding="utf-8")
            row(f"lock, one search of {size:,} hits", "lock", anew=True)


def cost(words: tuple[str, ...], folder: Path, environment: dict[str, str], served: Served) -> Cost:
    """Run one command to its end. A failure ends the benchmark."""
    served.reset_counts()
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words, "-q"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    wall = time.perf_counter() - began
    told = done.stderr.decode()
    if done.returncode:
        raise SystemExit(f"`civsync {' '.join(words)}` failed:\n{told}")
    peak = int(told.rpartition("peak ")[2].split()[0]) / 1024
    return Cost(wall=wall, peak_mib=peak, requests=len(served.requests))


if __name__ == "__main__":
    main()
