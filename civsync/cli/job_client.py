"""Speak to the syncs of this user that are running now, over their sockets."""

import errno
import os
import socket
from dataclasses import field
from pathlib import Path

from civsync.cli.job_folder import HAS_SOCKETS, is_this_user, places
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.jobs import Answer, Declined, Look, Request, RunningSync, Seen
from civsync.core.limits import JOB_ANSWER_BYTES, JOB_ANSWER_S, KIB
from civsync.core.values import dataclass
from civsync.documents.job_messages import MessageError, read_answer, write_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A sync that answered: where it listens, and how far it was."""

    place: Path
    run: RunningSync


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """All running syncs, by root; and of those that gave no answer, why, in a sentence each."""

    answered: tuple[Job, ...] = ()
    silent: tuple[str, ...] = field(default=())


def find_jobs() -> Jobs:
    """Ask all syncs of this user how far they are.

    Sockets that dead processes left behind are passed over. Raises UserError no-job where
    the system has no such sockets.
    """
    if not HAS_SOCKETS:
        raise UserError(
            Code.NO_JOB,
            "a running sync cannot be spoken to on Windows",
            hint="Ctrl-C ends a sync; what was received is kept, and the next one goes on.",
        )
    found: list[Job] = []
    silent: list[str] = []
    for place in places():
        try:
            answer = ask(place, Look())
        except _NobodyError:
            continue
        except UserError as error:
            silent.append(error.message)
            continue
        if isinstance(answer, Seen):
            found.append(Job(place=place, run=answer.run))
        elif isinstance(answer, Declined):
            silent.append(f"a running sync says: {answer.reason}")
    return Jobs(answered=tuple(sorted(found, key=_by_root)), silent=tuple(silent))


def ask(place: Path, request: Request) -> Answer:
    """Return what the sync that listens at `place` answers. Raises UserError no-job."""
    try:
        line = write_request(request)
    except MessageError as error:
        hint = "Name fewer downloads at once, or all of them."
        raise UserError(Code.NO_JOB, str(error), hint=hint) from None
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(JOB_ANSWER_S)
            peer.connect(os.fspath(place))
            if not is_this_user(peer):
                raise UserError(Code.NO_JOB, f"{place} belongs to somebody else")
            peer.sendall(line)
            answer = _line_from(peer)
    except TimeoutError:
        raise UserError(
            Code.NO_JOB,
            f"a running sync does not answer ({place.name})",
            hint="It may be stopped: `fg` or `kill -CONT` lets a stopped process go on.",
        ) from None
    except OSError as error:
        raise _nobody(error) from None
    if not answer:
        raise _NobodyError(Code.NO_JOB, "the sync has ended meanwhile")
    try:
        return read_answer(answer)
    except MessageError as error:
        hint = "Use the same version of civsync for both."
        raise UserError(Code.NO_JOB, f"a running sync: {error}", hint=hint) from None


class _NobodyError(UserError):
    """Nobody listens there (any more)."""


def _nobody(error: OSError) -> UserError:
    gone = {errno.ECONNREFUSED, errno.ENOENT, errno.ECONNRESET, errno.EPIPE}
    if error.errno in gone:
        return _NobodyError(Code.NO_JOB, "the sync has ended meanwhile")
    return UserError(Code.NO_JOB, f"a running sync cannot be reached: {error.strerror}")


def _line_from(peer: socket.socket) -> bytes:
    """Return the line that comes, without its end; b"" if the peer went away before."""
    received = bytearray()
    while len(received) <= JOB_ANSWER_BYTES:
        data = peer.recv(256 * KIB)
        received += data
        if data.endswith(b"\n"):
            return bytes(received[:-1])
        if not data:
            return b""
    return bytes(received)


def _by_root(job: Job) -> tuple[str, int]:
    return (job.run.root, job.run.pid)
