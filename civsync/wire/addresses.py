"""Find the addresses of a host, and connect to the first that answers, within one time limit.

What a name means is decided here, on the address that is connected to and no other: a
public name may lead into somebody's own network (DNS rebinding), where a redirect has no
business. Behind a proxy it is the proxy that looks names up, and judges them or not.
"""

import contextlib
import errno
import socket
import threading
from time import monotonic

from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.decide.origins import is_private
from civsync.wire.abort import Abort

Address = tuple[int, int, int, str, tuple[str | int | bytes, ...]]
"""Family, kind, protocol, canonical name and target, as `socket.getaddrinfo` returns them."""


class Addresses:
    """Looks hosts up, and leaves out private addresses that are none of ours.

    `home` is the host that the user named: it may be anywhere, and where it is private
    itself, so may be what it redirects to. Without one nothing is left out.
    """

    def __init__(self, home: str | None) -> None:
        self._home = None if home is None else home.rstrip(".").lower()
        self._home_is_private: bool | None = None

    def of(self, host: str, port: int, abort: Abort, until: float) -> list[Address]:
        """Return where `host` is; at least one address.

        Raises WireError bad-redirect if it is only inside somebody's network, OSError if it
        is nowhere, TimeoutError, StoppedError.
        """
        found = look_up(host, port, abort, until)
        if self._home is None or host.rstrip(".").lower() == self._home:
            return found
        public = [each for each in found if not _inside(each)]
        if len(public) == len(found) or self._may_be_private(abort, until):
            return found
        if not public:
            message = f"{host} leads to the private address {found[0][4][0]!s}"
            raise WireError(Code.BAD_REDIRECT, message, subject=host)
        return public

    def _may_be_private(self, abort: Abort, until: float) -> bool:
        if self._home_is_private is None:
            try:
                found = look_up(self._home or "", 0, abort, until)
            except (OSError, UnicodeError):
                # Asked again the next time: it may only be out of reach just now.
                return False
            self._home_is_private = all(map(_inside, found))
        return self._home_is_private


def look_up(host: str, port: int, abort: Abort, until: float) -> list[Address]:
    """Return the addresses of `host`; at least one.

    The resolver of the system cannot be broken off, and may take half a minute. So it
    works in a thread of its own, which is left alone when time or patience are over.
    Raises OSError, UnicodeError, StoppedError.
    """
    with contextlib.suppress(socket.gaierror):
        return _ask(host, port, socket.AI_NUMERICHOST)
    found: list[list[Address] | Exception] = []

    def ask() -> None:
        try:
            found.append(_ask(host, port, 0))
        except (OSError, UnicodeError) as error:
            found.append(error)
        finally:
            abort.nudge()

    try:
        threading.Thread(target=ask, daemon=True, name="look-up").start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no more threads are allowed") from error
    while not found:
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError
        abort.wait(left)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def connect(
    addresses: list[Address], abort: Abort, until: float
) -> tuple[socket.socket, socket.socket]:
    """Connect to the first address that answers; return the socket and its duplicate.

    What is left of the time is shared out evenly, so that dead addresses before a live one
    do not use it up. Raises OSError, StoppedError.
    """
    failure: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, target) in enumerate(addresses):
        share = (until - monotonic()) / (len(addresses) - number)
        if share <= 0:
            raise TimeoutError
        sock = socket.socket(family, kind, protocol)
        handle = sock.dup()
        try:
            abort.watch(handle)
            sock.settimeout(share)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(target)
            abort.check()
        except BaseException as error:
            abort.release()
            sock.close()
            handle.close()
            if not isinstance(error, OSError):
                raise
            failure = error
        else:
            return sock, handle
        abort.check()
    raise failure


def _ask(host: str, port: int, flags: int) -> list[Address]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))


def _inside(address: Address) -> bool:
    return is_private(str(address[4][0]))
