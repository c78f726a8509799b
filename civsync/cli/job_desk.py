"""Answer what other processes ask of the sync that runs in this one, or order it to do.

A conversation is requests and answers, a line each. Lines and waits are bounded, and whatever
is no request gets an answer that says so.
"""

import os
from typing import Final, assert_never

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from civsync.core.control import Cancel, Limit, Pause, Prioritize, Resume, TransferView
from civsync.core.jobs import Answer, Declined, Download, Look, Obeyed, Request, RunningSync, Seen
from civsync.core.limits import JOB_IDLE_S, JOB_REQUEST_BYTES
from civsync.core.lock import LockedFile
from civsync.core.plan import Plan
from civsync.disk.faults import shown
from civsync.disk.root import Root
from civsync.documents.job_messages import MessageError, read_request, write_answer
from civsync.ports import Control

_CONVERSATION_S: Final = 2 * JOB_IDLE_S
"""How long one peer may speak: less than `civsync job` waits for its turn (JOB_ANSWER_S)."""


class Desk:
    """Speaks for a run of `plan` below `root`, which began at `started`, in seconds since 1970."""

    def __init__(
        self, root: Root, control: Control, plan: Plan, *, command: str, started: int
    ) -> None:
        self._root = root
        self._control = control
        self._command = command
        self._started = started
        self._files = {action.want.path: action.want.file for action in plan.fetches}

    async def converse(self, stream: SocketStream) -> None:
        """Answer line by line, for a while. Raises what anyio raises for a peer that goes away."""
        lines = BufferedByteReceiveStream(stream)
        with anyio.move_on_after(_CONVERSATION_S):
            while await self._exchange(lines, stream):
                pass

    async def _exchange(self, lines: BufferedByteReceiveStream, stream: SocketStream) -> bool:
        """Answer one line; tell whether another may follow."""
        with anyio.move_on_after(JOB_IDLE_S):
            try:
                line = await lines.receive_until(b"\n", JOB_REQUEST_BYTES)
            except anyio.DelimiterNotFound:
                await stream.send(write_answer(Declined(reason="the line is too long")))
                return False
            await stream.send(self._answer(line))
            return True
        return False

    def _answer(self, line: bytes) -> bytes:
        try:
            return write_answer(self._respond(read_request(line)))
        except MessageError as error:
            return write_answer(Declined(reason=str(error)))

    def _respond(self, request: Request) -> Answer:
        files = self._files.keys()
        match request:
            case Look():
                return Seen(run=self._look())
            case Prioritize(paths=paths) if not paths <= files:
                return Declined(reason="this sync does not download all of these")
            case Pause(paths=paths) | Resume(paths=paths) | Cancel(paths=paths) if (
                paths is not None and not paths <= files
            ):
                return Declined(reason="this sync does not download all of these")
            case Pause() | Resume() | Cancel() | Prioritize() | Limit():
                return Obeyed(changed=self._control.obey(request))
            case _:
                assert_never(request)

    def _look(self) -> RunningSync:
        view, files = self._control.view(), self._files
        return RunningSync(
            root=shown(str(self._root.path)),
            pid=os.getpid(),
            started=self._started,
            command=self._command,
            received=view.received,
            limit_rate=view.limit_rate,
            downloads=tuple(
                _download(each, files[each.path]) for each in view.transfers if each.path in files
            ),
        )


def _download(view: TransferView, file: LockedFile) -> Download:
    return Download(
        path=view.path,
        entry=view.entry,
        model=file.model,
        model_id=file.model_id,
        version_id=file.version_id,
        size=view.size,
        held=view.held,
        stage=view.stage,
        priority=view.priority,
        connections=view.connections,
    )
