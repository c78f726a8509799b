"""What comes back from trash is ours where the lock wants it, and the user's anywhere else."""

from dataclasses import dataclass, field

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Regular, Trashed
from civsync.core.errors import CivsyncError
from civsync.core.lock import LockedEntry
from civsync.core.names import parse_path
from civsync.decide.plan import wanted_files
from civsync.engine.restoring import Restoration, restore
from support.engine_world import EngineWorld, body

A = parse_path("loras/a.bin")
B = parse_path("loras/b.bin")


@dataclass
class TrashWorld(EngineWorld):
    """A world with a file in trash; `kept` is the entry that wanted it."""

    kept: LockedEntry = field(init=False)


def world_with_trash() -> TrashWorld:
    """A synced world of which one file was dropped, so that it waits in trash."""
    world = TrashWorld()
    world.want(A, body(1))
    world.want(B, body(2))
    assert world.sync().done == {"fetched": 2}
    world.kept = world.wanted.pop(A)
    assert world.sync().done == {"retired": 1}
    return world


def put_back(world: TrashWorld, path: str = A, trashed: Trashed | None = None) -> Restoration:
    ports = world.ports()
    (only,) = ports.trash.entries() if trashed is None else (trashed,)
    wishes = [(only, parse_path(path))]
    return restore(wishes, wanted_files(world.lock), ports.trash, ports.ledger)


def test_what_the_lock_wants_just_there_is_ours_again() -> None:
    world = world_with_trash()
    world.wanted[A] = world.kept
    (restored,) = put_back(world).done
    assert (restored.path, restored.owned) == (A, True)
    mine = world.disk.receipt.owned[A]
    assert (mine.sha256, mine.entry) == (restored.sha256, world.kept.key)
    assert world.disk.notes == []
    before = world.disk.writes
    assert world.sync().done == {}
    assert world.disk.writes == before


def test_what_the_lock_does_not_want_is_the_users_and_no_sync_takes_it() -> None:
    world = world_with_trash()
    (restored,) = put_back(world).done
    assert not restored.owned
    assert A not in world.disk.receipt.owned
    assert world.sync().done == {}
    assert world.tree == {A: body(1), B: body(2)}
    world.wanted[A] = world.kept
    assert world.sync().done == {}
    world.wanted.pop(A)
    assert world.sync().done == {}
    assert world.tree == {A: body(1), B: body(2)}


def test_a_path_that_was_ours_is_the_users_after_something_came_back_to_it() -> None:
    world = world_with_trash()
    world.wanted[A] = world.kept
    assert world.sync().done == {"restored": 1}
    world.disk.put(A, body(1))
    stamp = world.disk.files[A].stamp
    world.ports().store.retire(A, expected=stamp, sha256=world.kept.files[0].sha256)
    world.wanted.pop(A)
    assert A in world.disk.receipt.owned
    assert not put_back(world).done[0].owned
    assert world.sync().done == {}
    assert world.tree == {A: body(1), B: body(2)}


def refusal(restoration: Restoration) -> CivsyncError:
    assert restoration.done == ()
    ((_, error),) = restoration.failures
    return error


def test_nothing_comes_back_over_a_file_and_that_file_stays_whose_it_is() -> None:
    world = world_with_trash()
    world.wanted[A] = world.kept
    world.disk.put(A, body(1))
    assert refusal(put_back(world)).code is Code.PATH_TAKEN
    assert A not in world.ports().ledger.read().owned
    assert len(world.disk.trash) == 1


def test_nothing_comes_back_where_the_lock_wants_other_bytes() -> None:
    world = world_with_trash()
    world.want(A, body(9), model_id=9)
    error = refusal(put_back(world))
    assert (error.code, error.exit) == (Code.PATH_TAKEN, 8)
    assert A not in world.tree
    assert world.sync().done == {"fetched": 1}


def test_what_rotted_in_trash_stays_there() -> None:
    world = world_with_trash()
    (only,) = world.ports().trash.entries()
    rotten = Trashed(
        id=only.id,
        path=only.path,
        sha256="0" * 64,
        size=only.size,
        frees=only.frees,
        reason=only.reason,
        seconds=only.seconds,
    )
    error = refusal(put_back(world, trashed=rotten))
    assert (error.code, error.exit) == (Code.DIFFERS, 5)
    assert A not in world.tree
    assert len(world.disk.trash) == 1


@pytest.mark.parametrize("first_fails", [True, False])
def test_one_that_fails_does_not_stop_the_others(first_fails: bool) -> None:
    world = world_with_trash()
    world.wanted.pop(B)
    world.want("loras/c.bin", body(3))
    world.want("loras/d.bin", body(4))
    world.sync()
    ports = world.ports()
    one, two = ports.trash.entries()
    world.disk.put(A if first_fails else B, b"in the way")
    restoration = restore([(one, A), (two, B)], {}, ports.trash, ports.ledger)
    assert [each.path for each in restoration.done] == [B if first_fails else A]
    assert [each.id for each, _ in restoration.failures] == [one.id if first_fails else two.id]
    sight = ports.store.survey([A, B])
    assert all(isinstance(each, Regular) for each in sight.values())
