"""Let other processes of this user speak to the sync that runs in this one.

A conversation is requests and answers, a line each. Nobody who connects can hold the sync
up: lines, waits and the number of conversations are bounded, and whatever is no request gets
an answer that says so.
"""

import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from civsync.cli.job_folder import is_this_user
from civsync.core.jobs import Answer, Declined, Request
from civsync.core.limits import (
    JOB_ACCEPT_PAUSE_S,
    JOB_BACKLOG,
    JOB_CONNECTIONS,
    JOB_IDLE_S,
    JOB_REQUEST_BYTES,
)
from civsync.documents.job_messages import MessageError, read_request, write_answer

Respond = Callable[[Request], Answer]
"""Called in the event loop; must not block or raise."""


@asynccontextmanager
async def listening(place: Path) -> AsyncIterator[SocketListener]:
    """Listen at `place`, for this user alone; the socket goes when the context ends.

    One that a dead process left there is replaced. Raises OSError, EADDRINUSE where somebody
    is listening.
    """
    if _is_alive(place):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(place))
    # Under its name it takes connections from the first moment on.
    temporary = place.with_name(f".{os.urandom(4).hex()}.tmp")
    with anyio.CancelScope(shield=True):
        # Cancelled in the middle it would leave its file behind.
        listener = await anyio.create_unix_listener(temporary, mode=0o600, backlog=JOB_BACKLOG)
    try:
        ours = _name(temporary, place)
        try:
            yield listener
        finally:
            _withdraw(place, ours)
    finally:
        with anyio.CancelScope(shield=True):
            await listener.aclose()


async def serve(listener: SocketListener, respond: Respond) -> None:
    """Answer whoever connects, until cancelled."""
    slots = anyio.Semaphore(JOB_CONNECTIONS)
    async with anyio.create_task_group() as conversations:
        while True:
            await slots.acquire()
            try:
                stream = await listener.accept()
            except anyio.BrokenResourceError:
                slots.release()
                await anyio.sleep(JOB_ACCEPT_PAUSE_S)
                continue
            conversations.start_soon(_converse, stream, respond, slots)


async def _converse(stream: SocketStream, respond: Respond, slots: anyio.Semaphore) -> None:
    try:
        # A peer that goes away in the middle is nothing to speak of.
        with contextlib.suppress(
            anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, OSError
        ):
            async with stream:
                peer = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
                if is_this_user(peer):
                    lines = BufferedByteReceiveStream(stream)
                    while await _exchange(lines, stream, respond):
                        pass
    finally:
        slots.release()


async def _exchange(
    lines: BufferedByteReceiveStream, stream: SocketStream, respond: Respond
) -> bool:
    """Answer one line; tell whether another may follow."""
    with anyio.move_on_after(JOB_IDLE_S):
        try:
            line = await lines.receive_until(b"\n", JOB_REQUEST_BYTES)
        except anyio.DelimiterNotFound:
            await stream.send(write_answer(Declined(reason="the line is too long")))
            return False
        await stream.send(_answer(line, respond))
        return True
    return False


def _answer(line: bytes, respond: Respond) -> bytes:
    try:
        return write_answer(respond(read_request(line)))
    except MessageError as error:
        return write_answer(Declined(reason=str(error)))


def _is_alive(place: Path) -> bool:
    """Tell whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(place))
        except BlockingIOError:
            return True  # more are waiting than it takes
        except OSError:
            return False
        return True


def _name(temporary: Path, place: Path) -> os.stat_result:
    """Give the socket its name, over what a dead process left there; return what it is."""
    try:
        ours = os.lstat(temporary)
        os.replace(temporary, place)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return ours


def _withdraw(place: Path, ours: os.stat_result) -> None:
    """Remove the name, if it is still that of our socket."""
    with contextlib.suppress(OSError):
        if os.path.samestat(ours, os.lstat(place)):
            place.unlink()
