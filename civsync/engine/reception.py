"""One request and its reply: judge its head, then pour its body into a part, and count.

Runs in the transport's worker thread. Whether to ask again is not decided here.
"""

import threading
from collections.abc import Callable
from dataclasses import field
from typing import assert_never

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.limits import WORTH_ASKING_BYTES
from civsync.core.lock import LockedFile
from civsync.core.values import dataclass
from civsync.core.wire import Head
from civsync.decide.disposition import served_name
from civsync.decide.pieces import Lease, Pieces, PieceTuning
from civsync.decide.transfer import (
    Append,
    Drop,
    Follow,
    Restart,
    Verdict,
    Verify,
    judge,
    strong_etag,
)
from civsync.ports import Part, Sink


@dataclass(slots=True)
class Reception:
    """What came in for one file, and who receives what of it; several threads share it.

    `pieced` says that the bytes are of more than one reply, or were there before, so that
    they may be of two files, `whole` that the server sends the whole file when asked for a
    range, and `asked_again` that a whole file was refused just before for that. `served_as`
    is the name that the server gave, "" if none.
    """

    part: Part
    pieces: Pieces
    pieced: bool
    whole: bool = False
    asked_again: bool = False
    received: int = 0
    served_as: str = ""
    mutex: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, file: LockedFile, part: Part, tuning: PieceTuning | None = None) -> "Reception":
        """Begin with what the part holds."""
        pieces = Pieces(file.size, tuning)
        return cls(part=part, pieces=pieces, pieced=bool(part.done.spans))

    def restart(self) -> None:
        """Forget all bytes; nobody may be receiving any. Blocks. Raises DiskError."""
        self.part.restart()
        self.pieced = False


class ReplacedError(Exception):
    """A reply offers other bytes than the ones that were asked for; `etag` is their tag."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class LeaseOverError(Exception):
    """Others receive what comes next; the rest of the body is not wanted."""


class AloneError(Exception):
    """The server sends the whole file: nobody else may write to the part meanwhile."""


class StartOverError(Exception):
    """The server cannot go on from the bytes that are there: they must be forgotten."""


def cannot_go_on() -> WireError:
    """Return the error for a try whose bytes were forgotten for that reason."""
    message = "the server cannot go on from where the last try ended"
    return WireError(Code.CONNECTION_LOST, message)


class Glance:
    """A request for the head alone; `verdict` is what it was judged to be, `etag` its tag."""

    def __init__(self, file: LockedFile, address: str) -> None:
        self._file = file
        self._address = address
        self.verdict: Verdict | None = None
        self.etag = ""

    def headers(self) -> dict[str, str]:
        """Return what to send."""
        return {}

    def on_head(self, head: Head) -> Sink | None:
        """Return what takes the body; None if no byte of it belongs to the file.

        Raises what `judge` raises.
        """
        self._judge(head, held=0, end=self._file.size)
        return None

    def _judge(self, head: Head, *, held: int, end: int) -> Verdict:
        self.verdict = judge(
            head,
            held=held,
            end=end,
            size=self._file.size,
            name=self._file.name,
            address=self._address,
        )
        self.etag = strong_etag(head)
        return self.verdict


class Conversation(Glance):
    """A request for what a lease still lacks.

    With `etag` the bytes must be those of that strong tag; ReplacedError otherwise.
    """

    def __init__(
        self,
        file: LockedFile,
        address: str,
        lease: Lease,
        reception: Reception,
        progress: Callable[[int], None],
        *,
        etag: str = "",
    ) -> None:
        super().__init__(file, address)
        self._lease = lease
        self._reception = reception
        self._progress = progress
        self._expected = etag
        self._end = lease.end

    def headers(self) -> dict[str, str]:
        """Return what to send.

        Of a big file even the whole is asked for as a range: the answer tells whether the
        server knows ranges.
        """
        start, end, size = self._lease.at, self._end, self._file.size
        if start == 0 and end == size and not self._reception.pieces.divisible:
            return {}
        last = "" if end == size else end - 1
        condition = {"if-range": self._expected} if self._expected and start else {}
        return {"range": f"bytes={start}-{last}", **condition}

    def on_head(self, head: Head) -> Sink | None:
        """Return what takes the body; None if no byte of it belongs to the file.

        Raises what `judge` raises, ReplacedError and AloneError.
        """
        verdict = self._judge(head, held=self._lease.at, end=self._end)
        match verdict:
            case Append() | Restart() if self._expected not in ("", self.etag):
                raise ReplacedError(self.etag)
            case Append():
                self._reception.asked_again = False
                if self._lease.at > 0:  # only ever set: others may do so at this moment
                    self._reception.pieced = True
            case Restart():
                self._restart()
            case Verify() | Drop() | Follow():
                return None
            case _:
                assert_never(verdict)
        self._reception.served_as = served_name(head.header("content-disposition")) or ""
        return self._write

    def _restart(self) -> None:
        """Begin the whole file anew in this lease, which must be the only one."""
        reception, size = self._reception, self._file.size
        with reception.mutex:
            if reception.pieces.leases != (self._lease,):
                raise AloneError
            if reception.part.done.total >= WORTH_ASKING_BYTES and not reception.asked_again:
                # Of the servers of a host one may know no ranges, and the next one does.
                reception.asked_again = True
                message = "the server sends the whole file instead of the rest"
                raise WireError(Code.CONNECTION_LOST, message)
            if reception.part.done.spans:
                reception.part.restart()
            self._lease.start = self._lease.at = 0
            self._lease.end = self._end = size
            reception.pieced = False
            reception.whole = True

    def _write(self, data: memoryview | bytes) -> None:
        reception, lease, part = self._reception, self._lease, self._reception.part
        with reception.mutex:
            at = lease.at
            count = reception.pieces.advance(lease, len(data))
            over = lease.end < self._end and not lease.left
        part.write(data[:count], at)
        with reception.mutex:
            reception.received += count
        self._progress(part.done.total)
        if over:
            raise LeaseOverError
        if count < len(data):
            if self._end == self._file.size:
                part.write(data[count:], self._end)  # which says what is wrong with that
            raise WireError(Code.REPLY_MALFORMED, "more bytes came than were asked for")
