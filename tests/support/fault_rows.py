"""The faults of a connection and of replies that civsync must survive: one row each.

A test names the row that it stands for, and which of its faults it makes happen, by
`@pytest.mark.fault(row, *faults)`; `fault_tests` finds them, and `tests/FAULTS.md` shows
both together.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: its id (section/name), what happens, what civsync must do, and every fault in it.

    `faults` are what a marker may name; each needs a test of its own.
    """

    id: str
    happens: str
    required: str
    faults: tuple[str, ...]


SECTIONS: Final = {"4.1": "Connection", "4.2": "What the reply means", "4.3": "Disk"}

ROWS: Final = (
    Row(
        id="4.1/no-connection",
        happens="no connection can be made",
        required="try again with growing pauses inside a total budget, then `unreachable`; the"
        " part is kept and the other files go on",
        faults=("DNS failure", "refused", "unreachable", "the others go on"),
    ),
    Row(
        id="4.1/tls",
        happens="the certificate proves nothing",
        required="final at once: one try, no hint to switch verification off; `SSL_CERT_FILE`"
        " counts for the API and for the bytes",
        faults=("unknown authority", "wrong name", "expired", "SSL_CERT_FILE"),
    ),
    Row(
        id="4.1/cut",
        happens="the connection breaks in the middle",
        required="go on from what came; only a try that brought no byte counts as one",
        faults=("reset", "truncated", "chunks cut", "empty reply", "tries that bring bytes"),
    ),
    Row(
        id="4.1/no-length",
        happens="a body without Content-Length ends early",
        required="the length comes from the lock, so that the end is not taken for the end",
        faults=("early close",),
    ),
    Row(
        id="4.1/too-much",
        happens="more bytes come than were promised",
        required="stop at the first byte beyond the size; the disk is never filled",
        faults=("endless body", "beyond the length"),
    ),
    Row(
        id="4.1/slow",
        happens="bytes stop coming, or drip",
        required="a silence has a limit, and so has slowness over a window, after which the"
        " transfer goes on over a new connection",
        faults=("stall", "slow drip"),
    ),
    Row(
        id="4.1/retry-after",
        happens="the server asks for a pause (429, 503 with Retry-After)",
        required="obey up to a cap, a date read against the reply's own Date; above the cap stop"
        " and say the time; all transfers from the host wait",
        faults=(
            "429",
            "503",
            "seconds",
            "date",
            "negative",
            "huge",
            "garbage",
            "shared by the host",
        ),
    ),
    Row(
        id="4.1/server-error",
        happens="the server fails",
        required="growing pauses with jitter, a bounded number of tries, GET alone",
        faults=("5xx", "408", "425"),
    ),
    Row(
        id="4.1/malformed",
        happens="the head of a reply makes no sense",
        required="`reply-malformed`, and no crash",
        faults=("header flood", "bad status line", "two lengths", "negative length"),
    ),
    Row(
        id="4.1/surroundings",
        happens="the machine's network or clock is unusual",
        required="it works; local time is never compared with the server's",
        faults=("proxy", "IPv6 only", "clock ten years off"),
    ),
    Row(
        id="4.2/200-for-range",
        happens="a request for a range is answered with 200",
        required="it is the whole file: begin again at zero, truncating",
        faults=("200",),
    ),
    Row(
        id="4.2/wrong-range",
        happens="a 206 holds other bytes than were asked for",
        required="refuse it, drop the connection, one fresh try",
        faults=("another start", "another end", "another total", "no range", "multipart"),
    ),
    Row(
        id="4.2/416",
        happens="there is no such range (416)",
        required="a whole part is verified; any other is dropped and begun at zero; never a loop",
        faults=("whole", "not whole", "for ever"),
    ),
    Row(
        id="4.2/changed",
        happens="the file changes between two parts of it",
        required="plain Range; the total must be the locked size; the digest judges",
        faults=("other bytes", "other total"),
    ),
    Row(
        id="4.2/expired",
        happens="the signed address expires in the middle",
        required="ask for a fresh one, keep the part, and do that a bounded number of times",
        faults=("403", "400", "again and again"),
    ),
    Row(
        id="4.2/page",
        happens="something else comes with status 200",
        required="never taken for a model; the hint names the login",
        faults=("login page", "error JSON", "challenge"),
    ),
    Row(
        id="4.2/coded",
        happens="the body is compressed",
        required="`Accept-Encoding: identity` is sent and a coded body is refused",
        faults=("gzip", "br"),
    ),
    Row(
        id="4.2/redirect",
        happens="a redirect leads astray",
        required="follow by hand, https only after https, refuse the rest, end a loop",
        faults=(
            "loop",
            "more than five hops",
            "to http",
            "file:",
            "other port",
            "userinfo",
            "private address",
        ),
    ),
    Row(
        id="4.2/credentials",
        happens="a redirect leaves the origin that the token is for",
        required="the token is attached per request, for the configured origin alone",
        faults=("on redirect",),
    ),
    Row(
        id="4.2/quirks",
        happens="the registry has habits of its own",
        required="a real User-Agent; GET and never HEAD; the address of the single file",
        faults=("User-Agent", "GET, not HEAD", "address of the file"),
    ),
    Row(
        id="4.2/json",
        happens="an answer of the API is hostile or damaged JSON",
        required="capped before it is parsed; all damage is `reply-malformed`; without a hash"
        " nothing is locked unless the user says so",
        faults=(
            "huge",
            "deep",
            "duplicate keys",
            "NaN",
            "5,000 digits",
            "wrong types",
            "missing hashes",
        ),
    ),
    Row(
        id="4.2/upstream",
        happens="upstream takes a version away or changes it",
        required="the lock stays; `gone` or what is needed is said; a changed hash is an alarm",
        faults=("deleted", "hidden", "early access", "hash changed"),
    ),
    Row(
        id="4.3/rot",
        happens="a file changes by itself, or by hand",
        required="`verify` reads it and finds it, whatever size and time say; what is found once is"
        " not believed by its stamp any more, and a repair keeps the damaged file",
        faults=("a flipped bit, time restored", "truncation", "hand edit", "unreadable"),
    ),
)
