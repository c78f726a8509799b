"""Ask the loopback registry over a real socket, one connection a call, no client library."""

import gzip
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

AGENT = "civsync-tests/1.0"
TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Got:
    """One answer, its body read to the end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  (whatever the server wrote)
        """The body as JSON, whether compressed or not."""
        packed = self.headers["Content-Encoding"] == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


def ask(url: str, /, **headers: str | None) -> Got:
    """GET `url`; in names of headers `_` stands for `-`, and None leaves one out.

    Raises what `http.client` raises for broken answers.
    """
    return send("GET", url, **headers)


def send(method: str, url: str, body: bytes | None = None, /, **headers: str | None) -> Got:
    """Send one request; see `ask`."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"user-agent": AGENT} | given
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    try:
        shown = {name: value for name, value in sent.items() if value is not None}
        connection.request(method, target, body=body, headers=shown)
        with connection.getresponse() as answer:
            return Got(answer.status, answer.headers, answer.read())
    finally:
        connection.close()
