"""The digest of a file is that of its bytes, whatever they are read as."""

import hashlib
import os
from pathlib import Path

import pytest

from civsync.cli.texts import blake3_at, blake3_of_text, read_bytes
from civsync.core.errors import UserError
from civsync.core.limits import LOCK_BYTES
from civsync.disk.digest import sha256_of

SIZES = (0, 1, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 600_000)


@pytest.mark.parametrize("size", SIZES)
def test_a_digest_is_that_of_the_whole_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "civsync.lock"
    path.write_bytes(bytes(range(251)) * (size // 251 + 1))
    os.truncate(path, size)
    with path.open("rb", buffering=0) as file:
        assert sha256_of(file) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert blake3_at(path) == blake3_of_text(read_bytes(path))


def test_what_is_not_there_has_the_blake3_of_text_nothing(tmp_path: Path) -> None:
    path = tmp_path / "civsync.lock"
    assert blake3_at(path) == blake3_of_text(read_bytes(path)) == ""


@pytest.mark.parametrize("what", ["a directory", "a pipe", "too large"])
def test_what_is_no_document_is_refused_alike(tmp_path: Path, what: str) -> None:
    path = tmp_path / "civsync.lock"
    if what == "a directory":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    else:
        path.touch()
        os.truncate(path, LOCK_BYTES + 1)
    with pytest.raises(UserError) as whole:
        read_bytes(path)
    with pytest.raises(UserError) as digest:
        blake3_at(path)
    assert str(digest.value) == str(whole.value)
