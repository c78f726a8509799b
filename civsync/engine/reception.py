"""One request and its reply: judge its head, then pour its body into a part, and count.

Runs in the transport's worker thread. Whether to ask again is not decided here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from civsync.core.lock import LockedFile
from civsync.core.wire import Head
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
    """What came in for one file: bytes in all, and where in it the last reply began."""

    began: int
    received: int = 0


class ReplacedError(Exception):
    """A reply offers other bytes than the ones that were asked for; `etag` is their tag."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


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
        self._judge(head, held=0)
        return None

    def _judge(self, head: Head, *, held: int) -> Verdict:
        self.verdict = judge(
            head, held=held, size=self._file.size, name=self._file.name, address=self._address
        )
        self.etag = strong_etag(head)
        return self.verdict


class Conversation(Glance):
    """A request for what is missing of a part.

    With `etag` the bytes must be those of that strong tag; ReplacedError otherwise.
    """

    def __init__(
        self,
        file: LockedFile,
        part: Part,
        address: str,
        reception: Reception,
        progress: Callable[[int], None],
        *,
        etag: str = "",
    ) -> None:
        super().__init__(file, address)
        self._part = part
        self._reception = reception
        self._progress = progress
        self._expected = etag

    def headers(self) -> dict[str, str]:
        """Return what to send."""
        if not self._part.held:
            return {}
        condition = {"if-range": self._expected} if self._expected else {}
        return {"range": f"bytes={self._part.held}-", **condition}

    def on_head(self, head: Head) -> Sink | None:
        """Return what takes the body; None if no byte of it belongs to the file.

        Raises what `judge` raises, and ReplacedError.
        """
        verdict = self._judge(head, held=self._part.held)
        match verdict:
            case Append() | Restart() if self._expected not in ("", self.etag):
                raise ReplacedError(self.etag)
            case Append():
                pass
            case Restart():
                self._part.restart()
            case Verify() | Drop() | Follow():
                return None
            case _:
                assert_never(verdict)
        self._reception.began = self._part.held
        return self._write

    def _write(self, data: memoryview | bytes) -> None:
        self._part.write(data)
        self._reception.received += len(data)
        self._progress(self._part.held)
