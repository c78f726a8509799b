"""Requests and replies of the loopback servers, as values.

Text on the wire becomes a `Request` here, once; a `Reply` says what to send.
No socket is touched.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import field
from functools import cached_property
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from civsync.core.values import dataclass
from civsync.demo.bodies import EMPTY, Body, BytesBody

Headers = list[tuple[str, str]]

_GZIP_FROM = 1024
_BROWSERS = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, whole, as it arrived at one origin (`api` or `storage`)."""

    origin: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @cached_property
    def path(self) -> str:
        """The target without its query, percent-decoded."""
        return unquote(urlsplit(self.target).path)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Every query parameter with all of its values, in their order."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(urlsplit(self.target).query, keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found

    def first(self, name: str) -> str | None:
        """Give the first value of a query parameter, or None."""
        return self.query.get(name, [None])[0]

    def header(self, name: str) -> str | None:
        """Give the first header of this name (in any case), or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @cached_property
    def from_browser(self) -> bool:
        """Whether the User-Agent makes Civitai believe that a person is looking."""
        agent = (self.header("user-agent") or "").lower()
        return any(name in agent for name in _BROWSERS)


@dataclass(slots=True, kw_only=True)
class Reply:
    """What to answer: the bytes [start, stop) of `body` under these headers.

    Content-Length is added when it is sent. `on_last_bytes` is called just
    before the final bytes go out, so that a client which has seen the end of
    one reply can rely on its place being free.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: Body = EMPTY
    start: int = 0
    stop: int | None = None
    on_last_bytes: Callable[[], None] | None = None

    @property
    def end(self) -> int:
        """Where the bytes to send stop."""
        return self.body.size if self.stop is None else self.stop


def parse_head(origin: str, head: bytes) -> Request:
    """Read a request line and headers, up to the blank line.

    Raises ValueError for what is not HTTP/1.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not HTTP/1: {first!r}")
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a header: {line!r}")
        headers.append((name, value.strip()))
    return Request(origin=origin, method=method, target=target, headers=tuple(headers))


def reply_head(status: int, headers: Headers) -> bytes:
    """Write a status line and headers, with the blank line."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def json_text(value: object) -> str:
    """Write JSON as the real server does: compact, and not in ASCII alone."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def json_reply(
    status: int, value: object, *, cache: str | None = None, text: str | None = None
) -> Reply:
    """Answer with `value` as JSON, or with a `text` that is JSON already."""
    raw = (json_text(value) if text is None else text).encode()
    headers = [("Content-Type", "application/json; charset=utf-8")]
    if cache is not None:
        headers.append(("Cache-Control", cache))
    return Reply(status=status, headers=headers, body=BytesBody(raw))


def text_reply(status: int, text: str, kind: str, *headers: tuple[str, str]) -> Reply:
    """Answer with a text of the media type `kind`."""
    return Reply(
        status=status,
        headers=[("Content-Type", f"{kind}; charset=utf-8"), *headers],
        body=BytesBody(text.encode()),
    )


def compressed(reply: Reply) -> Reply:
    """Give the same reply with its body in gzip."""
    raw = b"".join(bytes(piece) for piece in reply.body.chunks(reply.start, reply.end))
    return Reply(
        status=reply.status,
        headers=[*reply.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")],
        body=BytesBody(gzip.compress(raw, 1, mtime=0)),
        on_last_bytes=reply.on_last_bytes,
    )


def compressed_if_accepted(reply: Reply, request: Request) -> Reply:
    """Compress a reply that is worth it for a client that accepts gzip."""
    accepted = "gzip" in (request.header("accept-encoding") or "")
    return compressed(reply) if accepted and reply.body.size > _GZIP_FROM else reply
