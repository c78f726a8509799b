"""What every TrashCan promises: nothing is put over anything, and nothing is lost but on order."""

import hashlib
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.disk import Regular, Stamp, Trashed
from civsync.core.errors import CivsyncError
from civsync.core.names import SafePath, parse_path
from support.disk_worlds import KINDS, World, make_world
from support.publishing import publish_part

A = parse_path("loras/style/a.safetensors")
B = parse_path("loras/b.safetensors")
DATA = b"the right bytes" * 1000


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return make_world(request.param, tmp_path)


def retired(world: World, path: SafePath = A, data: bytes = DATA, reason: str = "why") -> Trashed:
    """Put a file into the tree and retire it."""
    known = {each.id for each in world.trash.entries()}
    world.put(path, data)
    sight = world.store.survey([path])[path]
    assert isinstance(sight, Regular)
    digest = hashlib.sha256(data).hexdigest()
    world.store.retire(path, expected=sight.stamp, sha256=digest, reason=reason)
    (new,) = (each for each in world.trash.entries() if each.id not in known)
    return new


def restore(world: World, trashed: Trashed, path: SafePath) -> Stamp:
    _, stamp = world.trash.digest(trashed)
    return world.trash.restore(trashed, path, expected=stamp)


def refusal(world: World, trashed: Trashed, path: SafePath) -> Code:
    with pytest.raises(CivsyncError) as caught:
        restore(world, trashed, path)
    return caught.value.code


def test_an_empty_root_has_no_trash(world: World) -> None:
    assert world.trash.entries() == ()


def test_what_was_retired_is_known_by_path_content_size_and_reason(world: World) -> None:
    trashed = retired(world, reason="replaced")
    assert world.again().trash.entries() == (trashed,)
    assert (trashed.path, trashed.size, trashed.frees) == (A, len(DATA), len(DATA))
    assert trashed.sha256 == hashlib.sha256(DATA).hexdigest()
    assert trashed.reason == "replaced"
    assert world.trash.digest(trashed)[0].sha256 == trashed.sha256


@pytest.mark.parametrize(
    ("said", "known"),
    [
        pytest.param(hashlib.sha256(b"old").hexdigest(), True, id="hashed"),
        pytest.param("", False, id="not hashed"),
        pytest.param("unknown", False, id="no hash"),
        pytest.param("../" * 21 + "x", False, id="a path"),
    ],
)
def test_a_replaced_file_is_known_by_its_path_and_by_its_hash_if_it_has_one(
    world: World, said: str, known: bool
) -> None:
    world.put(A, b"old")
    sight = world.store.survey([A])[A]
    assert isinstance(sight, Regular)
    with world.parts.claim(hashlib.sha256(DATA).hexdigest(), len(DATA)) as part:
        part.write(DATA, 0)
        publish_part(world.store, part, A, replacing=sight.stamp, old_sha256=said)
    (trashed,) = world.trash.entries()
    assert (trashed.path, trashed.size, trashed.reason) == (A, 3, "replaced")
    assert trashed.sha256 == (said if known else None)
    assert world.trash.digest(trashed)[0].size == 3


@pytest.mark.parametrize("path", [A, B], ids=["where it lay", "elsewhere"])
def test_a_restored_file_is_back_as_it_was_and_gone_from_trash(
    world: World, path: SafePath
) -> None:
    trashed = retired(world)
    stamp = restore(world, trashed, path)
    assert world.read(path) == DATA
    assert world.store.survey([path]) == {path: Regular(stamp)}
    assert world.trash.entries() == ()


def test_nothing_is_restored_over_a_file(world: World) -> None:
    trashed = retired(world)
    world.put(A, b"somebody else's")
    assert refusal(world, trashed, A) is Code.PATH_TAKEN
    assert world.read(A) == b"somebody else's"
    assert world.trash.entries() == (trashed,)


def test_nothing_is_restored_over_a_directory_or_below_a_file(world: World) -> None:
    trashed = retired(world)
    world.put("loras/b.safetensors/inner", b"x")
    assert refusal(world, trashed, B) is Code.PATH_TAKEN
    assert refusal(world, trashed, parse_path(f"{B}/inner/a.pt")) is Code.OBSTACLE
    assert world.trash.entries() == (trashed,)


def test_a_file_that_is_not_what_was_read_is_not_restored(world: World) -> None:
    trashed = retired(world)
    _, stamp = world.trash.digest(trashed)
    other = Stamp(stamp.size, stamp.mtime_ns + 1, stamp.inode)
    with pytest.raises(CivsyncError) as caught:
        world.trash.restore(trashed, A, expected=other)
    assert caught.value.code is Code.MODIFIED_FILE
    assert world.read(A) is None
    assert world.trash.entries() == (trashed,)


def test_what_is_discarded_is_gone_and_its_bytes_are_counted(world: World) -> None:
    trashed, other = retired(world), retired(world, B, b"other")
    assert world.trash.discard(trashed) == len(DATA)
    assert world.trash.entries() == (other,)
    assert world.trash.discard(trashed) == 0


def test_what_is_gone_cannot_be_restored(world: World) -> None:
    trashed = retired(world)
    world.trash.discard(trashed)
    with pytest.raises(CivsyncError) as caught:
        world.trash.digest(trashed)
    assert caught.value.code is Code.DISK_FAILED
    with pytest.raises(CivsyncError) as caught:
        world.trash.restore(trashed, A, expected=Stamp(1, 1, 1))
    assert caught.value.code is Code.DISK_FAILED
