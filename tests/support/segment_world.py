"""One file that several connections receive, from a server that counts what it gives away.

Runs are made by `support.segment_driver`. What a run costs is counted twice, because one that
was killed cannot tell: what its wire handed on, in memory that outlives it; and what the
server gave to its sockets, which is never too small, but holds what no client ever read.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import BytesBody
from civsync.demo.faults import FaultBook
from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.disk.journal import held_bytes
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from civsync.documents.part_journal import JOURNAL_BYTES
from support.cli import Project
from support.cli import Ran as Ended
from support.segment_driver import Errand, Ran

NAME = "big.safetensors"


class CountedBody(BytesBody):
    """A body that knows how many of its bytes were given away; several threads may ask."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._mutex = threading.Lock()
        self.given = 0

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        """Give the bytes [start, stop), counting each piece when it is taken."""
        for piece in super().chunks(start, stop):
            with self._mutex:
                self.given += len(piece)
            yield piece


class SegmentWorld:
    """A locked file, where it goes, and who brings it there."""

    def __init__(
        self,
        project: Project,
        served: Served,
        body: CountedBody,
        driver: "subprocess.Popen[str] | None",
    ) -> None:
        self.project = project
        self.served = served
        self._body = body
        self._driver = driver
        self._begun_at = body.given
        self._taken = 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._body.size

    @property
    def taken(self) -> float:
        """What the wire handed to all runs since `begin`, in sizes of the file."""
        return self._taken / self.size

    @property
    def sent(self) -> float:
        """What the server gave to its sockets since `begin`, in sizes of the file."""
        return (self._body.given - self._begun_at) / self.size

    @property
    def connections(self) -> int:
        """The most requests that ran at once for one address since `begin`."""
        return self.served.peak_parallel

    def begin(self) -> None:
        """Go back to a machine that never saw the root, and to no byte sent."""
        self.served.faults.clear()
        shutil.rmtree(self.project.root, ignore_errors=True)
        shutil.rmtree(self.state_dir, ignore_errors=True)
        self.served.reset_counts()
        self._begun_at = self._body.given
        self._taken = 0

    def run(self, *, seed: int = 0, kill_after: float | None = None) -> Ran:
        """Sync by the driver, to its end or until it is killed."""
        assert self._driver is not None
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        errand = Errand(
            root=str(self.project.root),
            lock=str(self.project.lock),
            api_url=self.served.api_url,
            seed=seed,
            kill_after=kill_after,
        )
        print(json.dumps(asdict(errand)), file=self._driver.stdin, flush=True)
        ran = Ran(**json.loads(self._driver.stdout.readline()))
        self._taken += ran.taken
        return ran

    def sync(self, *words: str) -> Ended:
        """Sync by the command line."""
        return self.project.run("sync", "--frozen", "--json", *words)

    def journaled(self) -> int | None:
        """Return how many bytes a part with a journal holds, None if there is no such part."""
        for path in self._parts():
            if path.stat().st_size == self.size + JOURNAL_BYTES:
                with path.open("rb") as file:
                    return held_bytes(file.fileno())
        return None

    def require_nothing_wrong(self) -> None:
        """What has the final name is the whole file."""
        assert list(self.project.files().values()) in ([], [self._body.data])

    def require_converged(self) -> None:
        """The file is there and owned, and no part or note of it is left."""
        assert list(self.project.files().values()) == [self._body.data]
        owned = DiskLedger(open_root(self.project.root, state_dir=self.state_dir)).read().owned
        sha256 = self._body.published_hashes["SHA256"].lower()
        assert [each.sha256 for each in owned.values()] == [sha256]
        assert self._parts() == []
        control = self.project.root / ".civsync"
        assert not (control / "quarantine").exists()
        assert "notes.jsonl" not in {path.name for path in control.iterdir()}

    def _parts(self) -> list[Path]:
        folder = self.project.root / ".civsync" / "parts"
        return sorted(folder.iterdir()) if folder.exists() else []

    @property
    def state_dir(self) -> Path:
        """Where civsync remembers roots."""
        return self.project.folder / ".home" / "civsync"


@contextmanager
def segment_world(
    folder: Path,
    *,
    size: int,
    rate: float | None,
    faults: FaultBook | None = None,
    driven: bool = True,
) -> Iterator[SegmentWorld]:
    """Serve one file of `size` bytes at `rate` bytes a second a connection, and lock it."""
    registry = Registry(storage_rate=rate, faults=faults or FaultBook())
    body = CountedBody(safetensors("big", size))
    model = registry.add_model("big", type="LORA")
    model.add_version().add_file(NAME, body)
    with serve(registry) as served:
        project = Project(folder, served.api_url)
        project.write(f"model: {model.id}")
        locked = project.call("lock")
        assert locked.status == 0, locked.err
        if not driven:
            yield SegmentWorld(project, served, body, None)
            return
        with _driver(project) as driver:
            yield SegmentWorld(project, served, body, driver)


@contextmanager
def _driver(project: Project) -> "Iterator[subprocess.Popen[str]]":
    tests = str(Path(__file__).parent.parent)
    # No run needs a certificate, and to read all of the system's takes a quarter of its CPU.
    no_certificates = {"SSL_CERT_DIR": str(project.folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "support.segment_driver"],
        cwd=project.folder,
        env={**project.environment, **no_certificates, "PYTHONPATH": tests},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as driver:
        try:
            yield driver
        finally:
            # With whatever it runs: a run that stands still must not outlive its test.
            os.killpg(driver.pid, signal.SIGKILL)


T = TypeVar("T")


def in_several_worlds(
    folder: Path,
    work: Callable[[SegmentWorld, int], list[T]],
    *,
    worlds: int,
    size: int,
    rate: float | None,
    faults: Callable[[], FaultBook] = FaultBook,
) -> list[T]:
    """Do `work` in several worlds at once, and return all of what it returns.

    A run waits most of its time for bytes. `work` is told the number of its world.
    """
    with ThreadPoolExecutor(worlds) as pool, ExitStack() as stack:
        # Made one after the other: to lock is to change what belongs to the whole process.
        made = [
            stack.enter_context(
                segment_world(folder / str(number), size=size, rate=rate, faults=faults())
            )
            for number in range(worlds)
        ]
        return [result for each in pool.map(work, made, range(worlds)) for result in each]


def tell(record_property: Callable[[str, object], None], **figures: float) -> None:
    """Put what a sweep found into the report of the test, and print it for `-s`."""
    for name, value in figures.items():
        record_property(name, value)
    text = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
    print(text)  # noqa: T201 - shown by `-s`
