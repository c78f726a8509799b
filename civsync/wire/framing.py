"""Read the head of an HTTP/1.1 reply, and cut its body out of the stream.

Strict on purpose: a head that is cut off, or whose length can be read in two ways, is
refused, where lenient parsers guess; the bytes would end in a user's file. Source:
RFC 9112 sections 4 to 7. No socket is opened or closed here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

from civsync.core.limits import KIB

HEAD_BYTES: Final = 64 * KIB
"""Of status line and headers together; storage hosts send under two thousand."""

_INTERIM: Final = 8
"""How many 1xx replies are skipped before the real one."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_CHUNK_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\x00\r\n]*)?")
_WITHOUT_BODY: Final = frozenset({204, 304})


class FramingError(Exception):
    """The peer does not speak HTTP as it should."""


class CutError(Exception):
    """The stream ended where more had to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawHead:
    """Status and headers (lower-case names, repeated ones joined by a comma)."""

    status: int
    fields: Mapping[str, str]
    keeps: bool
    """Whether the peer will take another request on the connection."""


def read_head(stream: BufferedReader) -> RawHead:
    """Return the next head that is not an interim one.

    Raises FramingError, CutError, and what the stream raises.
    """
    budget = HEAD_BYTES
    for _ in range(_INTERIM):
        line, budget = _line(stream, budget)
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise FramingError("the status line")
        fields, budget = _fields(stream, budget)
        status = int(match[2])
        if status >= 200:
            tokens = [each.strip().lower() for each in fields.get("connection", "").split(",")]
            keeps = match[1] == b"1" and "close" not in tokens
            return RawHead(status=status, fields=fields, keeps=keeps)
    raise FramingError("too many interim replies")


class Body:
    """The bytes of one body. Raises FramingError from its making if its length is unsure."""

    def __init__(self, stream: BufferedReader, head: RawHead) -> None:
        self._stream = stream
        self._left: int | None
        """Bytes left of the body or of the chunk; None until the stream ends."""
        coding = head.fields.get("transfer-encoding")
        length = head.fields.get("content-length")
        self._chunked = coding is not None
        self._first_chunk = True
        self.ended = False
        if coding is not None:
            if coding.strip().lower() != "chunked" or length is not None:
                raise FramingError("the transfer coding")
            self._left = 0
        elif head.status in _WITHOUT_BODY:
            self._left = 0
        else:
            self._left = _length(length)
        if head.status in _WITHOUT_BODY or (self._left == 0 and not self._chunked):
            self.ended = True
        self.delimited = self._left is not None

    def read_into(self, view: memoryview) -> int:
        """Fill the start of `view` with whatever comes next; 0 when the body has ended.

        Raises CutError if it ends before its time, FramingError for broken chunks.
        """
        if self._chunked and self._left == 0 and not self.ended:
            self._next_chunk()
        if self.ended:
            return 0
        # `readinto` would wait until the view is full.
        room = len(view) if self._left is None else min(len(view), self._left)
        count = self._stream.readinto1(view[:room])
        if self._left is None:
            self.ended = count == 0
            return count
        if count == 0:
            raise CutError
        self._left -= count
        self.ended = self._left == 0 and not self._chunked
        return count

    def _next_chunk(self) -> None:
        """Read the line between two chunks, or what stands behind the last one."""
        if not self._first_chunk and _line(self._stream, HEAD_BYTES)[0]:
            raise FramingError("the end of a chunk")
        self._first_chunk = False
        match = _CHUNK_SIZE.fullmatch(_line(self._stream, HEAD_BYTES)[0])
        if match is None:
            raise FramingError("the size of a chunk")
        self._left = int(match[1], 16)
        if self._left == 0:
            _fields(self._stream, HEAD_BYTES)
            self.ended = True


def _length(text: str | None) -> int | None:
    """Read a Content-Length; equal repetitions are allowed (RFC 9110 section 8.6)."""
    if text is None:
        return None
    values = {each.strip() for each in text.split(",")}
    value = values.pop()
    if values or not _DIGITS.fullmatch(value):
        raise FramingError("the length")
    return int(value)


def _fields(stream: BufferedReader, budget: int) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    while True:
        line, budget = _line(stream, budget)
        if not line:
            return fields, budget
        match = _FIELD.fullmatch(line)
        if match is None:
            raise FramingError("a header")
        name, value = match[1].decode("ascii").lower(), _decode(match[2])
        fields[name] = f"{fields[name]}, {value}" if name in fields else value


def _line(stream: BufferedReader, budget: int) -> tuple[bytes, int]:
    """Return a line without its end, and what is left of the budget."""
    line = stream.readline(budget + 1)
    if len(line) > budget:
        raise FramingError("the length of the head")
    if not line.endswith(b"\n"):
        raise CutError
    return line.removesuffix(b"\n").removesuffix(b"\r"), budget - len(line)


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
