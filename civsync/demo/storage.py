"""The storage origin: signed URLs that run out, ranges, and no patience for credentials.

Behaves like the S3-compatible stores behind Civitai. It knows files, not
versions: whoever holds a good URL gets the bytes.
"""

import hashlib
import hmac
import itertools
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from civsync.core.values import dataclass
from civsync.demo.messages import Reply, Request, text_reply
from civsync.demo.registry import File, Registry

_SECRET = b"the loopback registry keeps no secrets"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grant:
    """What a signature stands for, and until when (seconds since 1970)."""

    file: File
    path: str
    until: float


class Storage:
    """Signs URLs and answers them. `address` gives the origin's URL once it listens."""

    def __init__(self, registry: Registry, address: Callable[[], str]) -> None:
        self._registry = registry
        self._address = address
        self._grants: dict[str, _Grant] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._running: dict[str, int] = {}
        self.peak_per_url: dict[str, int] = {}

    def sign(self, file: File) -> str:
        """Give a URL of its own for one download of `file`."""
        now, lifetime = self._registry.clock(), self._registry.url_lifetime
        name = file.override_name or file.name
        path = f"/civitai-modelfiles/{file.id}/{name}"
        date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        text = f"{path} {date} {next(self._numbers)}"
        signature = hmac.new(_SECRET, text.encode(), hashlib.sha256).hexdigest()
        self._grants[signature] = _Grant(file=file, path=path, until=now + lifetime)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": date,
            "X-Amz-Expires": lifetime,
            "X-Amz-Signature": signature,
            "response-content-disposition": f'attachment; filename="{name}"',
        }
        return f"{self._address()}{quote(path)}?{urlencode(query)}"

    def expire_all(self) -> None:
        """Let every URL given out so far run out now."""
        self._grants.clear()

    def reset_counts(self) -> None:
        """Forget how many requests ran at once."""
        with self._lock:
            self.peak_per_url = dict(self._running)

    def answer(self, request: Request) -> Reply:
        """Answer one request for bytes."""
        if request.header("authorization") is not None:
            return _xml(400, "InvalidRequest", "Missing x-amz-content-sha256")
        signature = request.first("X-Amz-Signature") or ""
        grant = self._grants.get(signature)
        if grant is None or grant.path != request.path or self._registry.clock() >= grant.until:
            return _xml(403, "AccessDenied", "Request has expired")
        if request.method not in ("GET", "HEAD"):
            return _xml(405, "MethodNotAllowed", "The method is not allowed")
        limit = self._registry.max_parallel_per_url
        with self._lock:
            running = self._running.get(signature, 0) + 1
            if limit is not None and running > limit:
                return _xml(403, "AccessDenied", "Too many connections for this URL")
            self._running[signature] = running
            self.peak_per_url[signature] = max(running, self.peak_per_url.get(signature, 0))
        reply = _ranged(grant.file, request)
        reply.on_last_bytes = lambda: self._finished(signature)
        return reply

    def _finished(self, signature: str) -> None:
        with self._lock:
            self._running[signature] -= 1
            if not self._running[signature]:
                del self._running[signature]

    @property
    def running(self) -> int:
        """How many requests are being answered with bytes just now."""
        with self._lock:
            return sum(self._running.values())

    @property
    def peak_parallel(self) -> int:
        """The most requests that ran at once for one URL."""
        return max(self.peak_per_url.values(), default=0)


def _ranged(file: File, request: Request) -> Reply:
    """Answer with the whole file or with one range of it (RFC 9110, section 14)."""
    body, name = file.body, file.override_name or file.name
    etag = f'"{body.published_hashes["SHA256"][:32].lower()}"'
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Accept-Ranges", "bytes"),
        ("ETag", etag),
        ("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}"),
    ]
    wanted = _RANGE.fullmatch(request.header("range") or "")
    if (
        wanted is None
        or wanted.groups() == ("", "")
        or request.header("if-range")
        not in (
            None,
            etag,
        )
    ):
        return Reply(status=200, headers=headers, body=body)
    first, last = wanted.groups()
    if first:
        start, stop = int(first), min(int(last or body.size) + 1, body.size)
    else:
        start, stop = max(0, body.size - int(last)), body.size
    if start >= stop:
        reply = _xml(416, "InvalidRange", "The requested range is not satisfiable")
        reply.headers.append(("Content-Range", f"bytes */{body.size}"))
        return reply
    headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{body.size}"))
    return Reply(status=206, headers=headers, body=body, start=start, stop=stop)


def _xml(status: int, code: str, message: str) -> Reply:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return text_reply(status, text, "application/xml")
