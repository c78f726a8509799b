"""Requests and replies as values; no socket here."""

from collections.abc import Mapping
from dataclasses import field

from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request without a redirect followed. `cap` bounds the bytes of the answer's body."""

    method: str = "GET"
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Status and headers of a reply. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    url: str = ""

    def header(self, name: str) -> str:
        """Return one header, "" if absent."""
        return self.headers.get(name.lower(), "")

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A whole small reply, its body decompressed."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUrl:
    """Where the bytes of a file are just now. It is a credential: never stored, never shown."""

    url: str = field(repr=False)
    hops: int = field(default=0, compare=False)
    """How many redirects led here."""
