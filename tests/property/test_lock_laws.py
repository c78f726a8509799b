"""Laws of the lock: one text for one value, and no text leads out of the root."""

import random
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from civsync.core.lock import Lock, LockedEntry, LockedFile, Waiting
from civsync.core.names import parse_path
from civsync.core.problems import DocumentError
from civsync.documents.lock import read_lock, write_lock
from support.lock_values import digest, locks

SHA256 = re.compile(r"[0-9a-f]{64}\Z")

SMALL = Lock(
    entries=(
        LockedEntry(
            key="1@latest",
            request={"policy.pickle": "deny"},
            groups=("a",),
            waiting=(Waiting(version_id=9, version="v9"),),
            files=(
                LockedFile(
                    path=parse_path("loras/a.safetensors"),
                    size=7,
                    sha256=digest("a"),
                    model_id=1,
                    version_id=2,
                    file_id=3,
                    name="a",
                    type="Model",
                    hashes={"CRC32": "00"},
                    owner_version_id=4,
                    model="m",
                    license="no-credit",
                ),
                LockedFile(
                    path=parse_path("vae/é.pt"),
                    size=8,
                    sha256=digest("b"),
                    model_id=1,
                    version_id=2,
                    file_id=5,
                    name="é",
                    type="VAE",
                ),
            ),
        ),
    )
)


def accepted(data: bytes) -> bool:
    """Read `data` as a lock: it is refused as a document, or all of it is safe."""
    try:
        lock = read_lock(data)
    except DocumentError:
        return False
    for _, file in lock.files():
        assert parse_path(file.path) == file.path
        assert file.sha256 == "" or SHA256.match(file.sha256)
        assert file.size >= 0
        assert file.source_version_id > 0
    return True


@given(locks())
def test_reading_what_was_written_gives_the_same_lock(lock: Lock) -> None:
    assert read_lock(write_lock(lock)) == lock


@given(locks(), st.randoms(use_true_random=False))
def test_the_order_of_entries_and_keys_leaves_no_trace(lock: Lock, chance: random.Random) -> None:
    entries = list(lock.entries)
    chance.shuffle(entries)
    shuffled = [
        replace(
            entry,
            request=dict(reversed(list(entry.request.items()))),
            files=tuple(sorted(entry.files, key=lambda file: file.path, reverse=True)),
        )
        for entry in entries
    ]
    assert write_lock(Lock(entries=tuple(shuffled))) == write_lock(lock)


@given(locks())
def test_writing_again_what_was_read_changes_no_byte(lock: Lock) -> None:
    data = write_lock(lock)
    assert write_lock(read_lock(data)) == data
    assert data.endswith(b"}\n")


def test_a_lock_cut_at_any_byte_is_refused_as_a_document() -> None:
    data = write_lock(SMALL)
    whole = len(data.rstrip())
    assert [end for end in range(whole) if accepted(data[:end])] == []


def test_no_single_changed_byte_leads_out_of_the_root() -> None:
    data = write_lock(SMALL)
    survivors = sum(
        accepted(data[:spot] + bytes([other]) + data[spot + 1 :])
        for spot in range(len(data))
        for other in {data[spot] ^ 1, data[spot] ^ 0x20, data[spot] ^ 0x80, *b'./\\"0}\x00\xff'}
    )
    assert survivors > 0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_a_document(data: bytes) -> None:
    assert not accepted(data)


@given(st.data())
def test_pieces_of_a_lock_in_any_order_are_read_or_refused_as_a_document(
    draw: st.DataObject,
) -> None:
    lines = write_lock(SMALL).splitlines(keepends=True)
    spot = draw.draw(st.integers(0, len(lines) - 1))
    count = draw.draw(st.integers(0, 5))
    again = draw.draw(st.sampled_from(lines))
    accepted(b"".join([*lines[:spot], again, *lines[spot + count :]]))
