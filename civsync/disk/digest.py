"""The SHA-256 of a small file of civsync's own, without holding it and without blake3."""

import hashlib
from io import FileIO
from typing import Final

_PIECE: Final = 256 * 1024
"""Fits the processor's cache; fresh memory for all of a lock costs a third of its hash."""


def sha256_of(file: FileIO) -> str:
    """Return the digest, in lower-case hex, of what is still to be read. Raises OSError."""
    digest = hashlib.sha256()
    view = memoryview(bytearray(_PIECE))
    while count := file.readinto(view):
        digest.update(view[:count])
    return digest.hexdigest()
