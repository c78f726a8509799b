"""Which files BLAKE3 alone may prove: those of which lock and receipt say nothing contrary."""

from dataclasses import replace

import pytest

from civsync.core.disk import Owned, Receipt, Stamp
from civsync.core.names import parse_path
from civsync.decide.plan import wanted_files
from civsync.decide.proof import proven
from support.lock_values import digest, lock_of, locked_entry, locked_file

A = parse_path("loras/a.bin")


@pytest.mark.parametrize(
    ("owned", "blake3", "locked", "published", "expected"),
    [
        pytest.param("a", "b3", "a", None, True, id="as locked"),
        pytest.param("a", "b3", "a", "b3", True, id="as published"),
        pytest.param("a", "b3", None, None, True, id="wanted no more"),
        pytest.param("a", None, "a", None, False, id="hashed in one way only"),
        pytest.param("a", "b3", "a", "another", False, id="published otherwise"),
        pytest.param("a", "b3", "b", None, False, id="locked otherwise"),
    ],
)
def test_what_blake3_may_prove(
    owned: str, blake3: str | None, locked: str | None, published: str | None, expected: bool
) -> None:
    mine = Owned(path=A, sha256=digest(owned), stamp=Stamp(1, 0, 0), blake3=blake3)
    hashes = {} if published is None else {"BLAKE3": published}
    entries = []
    if locked is not None:
        entries = [locked_entry(replace(locked_file(A, locked), hashes=hashes))]
    found = proven(wanted_files(lock_of(*entries)), Receipt(root_id="root", owned={A: mine}))
    assert ({A} if expected else set()) == set(found)
