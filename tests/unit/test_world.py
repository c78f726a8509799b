"""One look at a root: what is read, what is remembered, and when nothing is to do."""

import threading
from dataclasses import replace

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Digests, Regular, Stamp
from civsync.core.errors import DiskError
from civsync.core.events import Event, Hashing
from civsync.core.names import SafePath, parse_path
from civsync.core.plan import Blocked, Keep, Replace, Satisfied
from civsync.engine.world import glance, hash_files, look
from support.engine_world import EngineWorld, body
from support.memory_disk import MemoryDisk, MemoryLedger, MemoryStore, digests_of


class ReadingStore(MemoryStore):
    """A store that records which files were read; paths in `broken` cannot be."""

    def __init__(self, disk: MemoryDisk, broken: tuple[str, ...] = ()) -> None:
        super().__init__(disk)
        self.read: list[str] = []
        self.broken = broken

    def digest(
        self, path: SafePath, progress: object = None, *, known: Digests | None = None
    ) -> tuple[Digests, Stamp]:
        self.read.append(path)
        if path in self.broken:
            raise DiskError(Code.DISK_FAILED, "input/output error")
        return super().digest(path, progress, known=known)  # type: ignore[arg-type]  # as it came


def synced() -> EngineWorld:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.want("loras/b.bin", body(2))
    world.sync()
    return world


def kinds(world: EngineWorld) -> dict[str, type]:
    actions = world.see().plan.actions
    return {action.want.path: type(action) for action in actions if hasattr(action, "want")}


def test_a_synced_tree_is_settled_from_stats_alone() -> None:
    world = synced()
    store = ReadingStore(world.disk)
    seen = glance(world.lock, store, MemoryLedger(world.disk))
    assert seen is not None
    assert seen.settled
    assert store.read == []


def test_only_what_was_touched_is_read_again_and_that_is_learned() -> None:
    world = synced()
    world.disk.put("loras/a.bin", body(1))
    store = ReadingStore(world.disk)
    assert glance(world.lock, store, MemoryLedger(world.disk)) is None
    seen = look(world.lock, store, MemoryLedger(world.disk), world.take)
    assert store.read == ["loras/a.bin"]
    assert seen.learned
    assert not seen.settled
    assert not seen.plan.pending
    world.sync()
    assert world.see().settled


def test_everything_there_is_read_when_asked_for() -> None:
    world = synced()
    store = ReadingStore(world.disk)
    look(world.lock, store, MemoryLedger(world.disk), world.take, hash_all=True)
    assert store.read == ["loras/a.bin", "loras/b.bin"]


def test_bytes_that_changed_behind_an_unchanged_stamp_are_found_by_reading_all() -> None:
    world = synced()
    file = world.disk.files["loras/a.bin"]
    world.disk.files["loras/a.bin"] = type(file)(data=body(9), stamp=file.stamp)
    assert world.see().settled
    store, ledger = MemoryStore(world.disk), MemoryLedger(world.disk)
    seen = look(world.lock, store, ledger, world.take, hash_all=True)
    assert isinstance(seen.plan.actions[0], Blocked)


def test_a_foreign_file_of_another_size_is_not_even_read() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.disk.put("loras/a.bin", b"shorter")
    store = ReadingStore(world.disk)
    seen = look(world.lock, store, MemoryLedger(world.disk), world.take)
    assert store.read == []
    assert isinstance(seen.plan.actions[0], Blocked)


def test_a_foreign_file_is_read_once_and_remembered() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.disk.put("loras/a.bin", body(1))
    world.sync()
    store = ReadingStore(world.disk)
    seen = glance(world.lock, store, MemoryLedger(world.disk))
    assert seen is not None
    assert seen.settled
    assert store.read == []
    assert isinstance(seen.plan.actions[0], Satisfied)


@pytest.mark.parametrize("same_bytes", [True, False], ids=["touched", "changed"])
def test_an_owned_file_is_judged_by_its_bytes(same_bytes: bool) -> None:
    world = synced()
    world.disk.put("loras/a.bin", body(1) if same_bytes else body(8))
    assert kinds(world)["loras/a.bin"] is (Keep if same_bytes else Blocked)


def test_an_owned_file_that_the_lock_wants_otherwise_is_replaced() -> None:
    world = synced()
    world.want("loras/a.bin", body(5), model_id=1)
    assert kinds(world) == {"loras/a.bin": Replace, "loras/b.bin": Keep}


def test_a_file_that_cannot_be_read_counts_as_other_content_not_as_absent() -> None:
    world = synced()
    world.disk.put("loras/a.bin", body(1))
    store = ReadingStore(world.disk, broken=("loras/a.bin",))
    seen = look(world.lock, store, MemoryLedger(world.disk), world.take)
    assert isinstance(seen.plan.actions[0], Blocked)


def test_what_is_remembered_of_files_that_are_gone_is_forgotten() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.disk.put("loras/a.bin", body(1))
    world.sync()
    del world.disk.files["loras/a.bin"]
    world.wanted.clear()
    assert world.see().receipt.known == {}


def test_reading_tells_how_far_it_is_and_ends_when_told_to() -> None:
    disk = MemoryDisk()
    paths = [parse_path(f"loras/{number}.bin") for number in range(9)]
    for path in paths:
        disk.put(path, body(1))
    stop = threading.Event()
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        stop.set()

    contents = hash_files(paths, MemoryStore(disk), listen, jobs=1, stop=stop)
    assert [event.bytes_done for event in events if isinstance(event, Hashing)] == [100]
    assert set(contents) == {paths[0]}


# --- both hashes, or BLAKE3 alone -----------------------------------------------------------


@pytest.mark.parametrize("full", [False, True], ids=["by BLAKE3", "full"])
def test_a_forged_blake3_in_the_receipt_deceives_only_where_the_lock_has_none(full: bool) -> None:
    """The one who can write the receipt is believed about BLAKE3, unless asked not to."""
    world = synced()
    path = parse_path("loras/a.bin")
    file = world.disk.files[path]
    world.disk.files[path] = type(file)(data=body(9), stamp=file.stamp)
    forged = replace(world.disk.receipt.owned[path], blake3=digests_of(body(9)).blake3)
    owned = {**world.disk.receipt.owned, path: forged}
    world.disk.receipt = replace(world.disk.receipt, owned=owned)
    seen = look(
        world.lock,
        MemoryStore(world.disk),
        MemoryLedger(world.disk),
        world.take,
        hash_all=True,
        full=full,
    )
    sight = seen.inventory[path]
    assert isinstance(sight, Regular)
    assert (sight.sha256 == digests_of(body(9)).sha256) is full


def test_files_that_cannot_be_read_are_told_whatever_is_remembered_of_them() -> None:
    world = synced()
    store = ReadingStore(world.disk, broken=("loras/a.bin",))
    seen = look(world.lock, store, MemoryLedger(world.disk), world.take, hash_all=True)
    assert list(seen.unread) == ["loras/a.bin"]
    assert [blocked.want.path for blocked in seen.plan.blocked] == ["loras/a.bin"]
    assert not seen.settled
