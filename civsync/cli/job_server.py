"""Let other processes of this user speak to the sync that runs in this one.

Nobody who connects can hold it up: the number of conversations is bounded, and a peer that
goes away, or is somebody else, ends its own alone.
"""

import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from civsync.cli.job_folder import is_this_user
from civsync.core.limits import JOB_ACCEPT_PAUSE_S, JOB_BACKLOG, JOB_CONNECTIONS

Converse = Callable[[SocketStream], Awaitable[None]]
"""Speaks with one peer until either has enough."""


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


async def serve(listener: SocketListener, converse: Converse) -> None:
    """Let this user's processes converse, until cancelled."""
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
            conversations.start_soon(_admit, stream, converse, slots)


async def _admit(stream: SocketStream, converse: Converse, slots: anyio.Semaphore) -> None:
    try:
        # A peer that goes away in the middle is nothing to speak of.
        with contextlib.suppress(
            anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, OSError
        ):
            async with stream:
                peer = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
                if is_this_user(peer):
                    await converse(stream)
    finally:
        slots.release()


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
