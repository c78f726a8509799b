"""Small files get their names together: few calls of the disk, and each file on its own terms."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Owned, Stamp
from civsync.core.errors import CivsyncError, DiskError
from civsync.core.events import Event, FileDone
from civsync.core.limits import BATCH_FILES, BATCH_SPARE_DESCRIPTORS, KIB
from civsync.demo.faults import FlipBit
from civsync.engine.naming import most_files
from civsync.engine.run import Manner
from civsync.ports import Publication
from support.engine_world import EngineWorld, Ports, body, codes_of, memory_ports
from support.memory_disk import MemoryDisk, MemoryLedger, MemoryStore
from support.memory_storage import MemoryStorage

ONE = Manner(jobs=1)

LARGE = 1_000_000
"""Nine of them are more than BATCH_BYTES."""


@dataclass
class Told:
    """What the disk side was asked for, in its order, with the paths."""

    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def take(self, what: str, paths: Iterable[str]) -> None:
        self.calls.append((what, tuple(paths)))

    def sizes(self, what: str) -> list[int]:
        return [len(paths) for call, paths in self.calls if call == what]


class TellingStore(MemoryStore):
    """A store that tells; the files at `broken` cannot be flushed."""

    def __init__(self, disk: MemoryDisk, told: Told, broken: Iterable[str]) -> None:
        super().__init__(disk)
        self.told = told
        self.broken = set(broken)

    def publish(self, wanted: Sequence[Publication]) -> list[Stamp | CivsyncError]:
        self.told.take("publish", (each.path for each in wanted))
        published: list[Stamp | CivsyncError] = []
        for each in wanted:
            if each.path in self.broken:
                published.append(DiskError(Code.DISK_FAILED, "it could not be flushed"))
            else:
                published.extend(super().publish([each]))
        return published


class TellingLedger(MemoryLedger):
    """A ledger that tells; with `narrow` it has no room for more than one note at a time."""

    def __init__(self, disk: MemoryDisk, told: Told, *, narrow: bool) -> None:
        super().__init__(disk)
        self.told = told
        self.narrow = narrow

    def intend(self, *owned: Owned) -> None:
        self.told.take("intend", (each.path for each in owned))
        if self.narrow and len(owned) > 1:
            raise DiskError(Code.NO_SPACE, "the disk is full")
        super().intend(*owned)

    def placed(self, *owned: Owned) -> None:
        self.told.take("placed", (each.path for each in owned))
        super().placed(*owned)


@dataclass
class TellingWorld(EngineWorld):
    """A world that tells when a file is said to be done."""

    told: Told = field(default_factory=Told)

    def take(self, event: Event) -> None:
        if isinstance(event, FileDone):
            self.told.take("done", [event.path])
        super().take(event)


def telling_world(
    sizes: Sequence[int], *, broken: Iterable[str] = (), narrow: bool = False
) -> tuple[EngineWorld, Told]:
    """Return a world that wants a file of each size, in this order.

    The first one of a run goes by itself: with it the login is checked.
    """
    told = Told()

    def adapters(disk: MemoryDisk) -> Ports:
        ports = memory_ports(disk)
        ledger = TellingLedger(disk, told, narrow=narrow)
        return replace(ports, store=TellingStore(disk, told, broken), ledger=ledger)

    world = TellingWorld(storage=MemoryStorage(chunk=64 * KIB), adapters=adapters, told=told)
    for number, size in enumerate(sizes):
        data = body(number)
        world.want(f"loras/{number}.bin", data * (size // len(data)), priority=-number)
    return world, told


def test_files_that_come_together_are_noted_named_and_noted_again_in_one_step_each() -> None:
    world, told = telling_world([100] * 5)
    assert world.sync(ONE).done == {"fetched": 5}
    paths = tuple(f"loras/{number}.bin" for number in range(5))
    steps = ("intend", "publish", "placed")
    calls = [call for call in told.calls if call[0] in steps]
    assert calls == [(step, some) for some in (paths[:1], paths[1:]) for step in steps]


def test_no_file_is_said_to_be_done_before_its_note() -> None:
    world, told = telling_world([100] * 3)
    world.sync(ONE)
    assert [call for call, _ in told.calls] == [
        *("intend", "publish", "placed", "done"),
        *("intend", "publish", "placed", "done", "done"),
    ]


class FaultyWorld(TellingWorld):
    """A world in which civsync has a fault, for as long as it is `faulty`."""

    faulty = True

    def take(self, event: Event) -> None:
        if self.faulty and isinstance(event, FileDone) and event.path == "loras/2.bin":
            raise RuntimeError("a fault")
        super().take(event)


def test_after_a_fault_of_ours_files_that_have_their_names_stay_ours() -> None:
    world = FaultyWorld()
    for number in range(5):
        world.want(f"loras/{number}.bin", body(number), priority=-number)
    with pytest.raises(BaseExceptionGroup):
        world.sync(ONE)
    there = set(world.tree)
    assert {"loras/2.bin", "loras/3.bin"} <= there
    world.faulty = False
    outcome = world.sync(ONE)
    assert (outcome.failures, sum(outcome.done.values())) == ((), 5 - len(there))
    assert set(outcome.receipt.owned) == set(world.wanted)


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        pytest.param([100] * (BATCH_FILES + 4), [1, BATCH_FILES, 3], id="files"),
        pytest.param([LARGE] * 11, [1, 9, 1], id="bytes"),
    ],
)
def test_what_waits_for_its_name_is_bounded(sizes: list[int], together: list[int]) -> None:
    world, told = telling_world(sizes)
    assert world.sync(ONE).done == {"fetched": len(sizes)}
    assert told.sizes("publish") == together


def test_to_stop_at_the_first_failure_each_file_is_named_before_the_next_begins() -> None:
    world, told = telling_world([100] * 4, broken=["loras/1.bin"])
    outcome = world.sync(Manner(jobs=1, fail_fast=True))
    assert told.sizes("publish") == [1, 1]
    assert outcome.done == {"fetched": 1}
    assert len(world.storage.asked) == 2


def test_a_file_that_cannot_be_named_fails_alone_and_keeps_its_bytes() -> None:
    world, _ = telling_world([100] * 4, broken=["loras/2.bin"])
    outcome = world.sync(ONE)
    assert outcome.done == {"fetched": 3}
    assert codes_of(outcome) == {"loras/2.bin": Code.DISK_FAILED}
    asked = len(world.storage.asked)
    world.adapters = memory_ports
    assert world.sync(ONE).done == {"restored": 1}
    assert len(world.storage.asked) == asked


def test_a_file_with_wrong_bytes_keeps_no_other_of_its_batch_from_its_name() -> None:
    world, told = telling_world([100] * 4)
    world.storage.faults[300] = [FlipBit(3)]
    outcome = world.sync(ONE)
    assert outcome.done == {"fetched": 3}
    assert codes_of(outcome) == {"loras/2.bin": Code.HASH_MISMATCH}
    assert told.sizes("publish") == [1, 1, 1]


def test_where_there_is_no_room_for_all_notes_there_may_be_for_each() -> None:
    world, told = telling_world([100] * 3, narrow=True)
    assert world.sync(ONE).done == {"fetched": 3}
    assert told.sizes("intend") == [1, 2, 1, 1]


@pytest.fixture
def descriptors() -> Iterator[int]:
    """The limit of this process, which is put back."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize(
    ("limit", "errands", "files"),
    [
        pytest.param(4 * BATCH_FILES + BATCH_SPARE_DESCRIPTORS, 4, BATCH_FILES, id="enough"),
        pytest.param(4 * BATCH_FILES + BATCH_SPARE_DESCRIPTORS, 8, BATCH_FILES // 2, id="shared"),
        pytest.param(BATCH_SPARE_DESCRIPTORS + 2, 4, 1, id="hardly any"),
        pytest.param(BATCH_SPARE_DESCRIPTORS - 100, 4, 1, id="none to spare"),
    ],
)
def test_files_that_wait_leave_descriptors_to_everything_else(
    descriptors: int, limit: int, errands: int, files: int
) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, descriptors))
    assert most_files(errands) == files
