"""The bytes of a file that the loopback registry serves, and their hashes.

A body is given as real bytes or as a rule that makes them (`LazyBody`), so that
gigabytes can be served without being held. It knows how to give any range of
itself and the hashes that Civitai publishes; it knows nothing of HTTP.
"""

import hashlib
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

from blake3 import blake3

CHUNK = 256 * 1024
"""Bytes handed out at a time: large enough that a gigabyte is a few thousand steps."""

_AUTOV1_OFFSET = 0x100000
_AUTOV1_LENGTH = 0x10000
_PERIOD = 1048573


class Body(Protocol):
    """Bytes of known length, readable from anywhere."""

    @property
    def size(self) -> int:
        """The length in bytes."""

    @property
    def published_hashes(self) -> dict[str, str]:
        """The `hashes` map that the API shows once its scan has run; computed once."""

    def chunks(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Give the bytes [start, stop), in pieces of at most CHUNK."""


class BytesBody:
    """A body that is simply held."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self.data)

    @cached_property
    def published_hashes(self) -> dict[str, str]:
        """The hashes of these bytes."""
        return hashes_of(self)

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        """Give the bytes [start, stop) without copying them."""
        view = memoryview(self.data)
        for at in range(start, stop, CHUNK):
            yield view[at : min(at + CHUNK, stop)]


class LazyBody:
    """A body of any length: a head, then one block of pseudo-random bytes again and again.

    The block's length is a prime, so that two pieces of the body that a faulty
    client swaps or writes to the wrong place are never equal by accident.
    """

    def __init__(self, head: bytes, *, seed: str, size: int) -> None:
        if size < len(head):
            raise ValueError(f"a body of {size} bytes cannot hold a head of {len(head)}")
        self.head = head
        self.size = size
        # Doubled, so that every chunk is one slice, wherever in the period it starts.
        self._block = hashlib.shake_256(seed.encode()).digest(_PERIOD) * 2

    @cached_property
    def published_hashes(self) -> dict[str, str]:
        """The hashes of the whole body, read through once."""
        return hashes_of(self)

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        """Give the bytes [start, stop)."""
        head = len(self.head)
        if start < head:
            yield memoryview(self.head)[start : min(stop, head)]
        block = memoryview(self._block)
        for at in range(max(start, head), stop, CHUNK):
            phase = (at - head) % _PERIOD
            yield block[phase : phase + min(CHUNK, stop - at)]


EMPTY = BytesBody(b"")


def as_body(data: "bytes | Body") -> Body:
    """Take bytes, or what is a body already."""
    return BytesBody(data) if isinstance(data, bytes) else data


def read(body: Body, start: int = 0, stop: int | None = None) -> bytes:
    """Give the bytes [start, stop) of `body` in one piece."""
    end = body.size if stop is None else stop
    return b"".join(bytes(piece) for piece in body.chunks(start, end))


def hashes_of(body: Body) -> dict[str, str]:
    """Compute what Civitai's scanner publishes, upper case, in one pass.

    AutoV1 (a slice that starts at 1 MiB) is left out for files that end before
    it, AutoV3 (the tensors without the header) for what is not safetensors
    (civitai/model-scanner: Tasks/HashTask.cs).
    """
    tensors_at = _safetensors_header_end(body)
    whole, fast, tensors, crc = hashlib.sha256(), blake3(), hashlib.sha256(), 0
    at = 0
    for piece in body.chunks(0, body.size):
        view = memoryview(piece)
        whole.update(view)
        fast.update(view)
        crc = zlib.crc32(view, crc)
        if tensors_at is not None:
            tensors.update(view[max(0, tensors_at - at) :])
        at += len(view)
    sha256 = whole.hexdigest()
    hashes = {"AutoV2": sha256[:10], "SHA256": sha256, "CRC32": f"{crc:08x}"}
    hashes["BLAKE3"] = fast.hexdigest()
    if body.size >= _AUTOV1_OFFSET + _AUTOV1_LENGTH:
        part = read(body, _AUTOV1_OFFSET, _AUTOV1_OFFSET + _AUTOV1_LENGTH)
        hashes["AutoV1"] = hashlib.sha256(part).hexdigest()[:8]
    if tensors_at is not None:
        hashes["AutoV3"] = tensors.hexdigest()[:12]
    return {name: value.upper() for name, value in hashes.items()}


def _safetensors_header_end(body: Body) -> int | None:
    """Where the tensors begin, or None if this is no safetensors file."""
    first = read(body, 0, min(9, body.size)) if body.size else b""
    if len(first) < 9 or first[8:] != b"{":
        return None
    end = 8 + int.from_bytes(first[:8], "little")
    return end if end <= body.size else None
