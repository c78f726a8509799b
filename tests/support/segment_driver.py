"""Runs a sync of the real engine with several connections in a second, to be killed at will.

The command line tries more connections only for big files and after seconds of measuring.
Here pieces are small and the clock is fast, and everything else is what users run: engine,
wire, disk. One process loads it all, then each run is a fork of it, so that hundreds of runs
do not pay for hundreds of starts.

It reads one JSON object a line, an `Errand`, and answers each with one, a `Ran`.
"""

import json
import mmap
import os
import random
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio

from civsync.cli.settings import Settings, state_dir
from civsync.cli.wiring import Disk, open_disk
from civsync.core.errors import CivsyncError
from civsync.core.events import Event
from civsync.core.lock import Lock
from civsync.core.wire import Head
from civsync.decide.pieces import PieceTuning
from civsync.decide.ramp import RampTuning
from civsync.disk.lockfile import hold_root
from civsync.documents.lock import read_lock
from civsync.engine.fetch import Outside
from civsync.engine.run import Manner, Outcome, carry_out
from civsync.engine.space import check_space
from civsync.engine.world import look
from civsync.ports import Errand as WireErrand
from civsync.ports import Sink
from civsync.sources.civitai import CivitaiSource
from civsync.wire.transport import HttpTransport

T = TypeVar("T")

KIB = 1024

FASTER = 20.0
"""How many of the engine's seconds pass in one: pauses before tries, windows of measuring."""

PIECES = PieceTuning(segmented=256 * KIB, shortest=64 * KIB, longest=256 * KIB, half=16 * KIB)
RAMP = RampTuning(worthwhile=0.0, rest=2.0)

_NUMBER = struct.Struct("q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Bring `root` in step with `lock`; killed after so many seconds, if it still runs then."""

    root: str
    lock: str
    api_url: str
    connections: int = 16
    seed: int = 0
    kill_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended: `status` as Popen has it, -9 for killed.

    `taken` are the bytes of bodies that the wire handed to the engine, whatever became of
    them and of the run; `received` is what the run itself says that its files took.
    """

    status: int
    seconds: float
    taken: int
    received: int = 0
    done: dict[str, int]
    failed: list[str]


class FastClock:
    """A Clock on which all waits are short; chance is seeded."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def monotonic(self) -> float:
        """See `civsync.ports.Clock`."""
        return time.monotonic() * FASTER

    def worked(self) -> float:
        """See `civsync.ports.Clock`. None, so that more connections are tried in any case."""
        return 0.0

    def jitter(self) -> float:
        """See `civsync.ports.Clock`."""
        return self._random.random()

    async def sleep(self, seconds: float) -> None:
        """See `civsync.ports.Clock`."""
        await anyio.sleep(seconds / FASTER)


class Taken:
    """A number that a process goes on counting until it is killed, and its parent reads."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _NUMBER.size)
        self._mutex = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes; any thread may."""
        with self._mutex:
            _NUMBER.pack_into(self._shared, 0, self.total + count)

    @property
    def total(self) -> int:
        """Everything so far."""
        (total,) = _NUMBER.unpack_from(self._shared)
        return int(total)


class CountingTransport(HttpTransport):
    """The real one; what it hands on is counted first."""

    def __init__(self, taken: Taken, *, connections: int) -> None:
        super().__init__(api_host="127.0.0.1", connections=connections)
        self._taken = taken

    async def errand(self, work: Callable[[WireErrand], T]) -> T:
        """See `civsync.ports.Transport`."""
        return await super().errand(lambda errand: work(_Counting(errand, self._taken)))


@dataclass(frozen=True, slots=True)
class _Counting:
    errand: WireErrand
    taken: Taken

    def get(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        def counted(head: Head) -> Sink | None:
            sink = judge(head)
            if sink is None:
                return None

            def take(data: memoryview | bytes) -> None:
                self.taken.add(len(data))
                sink(data)

            return take

        return self.errand.get(url, headers, counted)

    def rest(self, seconds: float) -> None:
        self.errand.rest(seconds)


async def sync(errand: Errand, lock: Lock, taken: Taken) -> Outcome:
    """Do what `civsync sync --frozen` does, from taking the root to sweeping it."""
    disk = open_disk(Path(errand.root), Settings())
    disk.root.establish()
    with hold_root(disk.root, command="segment driver"):
        world = look(lock, disk.store, disk.ledger, _ignore)
        if world.learned or disk.ledger.unsettled:
            disk.ledger.commit(world.receipt)
        check_space(world.plan, disk.parts)
        transport = CountingTransport(taken, connections=errand.connections)
        try:
            outside = _outside(errand, disk, transport)
            manner = Manner(connections=errand.connections, ramp=RAMP, pieces=PIECES)
            outcome = await carry_out(world.plan, world.receipt, outside, manner)
        finally:
            await transport.aclose()
        disk.parts.sweep(time.time_ns(), wanted={file.sha256 for _, file in lock.files()})
    return outcome


def _outside(errand: Errand, disk: Disk, transport: HttpTransport) -> Outside:
    clock = FastClock(errand.seed)
    return Outside(
        source=CivitaiSource(transport, clock, api_url=errand.api_url, token=None, report=_ignore),
        transport=transport,
        store=disk.store,
        parts=disk.parts,
        ledger=disk.ledger,
        clock=clock,
        report=_ignore,
    )


def _ignore(event: Event) -> None:
    pass


def _run(errand: Errand, taken: Taken) -> tuple[int, dict[str, Any]]:
    lock = read_lock(Path(errand.lock).read_bytes())
    try:
        outcome = anyio.run(sync, errand, lock, taken)
    except CivsyncError as error:
        return int(error.exit), {"done": {}, "failed": [str(error.code)]}
    failed = [str(error.code) for _, error in outcome.failures]
    return int(outcome.exit), {
        "received": outcome.received,
        "done": outcome.done,
        "failed": failed,
    }


def _fork(errand: Errand) -> Ran:
    """Run in a process of its own, and see to its end."""
    reading, writing = os.pipe()
    taken = Taken()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_the_child(errand, taken, writing)
    os.close(writing)
    if errand.kill_after is not None and not signal.sigtimedwait(
        {signal.SIGCHLD}, errand.kill_after
    ):
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as told:
        text = told.read()
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - began
    signal.sigtimedwait({signal.SIGCHLD}, 0)
    more = json.loads(text) if text else {"done": {}, "failed": []}
    code = os.waitstatus_to_exitcode(status)
    return Ran(status=code, seconds=seconds, taken=taken.total, **more)


def _be_the_child(errand: Errand, taken: Taken, writing: int) -> None:
    """Run, tell through the pipe, and end without what the parent would do at its end."""
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        status, told = _run(errand, taken)
        os.write(writing, json.dumps(told).encode())
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent would
        traceback.print_exc()
    finally:
        os._exit(status)


def _warm_up() -> None:
    """Load what every run needs and loads late, so that the forks have it; no thread begins."""
    anyio.run(anyio.sleep, 0)
    state_dir()
    "localhost".encode("idna")


def main() -> None:
    """Serve errands until the input ends."""
    _warm_up()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        ran = _fork(Errand(**json.loads(line)))
        print(json.dumps(asdict(ran)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
