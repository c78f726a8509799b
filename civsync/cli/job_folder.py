"""Where a running sync can be spoken to: a socket in a folder that this user alone can enter.

The folder is `civsync` in the user's runtime directory; where there is none, or its path is
too long for a socket, one in the state directory, and at last one of the user's own in the
directory for temporary files. A folder that is a link, belongs to somebody else or lets
others in is passed over, never mended.
"""

import hashlib
import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from civsync.cli.settings import state_dir
from civsync.core.limits import SOCKET_PATH_BYTES

HAS_SOCKETS: Final = hasattr(socket, "AF_UNIX") and sys.platform != "win32"
"""Python has no sockets of this kind on Windows."""

ENDING: Final = ".sock"

SESSIONS: Final = Path("/run/user")
"""Where the runtime directories of all users lie, each named by its user (pam_systemd(8))."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group of a peer, as Linux tells them (unix(7), SO_PEERCRED)."""


def place_for(root_id: str) -> Path | None:
    """Return where the socket for a root goes, in a folder that is made if need be.

    None where no folder will do.
    """
    # A marker may come from anywhere, and its id must not choose a path.
    name = root_id if _ID.fullmatch(root_id) else hashlib.sha256(root_id.encode()).hexdigest()[:32]
    for folder in _folders():
        place = folder / f"{name}{ENDING}"
        if len(os.fsencode(place)) <= SOCKET_PATH_BYTES and _made(folder):
            return place
    return None


def places(sessions: Path = SESSIONS) -> Iterator[Path]:
    """Yield every socket in the folders of this user, sorted; nobody may be listening there.

    A process that was told of no runtime directory (by cron, su or ssh) looks into the user's
    below `sessions`, too.
    """
    folders = list(_folders())
    session = sessions / str(os.geteuid())
    if _runtime_dir() is None and is_ours_alone(session):
        folders.append(session / "civsync")
    for folder in folders:
        if is_ours_alone(folder):
            yield from sorted(each for each in folder.glob(f"*{ENDING}") if each.is_socket())


def is_ours_alone(folder: Path) -> bool:
    """Tell whether this is a directory of this user that nobody else can enter."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )


def is_this_user(peer: socket.socket) -> bool:
    """Tell whether who is at the other end is this user; True where the system cannot say.

    The folder lets nobody else in; this is for the case that it once did.
    """
    if sys.platform != "linux":
        return True
    data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(data)
    return bool(user == os.geteuid())


def _folders() -> Iterator[Path]:
    runtime = _runtime_dir()
    if runtime is not None:
        yield runtime / "civsync"
    yield Path(state_dir(), "run")
    import tempfile

    yield Path(tempfile.gettempdir()) / f"civsync-{os.geteuid()}"


def _runtime_dir() -> Path | None:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime) if os.path.isabs(runtime) else None


def _made(folder: Path) -> bool:
    try:
        if folder.parent == Path(state_dir()):
            # The others are made by the system; one that is not there is not for us to make.
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    return is_ours_alone(folder)
