"""Compare civsync's downloads with aria2c and curl, as whole processes over TLS on loopback.

    python benchmarks/transfer.py [ROW...] [--runs N] [--list]

nginx serves an API that redirects and a storage, out of memory-backed disk; a path with a
limit for each connection, or with latency, is a process between them and the clients. The
clients of a row run in turn, and what is printed are medians and their ratios, beside the
ratio that is asked for. Nothing is asserted. Needs the Debian packages nginx, aria2 and curl,
and what the tests of this project need.
"""

import argparse
import contextlib
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from installed import compile_civsync
from transfer_lab import contestants
from transfer_lab.contestants import Contestant, Run, aria2c, civsync, curl, knows, receive_only
from transfer_lab.machine import describe_machine, require_programs
from transfer_lab.origins import NetworkPath, Origins, serve
from transfer_lab.shelf import MIB, Shelved, shelve, shelve_hollow

GIB = 1024 * MIB
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where and how to measure. `memory` is a memory-backed directory, `disk` a real one."""

    memory: Path
    disk: Path
    runs: int
    small_connections: int
    big: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A ratio of medians that the project asks of itself: `what` of one over another's."""

    one: str
    other: str
    most: float
    what: str = "wall"


def main() -> None:
    """Run the rows that were named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--list", action="store_true", help="say what the rows are, and end")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="memory-backed disk")
    parser.add_argument("--scratch-disk", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--small-connections", type=int, default=8, help="of the row small")
    parser.add_argument("--big", action="store_true", help="24 GiB in the row memory, too")
    choice = parser.parse_args()
    if choice.list:
        for name, row in ROWS.items():
            print(f"{name:<10}{(row.__doc__ or '').strip()}")
        return
    unknown = [name for name in choice.rows if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    # Stopped in whatever way, it stops its servers and clients.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    require_programs()
    compile_civsync()
    print("\n".join(describe_machine()))
    for name in choice.rows or ROWS:
        with contextlib.ExitStack() as stack:
            memory, disk = (
                Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="civsync-", dir=place)))
                for place in (choice.memory, choice.scratch_disk)
            )
            lab = Lab(
                memory=memory,
                disk=disk,
                runs=choice.runs,
                small_connections=choice.small_connections,
                big=choice.big,
            )
            ROWS[name](lab)


def big(lab: Lab) -> None:
    """1 x 2 GiB, civsync verifies with both hashes"""
    with _shelved(lab, [2 * GIB]) as (files, origins):
        (file,) = files
        entrants = [
            civsync(origins, files, name="civsync"),
            aria2c(origins, files, "-x4", "-s4", checksum=True, name="aria2c -x4 --checksum"),
            curl(origins, file),
            receive_only(origins, file),
        ]
        asked = [
            Asked(one="civsync", other="aria2c -x4 --checksum", most=0.80),
            Asked(one="civsync", other="curl", most=1.9),
            Asked(one="civsync, receive only", other="curl", most=1.2, what="cpu"),
        ]
        _compare(lab, origins, "big: 1 x 2 GiB", 2 * GIB, entrants, asked)
        print("peak memory of civsync, asked: under 100 MiB")


def paced(lab: Lab) -> None:
    """8 x 64 MiB, 20 MB/s for each connection"""
    with _shelved(lab, [64 * MIB] * 8, NetworkPath(rate=20 * MEGABYTE)) as (files, origins):
        entrants = [
            civsync(origins, files, "--jobs", "8"),
            aria2c(origins, files, "-j8", "-x1", checksum=False),
        ]
        asked = [Asked(one="civsync --jobs 8", other="aria2c -j8 -x1", most=1.15)]
        title = "paced: 8 x 64 MiB, 20 MB/s a connection"
        _compare(lab, origins, title, 512 * MIB, entrants, asked)


def many_big(lab: Lab) -> None:
    """8 x 512 MiB, no limit, verified"""
    with _shelved(lab, [512 * MIB] * 8) as (files, origins):
        entrants = [
            civsync(origins, files, "--jobs", "8"),
            aria2c(origins, files, "-j8", "-x1", checksum=True),
        ]
        asked = [Asked(one="civsync --jobs 8", other="aria2c -j8 -x1 --checksum", most=1.0)]
        _compare(lab, origins, "many-big: 8 x 512 MiB", 4 * GIB, entrants, asked)
        print("requests of civsync to the download route, asked: 8")


def segments(lab: Lab) -> None:
    """1 x 1 GiB, 50 MB/s for each connection and without a limit: default against one connection"""
    for path, title, most in (
        (NetworkPath(rate=50 * MEGABYTE), "segments: 1 x 1 GiB, 50 MB/s a connection", 0.40),
        (None, "segments: 1 x 1 GiB, no limit", 1.05),
    ):
        with _shelved(lab, [GIB], path) as (files, origins):
            entrants = [civsync(origins, files, name="civsync")]
            if knows("--connections"):
                entrants.append(civsync(origins, files, "--connections", "1"))
            else:
                print("\nthis civsync has no --connections: nothing to compare it with")
            entrants.append(aria2c(origins, files, "-x4", "-s4", checksum=False))
            asked = [Asked(one="civsync", other="civsync --connections 1", most=most)]
            _compare(lab, origins, title, GIB, entrants, asked)


def small(lab: Lab) -> None:
    """2,000 x 100 KB, a round trip of 5 ms to API and storage"""
    count, most = 2000, lab.small_connections
    with _shelved(lab, [100_000] * count, NetworkPath(rtt=0.005)) as (files, origins):
        flags = ["--jobs", str(most)]
        if knows("--connections"):
            flags += ["--connections", str(most)]
        entrants = [
            civsync(origins, files, *flags),
            aria2c(origins, files, f"-j{most}", "-x1", checksum=False),
        ]
        asked = [Asked(one=entrants[0].name, other=entrants[1].name, most=1.5)]
        title = f"small: {count:,} x 100 KB, round trip 5 ms"
        _compare(lab, origins, title, count * 100_000, entrants, asked)


def memory(lab: Lab) -> None:
    """1 GiB and 8 GiB (24 GiB with --big) of a sparse file, to a real disk: peak memory"""
    for size in (1, 8, 24) if lab.big else (1, 8):
        _require_room(lab.disk, size * GIB)
        served = lab.disk / "files"
        served.mkdir()
        file = shelve_hollow(served, size * GIB)
        with _served(lab, served) as origins:
            entrants = [civsync(origins, [file], name="civsync")]
            title = f"memory: 1 x {size} GiB, to disk"
            _compare(lab, origins, title, size * GIB, entrants, [], disk=True)
        shutil.rmtree(served)


ROWS: dict[str, Callable[[Lab], None]] = {
    "big": big,
    "paced": paced,
    "many-big": many_big,
    "segments": segments,
    "small": small,
    "memory": memory,
}


def _compare(
    lab: Lab,
    origins: Origins,
    title: str,
    size: int,
    entrants: Sequence[Contestant],
    asked: Sequence[Asked],
    *,
    disk: bool = False,
) -> None:
    """Let the entrants run in turn and print what they took."""
    place = (lab.disk if disk else lab.memory) / "target"
    taken: dict[str, list[Run]] = {entrant.name: [] for entrant in entrants}
    for _ in range(lab.runs):
        for entrant in entrants:
            taken[entrant.name].append(contestants.run(entrant, origins, place))
    print(f"\n{title}; median of {lab.runs}")
    print(
        f"{'':<32}{'wall':>9}{'least':>9}{'most':>9}{'MB/s':>7}{'CPU':>9}{'peak':>9}"
        f"{'API':>6}{'storage':>9}"
    )
    for name, runs in taken.items():
        walls = [each.wall for each in runs]
        wall = statistics.median(walls)
        last = runs[-1]
        print(
            f"{name:<32}{wall:8.2f}s{min(walls):8.2f}s{max(walls):8.2f}s"
            f"{size / wall / MEGABYTE:7.0f}{_median(runs, 'cpu'):8.2f}s"
            f"{_median(runs, 'peak'):5.0f} MiB{last.api:6}{last.storage:6}/{last.connections}"
        )
    for each in asked:
        if each.one in taken and each.other in taken:
            ratio = _median(taken[each.one], each.what) / _median(taken[each.other], each.what)
            print(
                f"{each.what} of {each.one} / {each.other}:"
                f" {ratio:.2f} (asked: at most {each.most:.2f})"
            )


def _median(runs: Sequence[Run], what: str) -> float:
    return float(statistics.median(getattr(each, what) for each in runs))


@contextlib.contextmanager
def _shelved(
    lab: Lab, sizes: Sequence[int], path: NetworkPath | None = None
) -> Iterator[tuple[tuple[Shelved, ...], Origins]]:
    """Make files of these sizes in memory and serve them."""
    # The files themselves, and one client's copy of them.
    _require_room(lab.memory, 2 * sum(sizes))
    served = lab.memory / "files"
    served.mkdir()
    try:
        files = shelve(served, sizes)
        with _served(lab, served, path) as origins:
            yield files, origins
    finally:
        shutil.rmtree(served)


@contextlib.contextmanager
def _served(lab: Lab, served: Path, path: NetworkPath | None = None) -> Iterator[Origins]:
    with (
        tempfile.TemporaryDirectory(prefix="origins-", dir=lab.memory) as scratch,
        serve(Path(scratch), served, path) as origins,
    ):
        yield origins


def _require_room(place: Path, size: int) -> None:
    free = shutil.disk_usage(place).free
    if free < size:
        raise SystemExit(f"{place.parent} has {free >> 20} MiB free, {size >> 20} MiB are needed")


if __name__ == "__main__":
    main()
