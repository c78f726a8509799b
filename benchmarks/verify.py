"""Time `civsync verify` beside the tools that only hash, over the same files.

    python benchmarks/verify.py [--files 8] [--mib 256] [--runs 5] [--at /dev/shm]

Serves random files on loopback, syncs them once, and lets each contestant read all of
them, in turn. On a disk the files are put out of the page cache before each run (not with
`--warm`); what lies in memory anyway is as fast as it gets. Each time is a whole process,
interpreter included.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from installed import compile_civsync
from noop import clean_environment, timed

from civsync.demo.artifacts import lazy_safetensors
from civsync.demo.registry import Registry
from civsync.demo.served import serve

MIB = 1024 * 1024

BLAKE3_LOOP = """
import sys, blake3
from concurrent.futures import ThreadPoolExecutor
def run(path):
    hasher, buffer = blake3.blake3(), memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    list(pool.map(run, sys.argv[2:]))
"""


def main() -> None:
    """Make the files, let each contestant read them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--at", default=tempfile.gettempdir(), help="where the files lie")
    parser.add_argument("--warm", action="store_true", help="leave the page cache alone")
    choice = parser.parse_args()
    compile_civsync()
    with tempfile.TemporaryDirectory(prefix="civsync-verify-", dir=choice.at) as name:
        folder = Path(name)
        environment = synced(folder, files=choice.files, size=choice.mib * MIB)
        paths = sorted((folder / "models").glob("loras/*"))
        size = choice.files * choice.mib
        print(f"{choice.files} x {choice.mib} MiB at {choice.at}, median of {choice.runs}")
        print(f"{'':<40}{'wall':>8} {'MiB/s':>7} {'CPU s/GiB':>10}")
        names = [str(path) for path in paths]
        two = ["xargs", "-0", "-P2", "-n1"]
        openssl = ["openssl", "dgst", "-sha256"]
        loop = [sys.executable, "-c", BLAKE3_LOOP, "2", *names]
        contestants: dict[str, Callable[[], tuple[float, float]]] = {
            "sha256sum, one after the other": lambda: hashed(["sha256sum", *names]),
            "xargs -P2 sha256sum": lambda: hashed([*two, "sha256sum"], "\0".join(names)),
            "xargs -P2 openssl dgst -sha256": lambda: hashed([*two, *openssl], "\0".join(names)),
            "BLAKE3 of the same package, 2 threads": lambda: hashed(loop),
        }
        for words in (("verify", "--full"), ("verify",), ("verify", "--quick")):
            contestants[f"civsync {' '.join(words)}"] = partial(timed, words, folder, environment)
        runs: dict[str, list[tuple[float, float]]] = {}
        for _ in range(choice.runs):
            for title, run in contestants.items():
                if not choice.warm:
                    forget(paths)
                runs.setdefault(title, []).append(run())
        for title, times in runs.items():
            wall = statistics.median(each[0] for each in times)
            cpu = statistics.median(each[1] for each in times) * 1024 / size
            print(f"{title:<40}{wall:7.2f}s {size / wall:7.0f} {cpu:10.2f}")


def synced(folder: Path, *, files: int, size: int) -> dict[str, str]:
    """Put the files into place with civsync; returns the environment that it needs."""
    registry = Registry()
    for number in range(files):
        body = lazy_safetensors(f"benchmark {number}", size)
        registry.add_model(f"Model {number}").add_version().add_file("", body)
    entries = "".join(f"  - model: {number}\n" for number in registry.models)
    (folder / "civsync.yaml").write_text(f"version: 1\nmodels:\n{entries}", encoding="utf-8")
    with serve(registry) as served:
        environment = clean_environment(folder, served.api_url)
        for words in (("lock",), ("sync",)):
            timed(words, folder, environment)
    return environment


def forget(paths: list[Path]) -> None:
    """Put the files out of the page cache."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def hashed(words: list[str], stdin: str = "") -> tuple[float, float]:
    """Run a program to its end; return wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(words, input=stdin, text=True, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
