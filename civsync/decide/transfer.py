"""Decide what a storage host's reply means for a half-received file.

No byte moves here. The wire shows status and headers to `judge` before it reads the body,
so every wrong answer that a server can give is one row of a table test. What the whole
file must hash to is not judged here: a reply that passes may still carry wrong bytes.
"""

import re
from dataclasses import field
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import IntegrityError, WireError
from civsync.core.values import dataclass
from civsync.core.wire import Head
from civsync.decide.origins import subject_of
from civsync.decide.redirects import check_redirect
from civsync.decide.retry import retry_after

_PAGES: Final = frozenset(
    {"text/html", "application/xhtml+xml", "application/json", "application/problem+json"}
    | {"application/xml", "text/xml"}
)
"""Media types of login pages and error messages, never of weights."""

_TEXT_SUFFIXES: Final = (".json", ".yaml", ".yml", ".txt", ".xml", ".csv", ".md", ".html", ".htm")
"""Names of files that are text themselves: configs, workflows, wildcards."""

_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_CONTENT_RANGE: Final = re.compile(r"(?i:bytes) ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_STRONG_ETAG: Final = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """The body is what was asked for, from the first byte of it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The body is the whole file: empty the part, then write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """There is nothing left to receive: hash what is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The part cannot be continued: drop it, then ask again without a range.

    Never the verdict on a request without a range, so it cannot come twice in a row.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """The bytes are elsewhere; `location` is absolute and was checked. It is a credential."""

    location: str = field(repr=False)


Verdict = Append | Restart | Verify | Drop | Follow


def judge(
    head: Head,
    *,
    held: int,
    size: int,
    end: int | None = None,
    name: str = "",
    address: str = "",
) -> Verdict:
    """Say what to do with the reply to a request for the bytes from `held` on, of `size`.

    `end` is the first byte that was not asked for, None where none was left out. `name` is
    the locked file name (it tells whether text may come), `address` the URL that was asked,
    if `head.url` does not say it. Redirects are to be counted by the caller.

    Raises WireError url-expired (ask for a fresh URL and keep the part), rate-limited,
    server-error, bad-redirect or reply-malformed; IntegrityError not-a-model or
    size-mismatch when a body came that cannot be the file.
    """
    address = address or head.url
    match head.status:
        case 200:
            _refuse_pages(head, size, size, name, address)
            _refuse_other_size(head, size, address)
            return Restart()
        case 206:
            end = size if end is None else end
            _refuse_pages(head, end - held, size, name, address)
            _refuse_other_range(head, held, end, size, address)
            return Append()
        case 416 if held == size:
            return Verify()
        case 416 if held > 0:
            return Drop()
        case status if status in _REDIRECTS:
            return Follow(location=check_redirect(address, head.header("location")))
    raise _refusal(head, address)


def strong_etag(head: Head) -> str:
    """Return the tag that changes with every byte of the file, "" if there is none.

    Weak tags say only that two replies mean the same (RFC 9110, section 8.8.3).
    """
    text = head.header("etag").strip()
    return text if _STRONG_ETAG.fullmatch(text) else ""


def _refuse_pages(head: Head, rest: int, size: int, name: str, address: str) -> None:
    """Refuse bodies that are a page, a message, compressed, or several ranges at once."""
    media = head.media_type
    # A page of exactly the right length under a name for text is left to the hash.
    expected = name.lower().endswith(_TEXT_SUFFIXES) and (
        media != "text/html" or _length(head, address) == rest
    )
    if media in _PAGES and not expected:
        raise IntegrityError(
            Code.NOT_A_MODEL,
            f"{media} came instead of the file of {size} bytes: a login page or an error message",
            subject=subject_of(address),
            data={"media_type": media},
        )
    encoding = head.header("content-encoding").strip().lower()
    if encoding not in ("", "identity"):
        raise IntegrityError(
            Code.NOT_A_MODEL,
            f"the body is compressed ({_short(encoding)}) although that was not asked for",
            subject=subject_of(address),
        )


def _refuse_other_size(head: Head, size: int, address: str) -> None:
    length = _length(head, address)
    if length not in (None, size):
        raise IntegrityError(
            Code.SIZE_MISMATCH,
            f"the server offers {length} bytes, the lock says {size}",
            subject=subject_of(address),
            data={"expected": size, "offered": length},
        )


def _refuse_other_range(head: Head, held: int, end: int, size: int, address: str) -> None:
    """Refuse a 206 for other bytes than were asked for: it would splice two files together."""
    text = head.header("content-range").strip()
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None or tuple(map(int, match.groups())) != (held, end - 1, size):
        raise WireError(
            Code.REPLY_MALFORMED,
            f"asked for bytes {held}-{end - 1}/{size}, got {_short(text) or 'no range'}",
            subject=subject_of(address),
        )
    if _length(head, address) not in (None, end - held):
        raise WireError(
            Code.REPLY_MALFORMED,
            "the length of the reply contradicts its range",
            subject=subject_of(address),
        )


def _length(head: Head, address: str) -> int | None:
    text = head.header("content-length").strip()
    if not text:
        return None
    if not _DIGITS.fullmatch(text):
        raise WireError(
            Code.REPLY_MALFORMED,
            f"the length of the reply is {_short(text)}",
            subject=subject_of(address),
        )
    return int(text)


def _refusal(head: Head, address: str) -> WireError:
    """Return what a status without a usable body means."""
    status = head.status
    message = f"the storage host answered {status}"
    match status:
        case 400 | 401 | 403 | 404 | 410:
            # Which of these an expired signature gives depends on the store.
            code = Code.URL_EXPIRED
        case 429:
            code = Code.RATE_LIMITED
        case 408 | 425:
            code = Code.SERVER_ERROR
        case _ if 500 <= status <= 599:
            code = Code.SERVER_ERROR
        case _:
            code = Code.REPLY_MALFORMED
    return WireError(
        code,
        message,
        subject=subject_of(address),
        data={"status": status},
        retry_after=retry_after(head.headers)
        if code in (Code.RATE_LIMITED, Code.SERVER_ERROR)
        else None,
    )


def _short(text: str) -> str:
    return repr(text[:60]) if text else ""
