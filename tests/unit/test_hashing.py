"""Reading a big file for its hashes does not fill the memory with it."""

import hashlib
import io
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest

from civsync.core.limits import MIB
from civsync.disk.hashing import blake3_of_file, digest_file

SIZE = 150 * MIB
MOST = 80 * MIB


def cached(path: Path) -> int:
    """Bytes of the file in the page cache."""
    words = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(words, capture_output=True, check=True).stdout)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of zeros that is in no cache; skips where that cannot be told, or not be had."""
    if shutil.which("fincore") is None or not hasattr(os, "posix_fadvise"):
        pytest.skip("nothing tells here what is in the page cache")
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(SIZE)
    with path.open("rb") as file:
        file.read(MIB)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached(path):
        pytest.skip("this file system lies in memory itself")
    return path


@pytest.mark.parametrize("read", [digest_file, blake3_of_file], ids=lambda read: read.__name__)
def test_a_big_file_leaves_the_page_cache_while_it_is_read(
    read: Callable[[io.FileIO, Callable[[int], None]], object], big: Path
) -> None:
    seen: list[int] = []

    def watch(count: int) -> None:
        if count % (30 * MIB) == 0:
            seen.append(cached(big))

    with io.FileIO(big) as file:
        read(file, watch)
    assert len(seen) == SIZE // (30 * MIB)
    assert max(seen) < MOST
    assert cached(big) == 0


def test_blake3_alone_is_the_one_of_both(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes" * 300_000)
    with io.FileIO(path) as file:
        both = digest_file(file)
        file.seek(0)
        assert blake3_of_file(file) == both.blake3
    data = path.read_bytes()
    assert (both.sha256, both.blake3, both.size) == (
        hashlib.sha256(data).hexdigest(),
        blake3.blake3(data).hexdigest(),
        len(data),
    )
