"""Which files in trash may make room: the oldest, and never one that the lock may want."""

import pytest

from civsync.core.disk import Trashed
from civsync.core.lock import Lock
from civsync.decide.spare import enough_of, spare_trash
from support.lock_values import digest, lock_of, locked_entry, locked_file

LOCK = lock_of(locked_entry(locked_file("loras/a.pt", "wanted")))
SIZE = next(file.size for _, file in LOCK.files())


def trashed(
    text: str | None, *, size: int = 100, frees: int | None = None, seconds: int = 1
) -> Trashed:
    return Trashed(
        id=f"{seconds:012x}",
        path=None,
        sha256=None if text is None else digest(text),
        size=size,
        frees=size if frees is None else frees,
        reason="",
        seconds=seconds,
    )


@pytest.mark.parametrize(
    ("file", "spare"),
    [
        pytest.param(trashed("other"), True, id="other content"),
        pytest.param(trashed("wanted"), False, id="wanted content"),
        pytest.param(trashed("other", size=SIZE), True, id="other content of a wanted size"),
        pytest.param(trashed(None, size=SIZE), False, id="unknown content of a wanted size"),
        pytest.param(trashed(None, size=SIZE + 1), True, id="unknown content of another size"),
        pytest.param(trashed("other", frees=0), False, id="a second name of other bytes"),
        pytest.param(trashed("other", size=0), False, id="nothing in it"),
    ],
)
def test_only_what_the_lock_cannot_want_is_spare(file: Trashed, spare: bool) -> None:
    assert (spare_trash([file], LOCK) == (file,)) is spare


def test_without_a_lock_everything_is_spare() -> None:
    files = [trashed("a"), trashed(None)]
    assert spare_trash(files, Lock()) == tuple(files)


ONE, TWO, THREE = (trashed("x", size=size, seconds=size) for size in (10, 20, 30))


@pytest.mark.parametrize(
    ("missing", "chosen"),
    [
        pytest.param(0, (), id="nothing is missing"),
        pytest.param(1, (ONE,), id="the first is enough"),
        pytest.param(10, (ONE,), id="just enough"),
        pytest.param(11, (ONE, TWO), id="one byte more"),
        pytest.param(60, (ONE, TWO, THREE), id="all"),
        pytest.param(61, (), id="all are not enough"),
    ],
)
def test_as_many_go_as_it_takes_in_their_order_or_none(
    missing: int, chosen: tuple[Trashed, ...]
) -> None:
    assert enough_of([ONE, TWO, THREE], missing) == chosen
