"""A document is known again by its stamp or its digest, and by neither once it was written."""

import contextlib
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from civsync.cli.texts import is_text_at
from civsync.core.disk import Receipt
from civsync.core.groups import Unselected
from civsync.disk.digest import text_stamp_of
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from civsync.disk.settling import note_settled
from civsync.disk.stamps import is_past
from civsync.disk.state import recall_settled
from civsync.documents.settled import Settled, TextStamp

TEXT = b"a lock\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()
ROUNDS = 20
A_MINUTE = 60

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no time of change here")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "civsync.lock"
    path.write_bytes(TEXT)
    return path


def stamp_at(path: Path) -> TextStamp:
    with path.open("rb", buffering=0) as file:
        stamp = text_stamp_of(file)
    assert stamp is not None
    return stamp


def until_past(stamp: TextStamp) -> TextStamp:
    """Return the stamp when it can be believed: in a moment where times are fine."""
    while not is_past(stamp.ctime_ns):
        pass
    return stamp


def noted(lock: Path, sha256: str) -> Settled:
    """Return what is noted of an empty root beside `lock`, which had this digest when read."""
    state = lock.parent / "state"
    root = open_root(lock.parent / "models", state_dir=state)
    root.establish()
    receipt = Receipt(root_id=root.root_id)
    DiskLedger(root).commit(receipt)
    note_settled(
        root,
        lock,
        "",
        lock_sha256=sha256,
        receipt=receipt,
        files=0,
        unselected=Unselected(),
        state_dir=state,
    )
    settled = recall_settled(state, root.beneath.root)
    assert settled is not None
    return settled


def test_a_text_with_its_stamp_is_not_read(lock: Path) -> None:
    assert is_text_at(lock, "the digest of nothing", stamp_at(lock))
    assert not is_text_at(lock, "the digest of nothing", None)


def test_a_text_written_anew_in_the_same_words_is_known_by_its_digest(lock: Path) -> None:
    stamp = stamp_at(lock)
    lock.write_bytes(TEXT)
    assert not is_text_at(lock, "the digest of nothing", stamp)
    assert is_text_at(lock, SHA256, stamp)


def test_a_write_in_place_is_seen_whatever_time_is_put_back(lock: Path) -> None:
    """Of equal length, as soon as a stamp is believed, many times."""
    for _ in range(ROUNDS):
        lock.write_bytes(TEXT)
        stamp, status = until_past(stamp_at(lock)), lock.stat()
        with lock.open("r+b") as file:
            file.write(TEXT.upper())
        os.utime(lock, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert lock.stat().st_mtime_ns == stamp.mtime_ns
        assert not is_text_at(lock, SHA256, stamp)


def test_another_file_in_its_place_is_seen(lock: Path) -> None:
    stamp, status = stamp_at(lock), lock.stat()
    other = lock.with_name("other")
    other.write_bytes(TEXT.upper())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(lock)
    assert not is_text_at(lock, SHA256, stamp)


def test_a_lock_that_is_gone_is_not_known(lock: Path) -> None:
    stamp = stamp_at(lock)
    lock.unlink()
    assert not is_text_at(lock, SHA256, stamp)


def test_the_stamp_of_the_lock_is_noted_with_its_digest(lock: Path) -> None:
    stamp = until_past(stamp_at(lock))
    settled = noted(lock, SHA256)
    assert (settled.lock_sha256, settled.lock_stamp) == (SHA256, stamp)


def test_of_a_lock_that_was_written_since_it_was_read_no_stamp_is_noted(lock: Path) -> None:
    lock.write_bytes(TEXT.upper())
    until_past(stamp_at(lock))
    settled = noted(lock, SHA256)
    assert settled.lock_stamp is None
    assert not is_text_at(lock, settled.lock_sha256, settled.lock_stamp)


def test_of_a_lock_that_is_gone_no_stamp_is_noted(lock: Path) -> None:
    lock.unlink()
    assert noted(lock, SHA256).lock_stamp is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_the_lock_holds_nothing_up(lock: Path) -> None:
    lock.unlink()
    os.mkfifo(lock)
    with ThreadPoolExecutor() as pool:
        noting = pool.submit(noted, lock, SHA256)
        try:
            assert noting.result(timeout=A_MINUTE).lock_stamp is None
        finally:
            with contextlib.suppress(OSError):
                # Whoever waits for a writer would do so for ever.
                os.close(os.open(lock, os.O_WRONLY | os.O_NONBLOCK))


def test_times_of_which_a_later_write_may_have_the_same_are_not_past() -> None:
    now = time.time_ns()
    fine, second = now - now % 10**9 + 1, 10**9
    assert is_past(fine - 3 * second)
    assert is_past(fine - 1 - 4 * second)
    assert not is_past(fine + 60 * second)
    # A file system that counts in seconds, or in two of them: there a write of now has this time.
    assert not is_past(fine - 1)
