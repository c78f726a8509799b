"""The clients that are compared: how each is told to fetch the same files, and one run of it.

Every run begins in an empty directory and ends with a look at the sizes of what it left
there, outside of the time that is taken.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from transfer_lab.origins import Origins
from transfer_lab.shelf import Shelved, write_lock_of

_MEASURED = str(Path(__file__).with_name("measured.py"))
_RECEIVE_ONLY = str(Path(__file__).with_name("receive_only.py"))
_SAID_BYTES = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A client with its orders. `words` makes a command line that fetches into a directory.

    `expected` are the files that it must leave below that directory, with their sizes.
    """

    name: str
    words: Callable[[Path], list[str]]
    expected: Mapping[str, int]
    environment: Callable[[Path], Mapping[str, str]] = field(default=lambda _: {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run took: seconds of wall and CPU, peak memory in MiB, requests."""

    wall: float
    cpu: float
    peak: float
    api: int
    storage: int
    connections: int


def run(contestant: Contestant, origins: Origins, folder: Path) -> Run:
    """Let it fetch everything once into `folder`, which is made anew and removed again.

    Ends the benchmark with what the client said if it fails.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report = folder.with_name("report.txt")
    origins.forget_requests()
    words = [sys.executable, "-I", "-S", _MEASURED, str(report), *contestant.words(folder)]
    environment = {**_clean_environment(), **contestant.environment(folder)}
    status, said = _call(words, environment)
    if status:
        raise SystemExit(f"{contestant.name} ended with {status}:\n{said}")
    wall, cpu, peak = map(float, report.read_text("ascii").split())
    for name, size in contestant.expected.items():
        found = (folder / name).stat().st_size if (folder / name).exists() else None
        if found != size:
            raise SystemExit(f"{contestant.name} left {name} with {found} bytes, not {size}")
    shutil.rmtree(folder)
    storage, connections = origins.storage_requests()
    return Run(
        wall=wall,
        cpu=cpu,
        peak=peak,
        api=origins.api_requests(),
        storage=storage,
        connections=connections,
    )


def _call(words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end; return its status, and the end of what it said."""
    with subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:
            # The session holds what it started, too.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said[-_SAID_BYTES:].decode("utf-8", "replace")


def civsync(origins: Origins, files: Sequence[Shelved], *flags: str, name: str = "") -> Contestant:
    """Return `civsync sync --frozen` of a lock of these files: both hashes, whole files only."""
    lock = origins.scratch / "civsync.lock"
    write_lock_of(files, lock)

    def words(folder: Path) -> list[str]:
        place = ["--lock", str(lock), "--root", str(folder / "root")]
        quiet = ["--no-progress", "--quiet"]
        return [sys.executable, "-m", "civsync", "sync", "--frozen", *place, *quiet, *flags]

    def environment(folder: Path) -> dict[str, str]:
        return {
            "CIVSYNC_API_URL": origins.api_url,
            "SSL_CERT_FILE": str(origins.ca),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
        }

    return Contestant(
        name=name or " ".join(["civsync", *flags]),
        words=words,
        expected={f"root/{file.name}": file.size for file in files},
        environment=environment,
    )


def aria2c(
    origins: Origins, files: Sequence[Shelved], *flags: str, checksum: bool, name: str = ""
) -> Contestant:
    """Return aria2c with these files in an input file, or on the command line if it is one."""
    listed = origins.scratch / "aria2.txt"
    single = len(files) == 1
    if not single:
        listed.write_text("".join(_aria2c_lines(origins, files, checksum=checksum)), "utf-8")

    def words(folder: Path) -> list[str]:
        # Without allocation it writes each byte once, as the others do.
        fixed = ["--no-conf", "--quiet", "--file-allocation=none", f"--ca-certificate={origins.ca}"]
        what = ["-i", str(listed)]
        if single:
            (file,) = files
            sums = [f"--checksum=sha-256={file.sha256}"] if checksum else []
            what = [*sums, "-o", file.name, origins.download_url(file.file_id)]
        return ["aria2c", *fixed, *flags, "-d", str(folder), *what]

    shown = ["aria2c", *flags, *(["--checksum"] if checksum else [])]
    return Contestant(
        name=name or " ".join(shown),
        words=words,
        expected={file.name: file.size for file in files},
    )


def curl(origins: Origins, file: Shelved) -> Contestant:
    """Return curl, which verifies nothing."""

    def words(folder: Path) -> list[str]:
        trust = ["--cacert", str(origins.ca)]
        output = ["-o", str(folder / file.name), origins.download_url(file.file_id)]
        return ["curl", "-q", "-sSfL", *trust, *output]

    return Contestant(name="curl", words=words, expected={file.name: file.size})


def receive_only(origins: Origins, file: Shelved) -> Contestant:
    """Return a process in which civsync's transport receives the file and nothing else is done."""

    def words(folder: Path) -> list[str]:
        url = origins.download_url(file.file_id)
        return [sys.executable, _RECEIVE_ONLY, url, str(folder / file.name)]

    return Contestant(
        name="civsync, receive only",
        words=words,
        expected={file.name: file.size},
        environment=lambda _: {"SSL_CERT_FILE": str(origins.ca)},
    )


@cache
def knows(flag: str) -> bool:
    """Tell whether this civsync's sync has a flag."""
    words = [sys.executable, "-m", "civsync", "sync", "--help"]
    said = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    return flag in said


def _aria2c_lines(origins: Origins, files: Sequence[Shelved], *, checksum: bool) -> list[str]:
    lines = []
    for file in files:
        lines.append(f"{origins.download_url(file.file_id)}\n  out={file.name}\n")
        if checksum:
            lines.append(f"  checksum=sha-256={file.sha256}\n")
    return lines


def _clean_environment() -> dict[str, str]:
    """Return this environment without what changes what a client does."""
    ours = ("CIVSYNC_", "CIVITAI_", "SSL_CERT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    return {k: v for k, v in kept.items() if k.lower() not in proxies and k != "CI"}
