"""The first try to receive a small file: all of it in the thread of an errand.

What goes as it usually does ends here. Everything else is a try that failed, with which the
receiver goes on in the event loop.
"""

from urllib.parse import urlsplit

from civsync.core.errors import WireError
from civsync.core.limits import REDIRECTS
from civsync.core.lock import LockedFile
from civsync.core.values import dataclass
from civsync.core.wire import SignedUrl
from civsync.decide.pieces import Lease
from civsync.decide.transfer import Drop, Follow
from civsync.engine.hosts import Hosts
from civsync.engine.network import (
    DOWNLOAD_ROUTE,
    Network,
    ended_early,
    progress_of,
    too_many_redirects,
)
from civsync.engine.reception import Conversation, Reception, cannot_go_on
from civsync.ports import Errand


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A first try that failed: at which address, if at any, why, and with how much before."""

    url: SignedUrl | None
    error: WireError
    held: int


class FirstTry:
    """Tries once; one instance serves all errands of a run, from any thread.

    It does nothing where a host of `hosts` is busy: who is in an errand must not wait long.
    """

    def __init__(self, network: Network, hosts: Hosts) -> None:
        self._net = network
        self._hosts = hosts

    def receive(self, file: LockedFile, reception: Reception, errand: Errand) -> Tried | None:
        """Try to receive all that is missing; None where it is there then, or nothing was done.

        Raises CivsyncError where no try could help.
        """
        held = reception.part.done.total
        url: SignedUrl | None = None
        try:
            url = self._locate(file, errand)
            if url is not None:
                self._pour(url, file, reception, errand)
        except WireError as error:
            return Tried(url=url, error=error, held=held)
        return None

    def _locate(self, file: LockedFile, errand: Errand) -> SignedUrl | None:
        if not self._hosts.admit_now(DOWNLOAD_ROUTE, errand.rest):
            return None
        with self._hosts.watched(DOWNLOAD_ROUTE, lambda: False):
            return self._net.source.locate_now(file, errand)

    def _pour(self, url: SignedUrl, file: LockedFile, reception: Reception, errand: Errand) -> None:
        lease = reception.pieces.take(reception.part.done)
        if lease is None:
            return
        try:
            self._converse(url, file, lease, reception, errand)
        finally:
            reception.pieces.give_back(lease)

    def _converse(
        self,
        url: SignedUrl,
        file: LockedFile,
        lease: Lease,
        reception: Reception,
        errand: Errand,
    ) -> None:
        address, progress = url.url, progress_of(file, self._net)
        for _ in range(REDIRECTS - url.hops + 1):
            host = urlsplit(address).netloc
            if not self._hosts.admit_now(host, errand.rest):
                return
            talk = Conversation(file, address, lease, reception, progress)
            with self._hosts.watched(host, lambda: lease.at > lease.start):
                errand.get(address, talk.headers(), talk.on_head)
            match talk.verdict:
                case Follow(location=address):
                    continue
                case Drop():
                    reception.restart()
                    raise cannot_go_on()
            if lease.left:
                raise ended_early(file)
            return
        raise too_many_redirects(file)
