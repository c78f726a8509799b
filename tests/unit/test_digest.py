"""The digest of a file is that of its bytes, whatever they are read as."""

import hashlib
import os
import subprocess
import sys
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


HOLDER = """
import fcntl, os, signal, sys
def give_back(*_):
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    os._exit(0)
signal.signal(signal.SIGIO, give_back)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="leases are of Linux")
def test_a_text_that_somebody_holds_a_lease_of_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "civsync.lock"
    path.write_bytes(b"a lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "held\n":
            pytest.skip("no leases on this file system")
        assert read_bytes(path) == b"a lock"
        assert holder.wait(timeout=30) == 0
