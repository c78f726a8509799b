"""What every BlindParts promises: bytes of a file that nobody knows yet are kept, not published."""

import hashlib
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.errors import DiskError, IntegrityError, SafetyError
from civsync.core.names import parse_path
from support.disk_worlds import KINDS, World, make_world
from support.publishing import publish_part

DATA = bytes(range(256)) * 20
SHA256 = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)
NAME = '4201/1300/5120/"an etag"'


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return make_world(request.param, tmp_path)


def receive(world: World, name: str = NAME, data: bytes = DATA) -> None:
    with world.blind.claim_unnamed(name, SIZE) as part:
        part.write(data, part.done.prefix)


def test_what_was_received_is_there_for_the_next_run(world: World) -> None:
    receive(world, data=DATA[:1000])
    with world.again().blind.claim_unnamed(NAME, SIZE) as part:
        assert part.done.total == 1000
        part.write(DATA[1000:], part.done.prefix)
        assert part.digests().sha256 == SHA256


@pytest.mark.parametrize("other", ["", "../../etc/passwd", NAME + " ", "\u202e\x00", SHA256])
def test_another_name_is_another_part(world: World, other: str) -> None:
    receive(world)
    with world.again().blind.claim_unnamed(other, SIZE) as part:
        assert part.done.total == 0


def test_one_holder_at_a_time(world: World) -> None:
    with (
        world.blind.claim_unnamed(NAME, SIZE),
        pytest.raises(DiskError) as error,
        world.blind.claim_unnamed(NAME, SIZE),
    ):
        pass
    assert error.value.code is Code.ROOT_BUSY


def test_a_part_without_a_hash_cannot_be_published(world: World) -> None:
    path = parse_path("vae/a.safetensors")
    with world.blind.claim_unnamed(NAME, SIZE) as part:
        part.write(DATA, part.done.prefix)
        with pytest.raises(IntegrityError) as error:
            publish_part(world.store, part, path)
    assert error.value.code is Code.HASH_MISMATCH
    assert world.read(path) is None


def test_a_named_part_is_the_one_that_a_sync_finds(world: World) -> None:
    receive(world)
    world.blind.name_it(NAME, SHA256)
    later = world.again()
    assert later.parts.salvage(SHA256, SIZE, [])
    with later.parts.claim(SHA256, SIZE) as part:
        assert (part.done.total, part.digests().sha256) == (SIZE, SHA256)
        publish_part(later.store, part, parse_path("vae/a.safetensors"))
    with world.again().blind.claim_unnamed(NAME, SIZE) as part:
        assert part.done.total == 0


@pytest.mark.parametrize("before", [10, SIZE], ids=["a short one", "a whole one"])
def test_a_named_part_replaces_what_may_be_wrong(world: World, before: int) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(b"?" * before, part.done.prefix)
    receive(world)
    world.blind.name_it(NAME, SHA256)
    with world.again().parts.claim(SHA256, SIZE) as part:
        assert part.digests().sha256 == SHA256


def test_naming_what_is_not_there_does_nothing(world: World) -> None:
    world.blind.name_it(NAME, SHA256)
    assert world.parts.held().get(SHA256, 0) == 0


@pytest.mark.parametrize("sha256", ["", "../../etc/passwd", SHA256.upper()])
def test_only_a_sha256_is_a_name(world: World, sha256: str) -> None:
    receive(world)
    with pytest.raises(SafetyError) as error:
        world.blind.name_it(NAME, sha256)
    assert error.value.code is Code.UNSAFE_PATH
