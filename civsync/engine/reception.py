"""Pour one reply into a part: judge its head, then take its body, and count.

Runs in the transport's worker thread. Whether to ask again is not decided here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from civsync.core.lock import LockedFile
from civsync.core.wire import Head
from civsync.decide.transfer import Append, Drop, Follow, Restart, Verdict, Verify, judge
from civsync.ports import Part, Sink


@dataclass(slots=True)
class Reception:
    """What came in for one file: bytes in all, and where in it the last reply began."""

    began: int
    received: int = 0


class Conversation:
    """One reply of the storage host; `verdict` is what its head was judged to be."""

    def __init__(
        self,
        file: LockedFile,
        part: Part,
        address: str,
        reception: Reception,
        progress: Callable[[int], None],
    ) -> None:
        self._file = file
        self._part = part
        self._address = address
        self._reception = reception
        self._progress = progress
        self.verdict: Verdict | None = None

    def on_head(self, head: Head) -> Sink | None:
        """Return what takes the body; None if no byte of it belongs to the file.

        Raises what `judge` raises.
        """
        self.verdict = judge(
            head,
            held=self._part.held,
            size=self._file.size,
            name=self._file.name,
            address=self._address,
        )
        match self.verdict:
            case Append():
                pass
            case Restart():
                self._part.restart()
            case Verify() | Drop() | Follow():
                return None
            case _:
                assert_never(self.verdict)
        self._reception.began = self._part.held
        return self._write

    def _write(self, data: memoryview | bytes) -> None:
        self._part.write(data)
        self._reception.received += len(data)
        self._progress(self._part.held)
