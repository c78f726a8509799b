"""A Transport in memory: each request is answered from a script, by a part of its address.

It keeps the promises of the real one that callers lean on: an answer above the cap of its
request is an error, a judge sees the head before a byte of the body, and nothing is
followed or added. Every request is recorded whole.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import anyio.lowlevel

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, WireError
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.ports import Errand, Sink
from support.errands import run_errand

T = TypeVar("T")

Step = HttpAnswer | CivsyncError | Callable[[HttpRequest], HttpAnswer]

CHUNK = 1000


def answer(
    status: int = 200,
    body: bytes | str = b"",
    *,
    kind: str = "text/html",
    headers: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """An answer with this content type; header names are made lower case."""
    raw = body.encode() if isinstance(body, str) else body
    named = {name.lower(): value for name, value in (headers or {}).items()}
    return HttpAnswer(head=Head(status=status, headers={"content-type": kind, **named}), body=raw)


def json_answer(
    value: object, status: int = 200, *, headers: Mapping[str, str] | None = None
) -> HttpAnswer:
    """An answer of JSON, as the API writes it."""
    kind = "application/json; charset=utf-8"
    return answer(status, json.dumps(value), kind=kind, headers=headers)


def redirect(location: str, status: int = 307) -> HttpAnswer:
    """A redirect."""
    return answer(status, headers={"location": location})


@dataclass
class _Rule:
    part: str
    steps: list[Step]

    def next(self) -> Step:
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]


@dataclass
class ScriptedTransport:
    """Answers requests whose address holds a part; the last step of a rule is repeated."""

    requests: list[HttpRequest] = field(default_factory=list)
    closed: bool = False
    busiest: int = 0
    limits: list[int | None] = field(default_factory=list)
    _running: int = 0
    _rules: list[_Rule] = field(default_factory=list)

    def on(self, part: str, *steps: Step) -> None:
        """Answer requests whose address holds `part` with `steps`, one after the other.

        Later rules win over earlier ones, so that a test can change its mind.
        """
        self._rules.insert(0, _Rule(part, list(steps)))

    @property
    def urls(self) -> list[str]:
        """The addresses asked for, in their order."""
        return [request.url for request in self.requests]

    def asked(self, part: str) -> int:
        """How many requests went to addresses that hold `part`."""
        return sum(part in url for url in self.urls)

    async def ask(self, request: HttpRequest) -> HttpAnswer:
        """See `civsync.ports.Transport`."""
        self.requests.append(request)
        self._running += 1
        self.busiest = max(self.busiest, self._running)
        try:
            for _ in range(3):  # let other tasks overlap with this one
                await anyio.lowlevel.checkpoint()
            found = self._answer_for(request)
        finally:
            self._running -= 1
        if len(found.body) > request.cap:
            raise WireError(Code.ANSWER_TOO_LARGE, "scripted: more than the cap")
        return found

    async def stream(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        """See `civsync.ports.Transport`."""
        request = HttpRequest(url=url, headers=headers, cap=0)
        self.requests.append(request)
        found = self._answer_for(request)
        sink = await anyio.to_thread.run_sync(judge, found.head)
        if sink is None:
            return found.body
        for chunk in _chunks(found.body):
            await anyio.to_thread.run_sync(sink, chunk)
        return b""

    async def errand(self, work: Callable[[Errand], T]) -> T:
        """See `civsync.ports.Transport`."""
        return await run_errand(self.stream, work)

    def limit(self, rate: int | None) -> None:
        """See `civsync.ports.Transport`."""
        self.limits.append(rate)

    async def aclose(self) -> None:
        """See `civsync.ports.Transport`."""
        self.closed = True

    def _answer_for(self, request: HttpRequest) -> HttpAnswer:
        for rule in self._rules:
            if rule.part in request.url:
                step = rule.next()
                if isinstance(step, CivsyncError):
                    raise step
                return step if isinstance(step, HttpAnswer) else step(request)
        raise AssertionError(f"nothing was scripted for {request.method} {request.url}")


def _chunks(body: bytes) -> Iterable[bytes]:
    return (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))
