"""What a whole plan comes to: order, failures beside successes, the receipt, and stopping."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.disk import Receipt
from civsync.core.errors import CivsyncError, DiskError, RegistryError, WireError
from civsync.core.events import FileDone, Noted
from civsync.core.exits import ExitCode
from civsync.core.limits import SPACE_MARGIN_BYTES
from civsync.core.lock import LockedFile
from civsync.core.wire import SignedUrl
from civsync.decide.plan import Allowance
from civsync.demo.faults import Answer, FlipBit
from civsync.engine.run import Manner
from support.engine_world import EngineWorld, body, codes_of, error_at, memory_ports
from support.memory_disk import MemoryLedger
from support.memory_source import MemorySource

ONE = Manner(jobs=1)
QUOTA = RegistryError(Code.QUOTA, "too much")


@dataclass
class Watched(MemorySource):
    """A source that calls `before` each time it is asked for an address."""

    before: Callable[[], None] = print

    async def locate(self, file: LockedFile, *, refused: SignedUrl | None = None) -> SignedUrl:
        self.before()
        return await super().locate(file, refused=refused)


class FullLedger(MemoryLedger):
    """A ledger on a disk with no space for a receipt."""

    def commit(self, receipt: Receipt) -> None:
        raise DiskError(Code.NO_SPACE, "the disk is full")


def synced(*paths: str) -> EngineWorld:
    """A world in step with one file of its own at each path."""
    world = EngineWorld()
    for number, path in enumerate(paths, start=1):
        world.want(path, body(number))
    assert world.sync().exit is ExitCode.OK
    world.storage.asked.clear()
    world.events.clear()
    return world


def rename(world: EngineWorld, old: str, new: str) -> None:
    model_id = world.wanted[old].files[0].model_id
    del world.wanted[old]
    world.want(new, world.storage.bodies[model_id * 100], model_id=model_id)


def done_in_order(world: EngineWorld) -> list[tuple[str, str]]:
    return [(event.how, event.path) for event in world.events if isinstance(event, FileDone)]


# --- order ----------------------------------------------------------------------------


def test_moves_come_first_and_what_leaves_the_tree_leaves_last() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    rename(world, "loras/a.bin", "loras/z.bin")
    del world.wanted["loras/b.bin"]
    world.want("loras/new.bin", body(9), model_id=9)
    world.sync()
    assert done_in_order(world) == [
        ("moved", "loras/z.bin"),
        ("fetched", "loras/new.bin"),
        ("retired", "loras/b.bin"),
    ]


def test_prune_first_retires_before_it_downloads() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    del world.wanted["loras/b.bin"]
    world.want("loras/new.bin", body(9), model_id=9)
    world.sync(Manner(prune_first=True))
    assert [how for how, _ in done_in_order(world)] == ["retired", "fetched"]


def test_priority_comes_before_size_and_size_before_name() -> None:
    world = EngineWorld()
    world.want("loras/small.bin", body(1, 10))
    world.want("loras/large.bin", body(2, 90))
    world.want("loras/also-small.bin", body(3, 10))
    world.want("loras/urgent.bin", body(4, 99), priority=5)
    world.sync(ONE)
    assert [path.removeprefix("loras/") for _, path in done_in_order(world)] == [
        "urgent.bin",
        "also-small.bin",
        "small.bin",
        "large.bin",
    ]


@pytest.mark.parametrize(("jobs", "busiest"), [(1, 1), (3, 3), (8, 5)])
def test_no_more_files_run_at_once_than_there_are_jobs(jobs: int, busiest: int) -> None:
    world = EngineWorld()
    for number in range(5):
        world.want(f"loras/{number}.bin", body(number))
    world.sync(Manner(jobs=jobs))
    assert world.storage.busiest == busiest


# --- content that is here already ------------------------------------------------------


def test_the_same_bytes_at_two_paths_are_downloaded_once() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.want("loras/b.bin", body(1), model_id=2)
    outcome = world.sync()
    assert outcome.done == {"fetched": 1, "restored": 1}
    assert len(world.storage.asked) == 1
    assert world.tree == {"loras/a.bin": body(1), "loras/b.bin": body(1)}
    assert set(outcome.receipt.owned) == {"loras/a.bin", "loras/b.bin"}


def test_two_files_that_swap_their_paths_need_no_request() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    one, two = world.wanted["loras/a.bin"], world.wanted["loras/b.bin"]
    world.wanted.clear()
    world.want("loras/a.bin", body(2), model_id=two.files[0].model_id)
    world.want("loras/b.bin", body(1), model_id=one.files[0].model_id)
    assert world.sync(ONE).done == {"restored": 2}
    assert world.tree == {"loras/a.bin": body(2), "loras/b.bin": body(1)}
    assert world.storage.asked == []


def test_three_files_in_a_ring_need_no_request() -> None:
    world = synced("loras/a.bin", "loras/b.bin", "loras/c.bin")
    world.wanted.clear()
    for path, number in (("loras/a.bin", 2), ("loras/b.bin", 3), ("loras/c.bin", 1)):
        world.want(path, body(number), model_id=number)
    world.sync(ONE)
    assert world.tree == {"loras/a.bin": body(2), "loras/b.bin": body(3), "loras/c.bin": body(1)}
    assert world.storage.asked == []


def test_a_dropped_file_comes_back_from_trash() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    kept = world.wanted.pop("loras/a.bin")
    assert world.sync().done == {"retired": 1}
    world.wanted["loras/a.bin"] = kept
    assert world.sync().done == {"restored": 1}
    assert world.tree == {"loras/a.bin": body(1), "loras/b.bin": body(2)}
    assert world.disk.trash == []
    assert world.storage.asked == []


# --- failures ---------------------------------------------------------------------------


def test_a_failed_file_stops_no_other_and_postpones_what_leaves() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    del world.wanted["loras/b.bin"]
    bad = world.want("loras/bad.bin", body(8), model_id=8)
    world.want("loras/good.bin", body(9), model_id=9)
    world.storage.faults[bad] = [FlipBit(3)]
    outcome = world.sync()
    assert codes_of(outcome) == {"loras/bad.bin": Code.HASH_MISMATCH}
    assert set(world.tree) == {"loras/a.bin", "loras/b.bin", "loras/good.bin"}
    assert "retire-postponed" in world.notes
    assert world.sync().done == {"fetched": 1, "retired": 1}
    assert "loras/b.bin" not in world.tree


def test_a_failed_bump_keeps_the_old_file() -> None:
    world = synced("loras/a_v1.bin", "loras/b.bin")
    model_id = world.wanted.pop("loras/a_v1.bin").files[0].model_id
    file_id = world.want("loras/a_v2.bin", body(7), model_id=model_id)
    world.storage.faults[file_id] = [Answer(418)] * 8
    assert world.sync().exit is ExitCode.TEMPORARY
    assert set(world.tree) == {"loras/a_v1.bin", "loras/b.bin"}
    assert world.sync().done == {"fetched": 1, "retired": 1}
    assert set(world.tree) == {"loras/a_v2.bin", "loras/b.bin"}


def test_fail_fast_ends_the_run_and_counts_what_was_not_tried() -> None:
    world = EngineWorld()
    first = world.want("loras/first.bin", body(1), priority=9)
    world.want("loras/second.bin", body(2))
    world.storage.faults[first] = [FlipBit(3)]
    outcome = world.sync(Manner(jobs=1, fail_fast=True))
    assert codes_of(outcome) == {"loras/first.bin": Code.HASH_MISMATCH}
    assert world.tree == {}
    assert world.notes[-1] == "not-tried"
    assert len(world.storage.asked) == 1


def test_fail_fast_downloads_nothing_where_the_plan_is_blocked_already() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.want("loras/b.bin", body(2))
    world.disk.put("loras/a.bin", b"a stranger's")
    outcome = world.sync(Manner(fail_fast=True))
    assert codes_of(outcome) == {"loras/a.bin": Code.FOREIGN_FILE}
    assert world.storage.asked == []


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_used_up_quota_stops_all_downloads_of_the_run(jobs: int) -> None:
    world = EngineWorld()
    for number in range(1, 9):
        file_id = world.want(f"loras/{number}.bin", body(number), priority=-number)
        if number > 1:
            world.source.failures[file_id] = QUOTA
    outcome = world.sync(Manner(jobs=jobs))
    assert set(codes_of(outcome).values()) == {Code.QUOTA}
    assert outcome.exit is ExitCode.TEMPORARY
    assert len(outcome.failures) <= jobs
    assert "not-tried" in world.notes


ARCHIVED = RegistryError(Code.ARCHIVED, "archived")
LOGIN = RegistryError(Code.LOGIN_NEEDED, "log in")
EARLY = RegistryError(Code.EARLY_ACCESS, "later")
REGION = RegistryError(Code.REGION_BLOCKED, "not here")
BROKEN = WireError(Code.TLS_FAILED, "no certificate")


@pytest.mark.parametrize(
    ("failures", "status"),
    [
        pytest.param([LOGIN, EARLY], 6, id="6 alone"),
        pytest.param([ARCHIVED, REGION], 7, id="7 alone"),
        pytest.param([BROKEN], 75, id="75 alone"),
        pytest.param([LOGIN, BROKEN], 4, id="6 and 75"),
        pytest.param([LOGIN, ARCHIVED, BROKEN], 4, id="6, 7 and 75"),
        pytest.param([LOGIN, BROKEN, "foreign"], 8, id="8 wins"),
        pytest.param([LOGIN, "foreign", "flip"], 5, id="5 wins over 8"),
    ],
)
def test_one_kind_of_failure_is_the_exit_status_and_a_mixture_is_4(
    failures: list[CivsyncError | str], status: int
) -> None:
    world = EngineWorld()
    world.want("loras/fine.bin", body(99), model_id=99)
    for number, failure in enumerate(failures, start=1):
        file_id = world.want(f"loras/{number}.bin", body(number), model_id=number)
        if isinstance(failure, CivsyncError):
            world.source.failures[file_id] = failure
        elif failure == "flip":
            world.storage.faults[file_id] = [FlipBit(1)]
        else:
            world.disk.put(f"loras/{number}.bin", b"a stranger's")
    assert world.sync().exit == status
    assert world.tree["loras/fine.bin"] == body(99)


# --- space ------------------------------------------------------------------------------


def test_space_is_checked_before_the_first_byte_with_need_and_have() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.disk.free = SPACE_MARGIN_BYTES + 99
    with pytest.raises(DiskError) as caught:
        world.sync()
    assert (caught.value.code, caught.value.exit) == (Code.NO_SPACE, ExitCode.REFUSED)
    assert caught.value.data == {"need": 100, "have": 99}
    assert world.source.located == {}


def test_space_counts_what_is_held_and_each_content_once() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.want("loras/b.bin", body(2))
    world.disk.parts[world.wanted["loras/a.bin"].files[0].sha256] = body(1)[:60]
    world.disk.free = SPACE_MARGIN_BYTES + 140
    assert world.sync().exit is ExitCode.OK


def test_what_waits_in_trash_needs_no_space() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    kept = world.wanted.pop("loras/a.bin")
    world.sync()
    world.wanted["loras/a.bin"] = kept
    world.disk.free = 0
    assert world.sync().done == {"restored": 1}


def full_world() -> EngineWorld:
    """A world on a full disk: two files in trash, the older one 300 bytes, and one to fetch."""
    world = EngineWorld()
    world.want("loras/old.bin", body(1, 300))
    world.want("loras/newer.bin", body(2, 200))
    world.want("loras/stays.bin", body(3))
    world.sync()
    for path in ("loras/old.bin", "loras/newer.bin"):
        world.wanted.pop(path)
        world.sync()
    world.disk.free = SPACE_MARGIN_BYTES
    world.events.clear()
    return world


def in_trash(world: EngineWorld) -> list[str]:
    return [each.path for each in world.disk.trash]


@pytest.mark.parametrize(
    ("size", "left"),
    [
        pytest.param(300, ["loras/newer.bin"], id="the oldest is enough"),
        pytest.param(301, [], id="both are needed"),
    ],
)
def test_a_full_disk_is_given_the_oldest_trash_where_that_is_allowed(
    size: int, left: list[str]
) -> None:
    world = full_world()
    world.want("loras/new.bin", body(9, size))
    world.empty_trash = True
    assert world.sync().done == {"fetched": 1}
    assert in_trash(world) == left
    emptied = [each for each in world.events if isinstance(each, Noted)]
    assert [each.code for each in emptied] == ["trash-emptied"] * (2 - len(left))
    assert emptied[0].path == "loras/old.bin"
    assert "300 bytes" in emptied[0].message


def test_without_the_users_word_trash_stays_and_the_hint_says_what_it_holds() -> None:
    world = full_world()
    world.want("loras/new.bin", body(9, 300))
    with pytest.raises(DiskError) as caught:
        world.sync()
    assert caught.value.code is Code.NO_SPACE
    assert "500 bytes" in caught.value.hint
    assert "--empty-trash" in caught.value.hint
    assert in_trash(world) == ["loras/old.bin", "loras/newer.bin"]


def test_trash_that_would_not_be_enough_is_not_given_away() -> None:
    world = full_world()
    world.want("loras/new.bin", body(9, 501))
    world.empty_trash = True
    with pytest.raises(DiskError) as caught:
        world.sync()
    assert "--empty-trash" not in caught.value.hint
    assert in_trash(world) == ["loras/old.bin", "loras/newer.bin"]


def test_room_is_not_made_of_what_another_path_of_the_lock_still_wants() -> None:
    world = full_world()
    world.want("loras/new.bin", body(9, 200))
    world.want("loras/twin.bin", body(1, 300))
    world.disk.put("loras/twin.bin", body(1, 300))
    world.empty_trash = True
    assert world.sync().done == {"fetched": 1}
    assert in_trash(world) == ["loras/old.bin"]


def test_a_disk_with_room_keeps_its_trash() -> None:
    world = full_world()
    world.disk.free = SPACE_MARGIN_BYTES + 300
    world.want("loras/new.bin", body(9, 300))
    world.empty_trash = True
    assert world.sync().done == {"fetched": 1}
    assert in_trash(world) == ["loras/old.bin", "loras/newer.bin"]


@pytest.mark.parametrize("prune_first", [True, False])
def test_what_is_retired_first_may_make_room_for_what_replaces_it(prune_first: bool) -> None:
    world = full_world()
    world.wanted.pop("loras/stays.bin")
    world.want("loras/new.bin", body(9, 600))
    world.empty_trash = True
    manner = Manner(prune_first=prune_first)
    if prune_first:
        assert world.sync(manner).done == {"fetched": 1, "retired": 1}
        assert world.tree == {"loras/new.bin": body(9, 600)}
        assert in_trash(world) == []
    else:
        with pytest.raises(DiskError):
            world.sync(manner)
        assert world.tree == {"loras/stays.bin": body(3)}
        assert len(in_trash(world)) == 2


def test_a_disk_that_fills_up_fails_one_file_keeps_its_part_and_lets_others_fit() -> None:
    world = EngineWorld()
    world.want("loras/large.bin", body(1, 5000), priority=1)
    world.want("loras/small.bin", body(2, 50))
    world.storage.chunk = 500
    world.disk.free = SPACE_MARGIN_BYTES + 6000

    def fill() -> None:
        if not world.storage.asked:
            world.disk.free = 1800

    world.source = Watched(models=world.source.models, before=fill)
    outcome = world.sync(ONE)
    assert codes_of(outcome) == {"loras/large.bin": Code.NO_SPACE}
    assert outcome.exit is ExitCode.REFUSED
    assert world.tree == {"loras/small.bin": body(2, 50)}
    assert [len(part) for part in world.disk.parts.values()] == [1500]


# --- the receipt --------------------------------------------------------------------------


def test_a_run_with_nothing_to_do_changes_neither_tree_nor_receipt() -> None:
    world = synced("loras/a.bin")
    tree, receipt = world.tree, world.disk.receipt
    assert world.sync().done == {}
    assert (world.tree, world.disk.receipt) == (tree, receipt)
    assert world.disk.trash == []


def test_what_was_whole_before_a_cancellation_has_its_name_and_is_owned() -> None:
    world = EngineWorld()
    world.want("loras/first.bin", body(1), priority=9)
    second = world.want("loras/second.bin", body(2))

    def first_is_whole() -> bool:
        return body(1) in (*map(bytes, list(world.disk.parts.values())), *world.tree.values())

    async def main() -> bool:
        with anyio.CancelScope() as scope:

            class Cancelling(MemorySource):
                async def locate(
                    self, file: LockedFile, *, refused: SignedUrl | None = None
                ) -> SignedUrl:
                    if world.storage.asked:
                        # The first file may still be on its way when this one is asked for.
                        while not first_is_whole():
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()
                    return await super().locate(file, refused=refused)

            world.source = Cancelling(models=world.source.models)
            await world.run(ONE)
        return scope.cancelled_caught

    assert anyio.run(main)
    assert set(world.disk.receipt.owned) == {"loras/first.bin"}
    assert world.disk.notes == []
    assert world.sync().done == {"fetched": 1}
    assert world.source.located[second] == 1


def test_a_receipt_that_cannot_be_written_is_told_and_made_up_for_by_the_next_run() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    world.adapters = lambda disk: replace(memory_ports(disk), ledger=FullLedger(disk))
    with pytest.raises(DiskError) as caught:
        world.sync()
    assert caught.value.code is Code.NO_SPACE
    assert world.notes == ["receipt-postponed"]
    world.adapters = memory_ports
    assert world.sync().done == {}
    assert set(world.see().receipt.owned) == {"loras/a.bin"}


def test_a_receipt_that_cannot_be_written_hides_no_other_failure() -> None:
    world = EngineWorld()
    world.want("loras/a.bin", body(1))
    bad = world.want("loras/b.bin", body(2))
    world.storage.faults[bad] = [FlipBit(3)]
    world.adapters = lambda disk: replace(memory_ports(disk), ledger=FullLedger(disk))
    assert codes_of(world.sync()) == {"loras/b.bin": Code.HASH_MISMATCH}
    assert "receipt-postponed" in world.notes


# --- what is the user's -------------------------------------------------------------------


def test_a_foreign_file_with_the_right_bytes_counts_and_is_never_retired() -> None:
    world = synced("loras/b.bin")
    world.want("loras/a.bin", body(5), model_id=5)
    world.disk.put("loras/a.bin", body(5))
    outcome = world.sync()
    assert outcome.done == {}
    assert "loras/a.bin" not in outcome.receipt.owned
    del world.wanted["loras/a.bin"]
    assert world.sync().done == {}
    assert "loras/a.bin" in world.tree


def test_a_changed_file_is_replaced_only_when_allowed_and_goes_to_trash() -> None:
    world = synced("loras/a.bin")
    world.disk.put("loras/a.bin", b"retouched")
    refused = world.sync()
    assert error_at(refused, "loras/a.bin").code is Code.MODIFIED_FILE
    assert world.tree == {"loras/a.bin": b"retouched"}
    forced = world.sync(allowance=Allowance(force_modified=True))
    assert forced.exit is ExitCode.OK
    assert world.tree == {"loras/a.bin": body(1)}
    assert [each.data for each in world.disk.trash] == [b"retouched"]


def test_a_changed_file_that_is_wanted_no_more_is_left_and_let_go() -> None:
    world = synced("loras/a.bin", "loras/b.bin")
    world.disk.put("loras/a.bin", b"retouched")
    del world.wanted["loras/a.bin"]
    outcome = world.sync()
    assert outcome.exit is ExitCode.OK
    assert world.tree["loras/a.bin"] == b"retouched"
    assert set(outcome.receipt.owned) == {"loras/b.bin"}
    assert world.notes == ["released"]
