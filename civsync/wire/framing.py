"""Read the head of an HTTP/1.1 reply, and cut its body out of the stream.

Strict on purpose: a head that is cut off, or whose length can be read in two ways, is
refused, where lenient parsers guess; the bytes would end in a user's file. Source:
RFC 9112 sections 4 to 7. No socket is opened or closed here.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Protocol

from civsync.core.limits import KIB
from civsync.core.values import dataclass

HEAD_BYTES: Final = 64 * KIB
"""Of status line and headers together; storage hosts send under two thousand."""

_INTERIM: Final = 8
"""How many 1xx replies are skipped before the real one."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELDS: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00\r\n]*)\r?\n")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00\r\n]*)")
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


class Incoming(Protocol):
    """Bytes as they come; see `civsync.wire.stream.Stream`."""

    def read_now(self, view: memoryview) -> int | None:
        """Fill as much of `view` as there is; 0 at the end, None if there is nothing just now."""
        ...

    def line_now(self, limit: int) -> bytes | None:
        """Return a line, `limit` bytes or the rest of the stream, None if none is whole yet."""
        ...


def read_head(
    line: Callable[[int], bytes], block: Callable[[int], bytes | None] = lambda _: None
) -> RawHead:
    """Return the next head that is not an interim one.

    `line` returns the next line, of at most so many bytes; `block` all lines up to and with
    the next empty one, if they are here already. Raises FramingError, CutError, and what
    `line` raises.
    """
    budget = HEAD_BYTES
    for _ in range(_INTERIM):
        text, budget = _without_end(line(budget + 1), budget)
        match = _STATUS_LINE.fullmatch(text)
        if match is None:
            raise FramingError("the status line")
        ahead = block(budget + 1)
        if ahead is None or not ahead.isascii():
            fields, budget = _fields(_reading(ahead, line), budget)
        else:
            fields, budget = _ascii_fields(ahead.decode("ascii"), budget)
        status = int(match[2])
        if status >= 200:
            tokens = [each.strip().lower() for each in fields.get("connection", "").split(",")]
            keeps = match[1] == b"1" and "close" not in tokens
            return RawHead(status=status, fields=fields, keeps=keeps)
    raise FramingError("too many interim replies")


class _Next(Enum):
    """What comes next in a chunked body."""

    SIZE = 1
    DATA = 2
    DATA_END = 3
    TRAILER = 4


class Body:
    """The bytes of one body. Raises FramingError from its making if its length is unsure."""

    def __init__(self, stream: Incoming, head: RawHead) -> None:
        self._stream = stream
        self._left: int | None
        """Bytes left of the body or of the chunk; None until the stream ends."""
        self._next = _Next.DATA
        self._trailer_room = HEAD_BYTES
        self.ended = False
        coding = head.fields.get("transfer-encoding")
        length = head.fields.get("content-length")
        self._chunked = coding is not None
        if coding is not None:
            if coding.strip().lower() != "chunked" or length is not None:
                raise FramingError("the transfer coding")
            self._left = 0
            self._next = _Next.SIZE
        elif head.status in _WITHOUT_BODY:
            self._left = 0
        else:
            self._left = _length(length)
        if head.status in _WITHOUT_BODY or (self._left == 0 and not self._chunked):
            self.ended = True
        self.delimited = self._left is not None
        self.length = None if self._chunked else self._left
        """Bytes of the whole body, None where only its end tells."""

    def read_now(self, view: memoryview) -> int | None:
        """Fill the start of `view` with what is there; 0 when the body has ended.

        None if nothing of it is there just now. Raises CutError if it ends before its time,
        FramingError for broken chunks.
        """
        while not self.ended and self._next is not _Next.DATA:
            if not self._pass_line(self._next):
                return None
        if self.ended:
            return 0
        room = len(view) if self._left is None else min(len(view), self._left)
        count = self._stream.read_now(view[:room])
        if count is None:
            return None
        if self._left is None:
            self.ended = count == 0
            return count
        if count == 0:
            raise CutError
        self._left -= count
        if self._left == 0:
            self.ended, self._next = not self._chunked, _Next.DATA_END
        return count

    def _pass_line(self, kind: _Next) -> bool:
        """Read a line between two chunks or behind the last; false if it is not there yet."""
        budget = self._trailer_room if kind is _Next.TRAILER else HEAD_BYTES
        raw = self._stream.line_now(budget + 1)
        if raw is None:
            return False
        line, budget = _without_end(raw, budget)
        match kind:
            case _Next.DATA_END:
                if line:
                    raise FramingError("the end of a chunk")
                self._next = _Next.SIZE
            case _Next.SIZE:
                size = _CHUNK_SIZE.fullmatch(line)
                if size is None:
                    raise FramingError("the size of a chunk")
                self._left = int(size[1], 16)
                self._next = _Next.DATA if self._left else _Next.TRAILER
            case _:
                if line and not _FIELD.fullmatch(line):
                    raise FramingError("a header")
                self._trailer_room, self.ended = budget, not line
        return True


def _length(text: str | None) -> int | None:
    """Read a Content-Length; equal repetitions are allowed (RFC 9110 section 8.6)."""
    if text is None:
        return None
    if _DIGITS.fullmatch(text):
        return int(text)
    values = {each.strip() for each in text.split(",")}
    value = values.pop()
    if values or not _DIGITS.fullmatch(value):
        raise FramingError("the length")
    return int(value)


def _reading(ahead: bytes | None, line: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return what gives the lines of `ahead`, or else those of the stream."""
    if ahead is None:
        return line
    lines = iter([text + b"\n" for text in ahead.split(b"\n")])
    return lambda limit: next(lines)[:limit]


def _ascii_fields(text: str, budget: int) -> tuple[dict[str, str], int]:
    """Read a whole block of fields at once, which every small file has two of."""
    if len(text) > budget:
        raise FramingError("the length of the head")
    fields: dict[str, str] = {}
    at = 0
    for match in _FIELDS.finditer(text):
        if match.start() != at:
            break
        at = match.end()
        name, value = match[1].lower(), match[2].strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    if text[at:] not in ("\r\n", "\n"):
        raise FramingError("a header")
    return fields, budget - len(text)


def _fields(line: Callable[[int], bytes], budget: int) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    while True:
        text, budget = _without_end(line(budget + 1), budget)
        if not text:
            return fields, budget
        match = _FIELD.fullmatch(text)
        if match is None:
            raise FramingError("a header")
        name, value = match[1].decode("ascii").lower(), _decode(match[2].strip(b" \t"))
        fields[name] = f"{fields[name]}, {value}" if name in fields else value


def _without_end(line: bytes, budget: int) -> tuple[bytes, int]:
    """Return a line without its end, and what is left of the budget."""
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
