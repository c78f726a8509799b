"""A storage host in memory: a Transport that serves files by id, with ranges and with faults.

Addresses are those of `MemorySource`. Faults are the values of `civsync.demo.faults`; each
request for a file takes the next one of that file's script, None is a proper reply. What
the real transport refuses by itself (half a head, two lengths) is not played here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import anyio.lowlevel
from anyio.to_thread import run_sync

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.demo.faults import Answer, Cut, Excess, ExpireUrls, FlipBit, IgnoreRange, WrongRange
from civsync.ports import Errand, Sink
from support.errands import run_errand

T = TypeVar("T")

Fault: TypeAlias = Answer | Cut | Excess | ExpireUrls | FlipBit | IgnoreRange | WrongRange | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFor:
    """One request: for which file, at which address, from which byte on."""

    file_id: int
    url: str
    start: int
    headers: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class _Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False


@dataclass
class MemoryStorage:
    """Serves `bodies` by file id. Tests edit the attributes.

    `tag` makes the ETag of a body, "" for none; `If-Range` is obeyed if `obeys_conditions`.
    """

    bodies: dict[int, bytes] = field(default_factory=dict)
    faults: dict[int, list[Fault]] = field(default_factory=dict)
    tag: Callable[[bytes], str] = lambda _: ""
    obeys_conditions: bool = True
    chunk: int = 7
    asked: list[AskedFor] = field(default_factory=list)
    busiest: int = 0
    errands: int = 0
    limits: list[int | None] = field(default_factory=list)
    _expired: set[str] = field(default_factory=set)
    _given: set[str] = field(default_factory=set)
    _running: int = 0

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """No API is here."""
        raise AssertionError(f"asked for {request.url}")

    async def stream(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """See `civsync.ports.Transport`."""
        file_id = int(urlsplit(url).path.rpartition("/")[2])
        first, _, last = headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), int(last) + 1 if last else len(self.bodies[file_id])
        self.asked.append(AskedFor(file_id=file_id, url=url, start=start, headers=headers))
        ranged = "range" in headers
        self._running += 1
        self.busiest = max(self.busiest, self._running)
        try:
            for _ in range(3):  # let other tasks overlap with this one
                await anyio.lowlevel.checkpoint()
            condition = headers.get("if-range")
            changed = condition is not None and condition != self.tag(self.bodies[file_id])
            ranged = ranged and not (changed and self.obeys_conditions)
            span = (start, end) if ranged else None
            return await self._deliver(url, file_id, span, judge)
        finally:
            self._running -= 1

    async def errand(self, work: Callable[[Errand], T]) -> T:
        """See `civsync.ports.Transport`."""
        self.errands += 1
        return await run_errand(self.stream, work)

    def limit(self, rate: int | None) -> None:
        """See `civsync.ports.Transport`."""
        self.limits.append(rate)

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _deliver(
        self,
        url: str,
        file_id: int,
        span: tuple[int, int] | None,
        judge: Callable[[Head], Sink | None],
    ) -> bytes:
        script = self.faults.get(file_id)
        reply = self._reply(url, self.bodies[file_id], span, script.pop(0) if script else None)
        sink = await run_sync(judge, Head(status=reply.status, headers=reply.headers, url=url))
        if sink is None:
            return reply.body
        for at in range(0, len(reply.body), self.chunk):
            await run_sync(sink, reply.body[at : at + self.chunk])
        if reply.cut:
            raise WireError(Code.CONNECTION_LOST, "the connection broke")
        return b""

    def _reply(self, url: str, body: bytes, span: tuple[int, int] | None, fault: Fault) -> _Reply:
        self._given.add(url)
        if isinstance(fault, ExpireUrls):
            self._expired |= self._given
        if url in self._expired:
            return _page(403, "<Error/>", "application/xml")
        if isinstance(fault, Answer):
            named = {name.lower(): value for name, value in fault.headers}
            return _Reply(status=fault.status, headers=named, body=fault.body)
        if isinstance(fault, FlipBit):
            body = body[: fault.at] + bytes([body[fault.at] ^ 1]) + body[fault.at + 1 :]
        if isinstance(fault, IgnoreRange):
            span = None
        reply = _proper(body, span)
        if tag := self.tag(body):
            reply.headers["etag"] = tag
        match fault:
            case WrongRange(text):
                reply.headers.pop("content-range", None)
                if text is not None:
                    reply.headers["content-range"] = text
            case Cut(after):
                reply.body, reply.cut = reply.body[:after], True
            case Excess(extra):
                reply.headers.pop("content-length")
                reply.body += bytes(extra)
            case _:
                pass
        return reply


def _proper(body: bytes, span: tuple[int, int] | None) -> _Reply:
    if span is None:
        headers = {"content-length": str(len(body))}
        return _Reply(status=200, headers=headers, body=body)
    start, end = span
    if start >= len(body):
        return _page(416, "<Error/>", "application/xml")
    headers = {
        "content-length": str(end - start),
        "content-range": f"bytes {start}-{end - 1}/{len(body)}",
    }
    return _Reply(status=206, headers=headers, body=body[start:end])


def _page(status: int, text: str, kind: str) -> _Reply:
    return _Reply(status=status, headers={"content-type": kind}, body=text.encode())
