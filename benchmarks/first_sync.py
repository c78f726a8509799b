"""Time a first sync of a few big files over loopback, beside the clients that people use for that.

    python benchmarks/first_sync.py [--files 8] [--mib 64] [--runs 3]

The registry is this project's own, in this process, and slower than any real server; all
clients have the same one. civsync also asks the API where each file is, hashes it twice
over (SHA-256 and BLAKE3) and flushes it; curl and aria2c only fetch from the storage.
"""

import argparse
import http.client
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from installed import compile_civsync
from noop import clean_environment, timed

from civsync.demo.artifacts import lazy_safetensors
from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve

TOKEN = "benchmark-key"
MIB = 1024 * 1024


def main() -> None:
    """Serve the files, let each client fetch them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    choice = parser.parse_args()
    compile_civsync()
    registry = Registry(tokens={TOKEN})
    for number in range(choice.files):
        body = lazy_safetensors(f"benchmark {number}", choice.mib * MIB)
        registry.add_model(f"Model {number}").add_version().add_file("", body)
    size = choice.files * choice.mib
    print(f"{choice.files} x {choice.mib} MiB, median of {choice.runs}")
    print(f"{'':<22}{'wall':>8} {'MiB/s':>7} {'CPU s/GiB':>10}  API requests")
    with tempfile.TemporaryDirectory(prefix="civsync-first-") as name, serve(registry) as served:
        folder = Path(name)
        entries = "".join(f"  - model: {number}\n" for number in registry.models)
        (folder / "civsync.yaml").write_text(f"version: 1\nmodels:\n{entries}", encoding="utf-8")
        environment = clean_environment(folder, served.api_url) | {"CIVITAI_API_KEY": TOKEN}
        timed(("lock",), folder, environment)
        served.reset_counts()
        runs = [_civsync(folder, environment) for _ in range(choice.runs)]
        asked = served.count(origin="api") // choice.runs
        _row("civsync --jobs 8", runs, size, str(asked))
        for tool, fetch in (("curl", _curl), ("aria2c", _aria2c)):
            if shutil.which(tool) is None:
                print(f"{tool:<22}not installed")
                continue
            urls = _storage_urls(served, registry)
            _row(tool, [fetch(folder, urls) for _ in range(choice.runs)], size, "-")


def _civsync(folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    shutil.rmtree(folder / "models", ignore_errors=True)
    return timed(("sync", "--frozen", "--jobs", "8", "--new-root"), folder, environment)


def _curl(folder: Path, urls: list[str]) -> tuple[float, float]:
    words = ["curl", "-sSf", "--parallel", "--parallel-max", "8"]
    for number, url in enumerate(urls):
        words += ["-o", f"curl-{number}", url]
    return _run(words, folder)


def _aria2c(folder: Path, urls: list[str]) -> tuple[float, float]:
    lines = "".join(f"{url}\n  out=aria-{number}\n" for number, url in enumerate(urls))
    (folder / "urls.txt").write_text(lines, encoding="utf-8")
    words = ["aria2c", "-q", "-j8", "--allow-overwrite=true", "--file-allocation=none"]
    return _run([*words, "-i", "urls.txt"], folder)


def _run(words: list[str], folder: Path) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _storage_urls(served: Served, registry: Registry) -> list[str]:
    """Ask the API where each file is, as a client would."""
    urls = []
    for _, version, _ in registry.every_file():
        connection = http.client.HTTPConnection(served.api_url.partition("//")[2])
        path = f"/api/download/models/{version.id}"
        headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "civsync-benchmark"}
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            urls.append(answer.headers["Location"])
        connection.close()
    return urls


def _row(name: str, runs: list[tuple[float, float]], mib: int, asked: str) -> None:
    wall = statistics.median(wall for wall, _ in runs)
    cpu = statistics.median(cpu for _, cpu in runs) / (mib / 1024)
    print(f"{name:<22}{wall:7.2f}s {mib / wall:7.0f} {cpu:10.2f}  {asked}")


if __name__ == "__main__":
    main()
