"""A disk side that breaks at its k-th call: a store and a ledger around the real ones.

Killed, it does nothing any more, as a process does that is gone; a disk that fails does so
once, before the call is carried out or, which is worse, after it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TypeVar

from civsync.core.codes import Code
from civsync.core.disk import Digests, Inventory, Owned, Receipt, Stamp
from civsync.core.errors import CivsyncError, DiskError
from civsync.core.names import SafePath
from civsync.ports import Ledger, Publication, Store
from support.publishing import publish

T = TypeVar("T")


class How(Enum):
    """What happens at the call."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    FAILS_BEFORE = "fails before"
    FAILS_AFTER = "fails after"


class KilledError(Exception):
    """The process is gone: nobody handles this."""


@dataclass(kw_only=True)
class Doom:
    """Breaks the call number `at`, counted from 1 over all that share this."""

    how: How
    at: int
    calls: int = 0
    killed: bool = False

    def carry_out(self, call: Callable[[], T]) -> T:
        """Do `call`, unless this is the end."""
        self.calls += 1
        now = self.calls == self.at
        self.killed |= now and self.how is How.KILLED_BEFORE
        if self.killed:
            raise KilledError
        if now and self.how is How.FAILS_BEFORE:
            raise DiskError(Code.DISK_FAILED, "the disk failed, and did nothing")
        result = call()
        if now and self.how is How.KILLED_AFTER:
            self.killed = True
            raise KilledError
        if now and self.how is How.FAILS_AFTER:
            raise DiskError(Code.DISK_FAILED, "the disk failed, and did it all the same")
        return result


class DoomedStore:
    """A `Store` that comes to its end."""

    def __init__(self, store: Store, doom: Doom) -> None:
        self._store = store
        self._do = doom.carry_out

    def survey(self, paths: Iterable[SafePath]) -> Inventory:
        return self._do(lambda: self._store.survey(paths))

    def digest(
        self,
        path: SafePath,
        progress: Callable[[int], None] | None = None,
        *,
        known: Digests | None = None,
    ) -> tuple[Digests, Stamp]:
        return self._do(lambda: self._store.digest(path, progress, known=known))

    def publish(self, wanted: Sequence[Publication]) -> list[Stamp | CivsyncError]:
        published: list[Stamp | CivsyncError] = []
        for each in wanted:
            try:
                published.append(self._do(partial(publish, self._store, each)))
            except CivsyncError as error:
                published.append(error)
        return published

    def move(self, source: SafePath, target: SafePath, *, expected: Stamp, sha256: str) -> Stamp:
        return self._do(lambda: self._store.move(source, target, expected=expected, sha256=sha256))

    def retire(
        self, path: SafePath, *, expected: Stamp, sha256: str, reason: str = "not wanted any more"
    ) -> None:
        self._do(lambda: self._store.retire(path, expected=expected, sha256=sha256, reason=reason))


class DoomedLedger:
    """A `Ledger` that comes to its end."""

    def __init__(self, ledger: Ledger, doom: Doom) -> None:
        self._ledger = ledger
        self._do = doom.carry_out

    def read(self) -> Receipt:
        return self._do(self._ledger.read)

    def intend(self, *owned: Owned) -> None:
        self._do(lambda: self._ledger.intend(*owned))

    def placed(self, *owned: Owned) -> None:
        self._do(lambda: self._ledger.placed(*owned))

    def released(self, path: SafePath) -> None:
        self._do(lambda: self._ledger.released(path))

    def commit(self, receipt: Receipt) -> None:
        self._do(lambda: self._ledger.commit(receipt))
