"""A whole run of the engine in memory: a lock, a disk, a source, a storage host, a clock."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import anyio

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.events import Event, FileRetrying, Noted
from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import parse_path
from civsync.decide.plan import Allowance
from civsync.engine.fetch import Outside
from civsync.engine.run import Manner, Outcome, Steered, carry_out
from civsync.engine.space import Spare, check_space
from civsync.engine.world import World, look
from civsync.ports import Ledger, Parts, Store, TrashCan
from support.factories import remote_file, remote_model, remote_version
from support.fake_clock import FakeClock
from support.lock_values import locked_entry
from support.memory_disk import (
    MemoryDisk,
    MemoryLedger,
    MemoryParts,
    MemoryStore,
    MemoryTrashCan,
    digests_of,
)
from support.memory_source import MemorySource
from support.memory_storage import MemoryStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The disk side of a world."""

    store: Store
    parts: Parts
    ledger: Ledger
    trash: TrashCan


def memory_ports(disk: MemoryDisk) -> Ports:
    """Return the in-memory twins over `disk`."""
    return Ports(
        store=MemoryStore(disk),
        parts=MemoryParts(disk),
        ledger=MemoryLedger(disk),
        trash=MemoryTrashCan(disk),
    )


@dataclass
class EngineWorld:
    """Everything that a run needs. `wanted` is the lock, path to entry; tests edit it all.

    `steered` is what `carry_out` takes under that name.
    """

    disk: MemoryDisk = field(default_factory=MemoryDisk)
    source: MemorySource = field(default_factory=MemorySource)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)
    wanted: dict[str, LockedEntry] = field(default_factory=dict)
    adapters: Callable[[MemoryDisk], Ports] = memory_ports
    steered: Steered | None = None
    empty_trash: bool = False

    def offer(self, model_id: int, data: bytes) -> int:
        """Let upstream have a model with one file; returns the file's id."""
        file = remote_file(model_id * 100, f"m{model_id}.bin", size=len(data))
        version = remote_version(model_id * 10, [file])
        self.source.models[model_id] = remote_model(model_id, [version])
        self.storage.bodies[file.id] = data
        return file.id

    def want(
        self, path: str, data: bytes, *, model_id: int = 0, priority: int = 0, offer: bool = True
    ) -> int:
        """Want `data` at `path`; returns the id of the file that upstream has for it."""
        model_id = model_id or len(self.wanted) + 1
        file_id = self.offer(model_id, data) if offer else model_id * 100
        entry = locked_entry(_locked(path, data, model_id), key=f"{model_id}@latest")
        self.wanted[path] = replace(entry, priority=priority)
        return file_id

    @property
    def lock(self) -> Lock:
        """The lock as it is now."""
        return Lock(entries=tuple(self.wanted.values()))

    def see(self, *, allowance: Allowance | None = None) -> World:
        """Look at the disk and plan."""
        ports = self.ports()
        return look(self.lock, ports.store, ports.ledger, self.take, allowance=allowance)

    def sync(self, manner: Manner | None = None, *, allowance: Allowance | None = None) -> Outcome:
        """Do a whole run as the command does: look, plan, check the space, carry out."""
        return anyio.run(self.run, manner or Manner(), allowance)

    async def run(self, manner: Manner, allowance: Allowance | None = None) -> Outcome:
        """As `sync`, inside an event loop of the test."""
        world, ports = self.see(allowance=allowance), self.ports()
        if world.learned:
            ports.ledger.commit(world.receipt)
        spare = Spare(trash=ports.trash, lock=self.lock, report=self.take, allowed=self.empty_trash)
        room = partial(check_space, world.plan, ports.parts, spare)
        fits = room(retired_first=manner.prune_first)
        outside = Outside(
            source=self.source,
            transport=self.storage,
            store=ports.store,
            parts=ports.parts,
            ledger=ports.ledger,
            clock=self.clock,
            report=self.take,
        )
        orders = () if self.steered is None else (self.steered,)
        make_room = None if fits else room
        return await carry_out(
            world.plan, world.receipt, outside, manner, *orders, make_room=make_room
        )

    @property
    def tree(self) -> dict[str, bytes]:
        """What is under final names."""
        return {path: file.data for path, file in self.disk.files.items()}

    @property
    def starts(self) -> list[int]:
        """The first byte that each request so far asked for."""
        return [asked.start for asked in self.storage.asked]

    @property
    def retried(self) -> list[Code]:
        """Why tries were repeated."""
        return [event.error.code for event in self.events if isinstance(event, FileRetrying)]

    @property
    def notes(self) -> list[str]:
        """Codes of what was noted."""
        return [event.code for event in self.events if isinstance(event, Noted)]

    def take(self, event: Event) -> None:
        """Listen: the reporter of a run."""
        self.events.append(event)

    def ports(self) -> Ports:
        """Return new adapters over the one disk, as a new process has them."""
        return self.adapters(self.disk)


def codes_of(outcome: Outcome) -> dict[str, Code]:
    """Return what failed, path to code."""
    return {path: error.code for path, error in outcome.failures}


def error_at(outcome: Outcome, path: str) -> CivsyncError:
    """Return the failure of one path."""
    return dict(outcome.failures)[parse_path(path)]


def body(seed: int, size: int = 100) -> bytes:
    """Return bytes that belong to `seed` and are no known kind of file."""
    return bytes((seed * 7 + at * 13 + at // 256) % 251 for at in range(size))


def _locked(path: str, data: bytes, model_id: int) -> LockedFile:
    return LockedFile(
        path=parse_path(path),
        size=len(data),
        sha256=digests_of(data).sha256,
        model_id=model_id,
        version_id=model_id * 10,
        file_id=model_id * 100,
        name=path.rpartition("/")[2],
        type="Model",
    )
