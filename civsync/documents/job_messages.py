"""What `civsync job` and a running sync say to each other: a line of JSON each way.

    {"version":1,"request":"pause","paths":["loras/a.safetensors"]}
    {"version":1,"answer":"obeyed","changed":1}

`paths` null means all. Both sides read strictly: a line of another version, with a key too
many or too few, or a value out of its range is refused as a whole. Lines end in a newline,
which is no part of what is read here. Nothing is opened or sent here.
"""

from collections.abc import Sequence
from typing import Final, TypeVar, assert_never

from civsync.core.control import Cancel, Limit, Pause, Prioritize, Resume
from civsync.core.jobs import (
    Answer,
    Declined,
    Download,
    Look,
    Obeyed,
    Request,
    RunningSync,
    Seen,
)
from civsync.core.limits import JOB_ANSWER_BYTES, JOB_REASON_CHARS, JOB_REQUEST_BYTES, MAX_PRIORITY
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.core.values import dataclass
from civsync.documents.json_codec import CodecError, decode, encode

T = TypeVar("T")

VERSION: Final = 1

_LARGEST: Final = 2**63 - 1
"""Sizes, rates and counts are never larger."""

LATEST_START: Final = 253_370_764_800
"""The first moment of the year 9999: calendars end soon after it, sooner in the east."""

_REQUESTS: Final = {
    "list": frozenset[str](),
    "pause": frozenset({"paths"}),
    "resume": frozenset({"paths"}),
    "cancel": frozenset({"paths"}),
    "prioritize": frozenset({"paths", "priority"}),
    "limit": frozenset({"rate"}),
}
"""Each request with the keys that it must have."""

_ANSWERS: Final = {
    "seen": frozenset({"run"}),
    "obeyed": frozenset({"changed"}),
    "declined": frozenset({"reason"}),
}


class MessageError(ValueError):
    """A line is no message of this protocol; the text says why, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    version: int
    request: str
    paths: tuple[str, ...] | None = None
    priority: int = 0
    rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    version: int
    answer: str
    run: RunningSync | None = None
    changed: int = 0
    reason: str = ""


def write_request(request: Request) -> bytes:
    """Return the line for a request. Raises MessageError for one that is too long."""
    body: dict[str, object]
    match request:
        case Look():
            body = {"request": "list"}
        case Pause(paths=paths):
            body = {"request": "pause", "paths": _sorted(paths)}
        case Resume(paths=paths):
            body = {"request": "resume", "paths": _sorted(paths)}
        case Cancel(paths=paths):
            body = {"request": "cancel", "paths": _sorted(paths)}
        case Prioritize(paths=paths, priority=priority):
            body = {"request": "prioritize", "paths": _sorted(paths), "priority": priority}
        case Limit(rate=rate):
            body = {"request": "limit", "rate": rate}
        case _:
            assert_never(request)
    return _line(body, JOB_REQUEST_BYTES)


def read_request(line: bytes) -> Request:
    """Return the request that a line holds. Raises MessageError."""
    _check(line, "request", _REQUESTS, JOB_REQUEST_BYTES)
    message = _decode(line, _Request)
    match message.request:
        case "list":
            return Look()
        case "pause":
            return Pause(paths=_paths(message.paths))
        case "resume":
            return Resume(paths=_paths(message.paths))
        case "cancel":
            return Cancel(paths=_paths(message.paths))
        case "prioritize":
            paths = _paths(message.paths)
            if paths is None:
                raise MessageError("`prioritize` must name its paths")
            priority = _in_range(
                "priority", message.priority, least=-MAX_PRIORITY, most=MAX_PRIORITY
            )
            return Prioritize(paths=paths, priority=priority)
        case _:
            rate = message.rate
            return Limit(rate=None if rate is None else _in_range("rate", rate, least=1))


def write_answer(answer: Answer) -> bytes:
    """Return the line for an answer. Raises MessageError for one that is too long."""
    body: dict[str, object]
    match answer:
        case Seen(run=run):
            body = {"answer": "seen", "run": run}
        case Obeyed(changed=changed):
            body = {"answer": "obeyed", "changed": changed}
        case Declined(reason=reason):
            body = {"answer": "declined", "reason": reason[:JOB_REASON_CHARS]}
        case _:
            assert_never(answer)
    return _line(body, JOB_ANSWER_BYTES)


def read_answer(line: bytes) -> Answer:
    """Return the answer that a line holds. Raises MessageError."""
    _check(line, "answer", _ANSWERS, JOB_ANSWER_BYTES)
    message = _decode(line, _Answer)
    match message.answer:
        case "seen":
            if message.run is None:
                raise MessageError("`seen` must have a run")
            return Seen(run=_checked(message.run))
        case "obeyed":
            return Obeyed(changed=_in_range("changed", message.changed))
        case _:
            return Declined(reason=message.reason[:JOB_REASON_CHARS])


def _line(body: dict[str, object], most: int) -> bytes:
    try:
        line = encode({"version": VERSION, **body})
    except CodecError as error:
        raise MessageError(str(error)) from None
    if len(line) > most:
        raise MessageError(f"the message has {len(line)} bytes, and {most} are allowed")
    return line + b"\n"


def _check(line: bytes, kind: str, known: dict[str, frozenset[str]], most: int) -> None:
    """Raise MessageError for what is not a message of this version with the right keys."""
    if len(line) > most:
        raise MessageError(f"the line is longer than {most} bytes")
    keys = _decode(line, dict[str, object])
    if keys.get("version") != VERSION or isinstance(keys["version"], bool):
        raise MessageError(f"this civsync speaks version {VERSION} of the protocol and no other")
    name = keys.get(kind)
    wanted = known.get(name) if isinstance(name, str) else None
    if wanted is None:
        raise MessageError(f"{kind!r} must be one of {', '.join(known)}")
    if keys.keys() != wanted | {"version", kind}:
        raise MessageError(f"{name!r} must have these keys and no other: {sorted(wanted)}")


def _decode(line: bytes, kind: type[T]) -> T:
    try:
        return decode(line, kind)
    except CodecError as error:
        raise MessageError(f"it is no message: {error}") from None


def _sorted(paths: frozenset[SafePath] | None) -> list[SafePath] | None:
    return None if paths is None else sorted(paths)


def _paths(texts: Sequence[str] | None) -> frozenset[SafePath] | None:
    if texts is None:
        return None
    if not texts:
        raise MessageError("`paths` must name something, or be null for all")
    return frozenset(map(_path, texts))


def _path(text: str) -> SafePath:
    try:
        return parse_path(text)
    except UnsafePathError as error:
        raise MessageError(str(error)) from None


def _in_range(name: str, number: int, *, least: int = 0, most: int = _LARGEST) -> int:
    if not least <= number <= most:
        raise MessageError(f"`{name}` is out of range")
    return number


def _checked(run: RunningSync) -> RunningSync:
    """Return a run whose numbers and paths are what they must be. Raises MessageError."""
    _in_range("started", run.started, most=LATEST_START)
    for name in ("pid", "received"):
        _in_range(name, getattr(run, name))
    if run.limit_rate is not None:
        _in_range("limit_rate", run.limit_rate, least=1)
    for each in run.downloads:
        _check_download(each)
    return run


def _check_download(download: Download) -> None:
    _path(download.path)
    for name in ("size", "held", "connections", "model_id", "version_id"):
        _in_range(name, getattr(download, name))
    _in_range("priority", download.priority, least=-MAX_PRIORITY, most=MAX_PRIORITY)
