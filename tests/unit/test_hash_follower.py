"""The hash that follows a growing file never waits for bytes that are not there yet."""

import hashlib

import pytest

from civsync.core.limits import CHUNK_BYTES
from civsync.disk.follower import Follower

DATA = bytes(range(256)) * (CHUNK_BYTES // 128)
KIB = 1024

pytestmark = pytest.mark.timeout(10)  # what this is about is a wait without end


def follow() -> Follower:
    def read(buffer: memoryview, at: int) -> int:
        data = DATA[at : at + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def write(*_: object) -> int:
        pytest.fail("nothing was handed on")

    return Follower(read, write)


def lend(follower: Follower, start: int, end: int) -> None:
    follower.wrote(DATA[start:end], start)


def test_bytes_close_behind_a_hole_are_not_waited_for() -> None:
    follower = follow()
    lend(follower, 0, KIB)
    follower.advance(KIB)
    lend(follower, 3 * KIB, 4 * KIB)
    lend(follower, KIB, 3 * KIB)
    follower.advance(len(DATA))
    assert follower.digests().sha256 == hashlib.sha256(DATA).hexdigest()


def test_bytes_right_behind_what_came_out_of_order_are_hashed_where_they_lie() -> None:
    follower = follow()
    lend(follower, 0, KIB)
    follower.advance(KIB)
    lend(follower, 2 * KIB, 3 * KIB)
    lend(follower, KIB, 2 * KIB)
    follower.advance(3 * KIB)
    lend(follower, 3 * KIB, 4 * KIB)
    follower.advance(4 * KIB)
    assert follower.digests().sha256 == hashlib.sha256(DATA[: 4 * KIB]).hexdigest()
