"""Bytes that are written while they are hashed: whoever hashes first, the hashes are right."""

import hashlib
import random
from collections.abc import Callable, Iterator

import blake3
import pytest

from civsync.core.disk import Digests
from civsync.disk.hashing import Aside, Hasher

FIRST, SECOND = random.Random(1).randbytes(5_000), random.Random(2).randbytes(7_000)


class AtOnce(Aside):
    """Is done with its work before the bytes are written."""

    def begin(self, work: Callable[[], object]) -> None:
        self._failure: Exception | None = None
        super().begin(work)
        try:
            super().wait()
        except MemoryError as error:
            self._failure = error

    def wait(self) -> None:
        if self._failure is not None:
            raise self._failure


class AtLast(Aside):
    """Begins when the other thread waits for it."""

    def begin(self, work: Callable[[], object]) -> None:
        self._kept = work

    def wait(self) -> None:
        super().begin(self._kept)
        super().wait()


class Failing:
    """A hash that fails, of which copies do not."""

    def __init__(self, sound: "hashlib._Hash") -> None:
        self._sound = sound

    def update(self, _: object) -> None:
        raise MemoryError

    def copy(self) -> "hashlib._Hash":
        return self._sound.copy()


def digests_of(data: bytes) -> Digests:
    return Digests(
        sha256=hashlib.sha256(data).hexdigest(),
        blake3=blake3.blake3(data).hexdigest(),
        size=len(data),
    )


@pytest.fixture(params=[Aside, AtOnce, AtLast], ids=lambda kind: kind.__name__)
def aside(request: pytest.FixtureRequest) -> Iterator[Aside]:
    """Another thread, at work before, while or after the bytes are written."""
    made: Aside = request.param()
    yield made
    made.close()


def test_both_hashes_are_of_all_bytes_once(aside: Aside) -> None:
    file = bytearray()

    def write(data: memoryview, at: int) -> int:
        assert at == len(file)
        file.extend(data[:3_000])
        return min(3_000, len(data))

    hasher = Hasher()
    hasher.update_beside(aside, memoryview(FIRST))
    file.extend(FIRST)
    hasher.update_beside(aside, memoryview(SECOND), write)
    assert hasher.digests() == digests_of(FIRST + SECOND)
    assert file == FIRST + SECOND


def test_after_a_failed_write_both_hashes_are_of_what_was_written(aside: Aside) -> None:
    written = 0

    def write(data: memoryview, at: int) -> int:
        nonlocal written
        if written:
            raise OSError("full")
        written = 2_000
        return written

    hasher = Hasher()
    hasher.update(FIRST)
    with pytest.raises(OSError, match="full"):
        hasher.update_beside(aside, memoryview(SECOND), write)
    assert hasher.digests() == digests_of(FIRST + SECOND[:2_000])
    hasher.update_beside(aside, memoryview(SECOND)[2_000:])
    assert hasher.digests() == digests_of(FIRST + SECOND)


@pytest.mark.parametrize("kind", ["_sha256", "_blake3"])
def test_after_a_hash_that_failed_both_are_of_what_was_written(aside: Aside, kind: str) -> None:
    hasher = Hasher()
    hasher.update(FIRST)
    setattr(hasher, kind, Failing(getattr(hasher, kind)))
    with pytest.raises(MemoryError):
        hasher.update_beside(aside, memoryview(SECOND), lambda data, _: len(data))
    assert hasher.digests() == digests_of(FIRST + SECOND)
    hasher.update_beside(aside, memoryview(FIRST))
    assert hasher.digests() == digests_of(FIRST + SECOND + FIRST)
