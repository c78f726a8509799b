"""Actions that turn what is on disk into what the lock says, as values."""

from dataclasses import field

from civsync.core.disk import Owned, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.groups import Unselected
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.names import SafePath
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One path of the lock with the file that belongs there, and the entry that wants it."""

    entry: LockedEntry
    file: LockedFile

    @property
    def path(self) -> SafePath:
        """Where it belongs."""
        return self.file.path

    def placed(self, stamp: Stamp, blake3: str | None, before: Owned | None) -> Owned:
        """Return the file as one of ours, at its path and with the locked content.

        `before` is what of ours held it until now: as long as the entry says nothing, what
        was protected stays so.
        """
        protect = self.entry.protect
        return Owned(
            path=self.file.path,
            sha256=self.file.sha256,
            blake3=blake3,
            stamp=stamp,
            entry=self.entry.key,
            model_id=self.file.model_id,
            version_id=self.file.version_id,
            file_id=self.file.file_id,
            protect=protect if protect is not None else before is not None and before.protect,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The right bytes, ours. `stamp` is new where the file was touched but not changed.

    So is `protect`, where the entry says another thing than the receipt.
    """

    want: Want
    stamp: Stamp | None = None
    protect: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Satisfied:
    """The right bytes, the user's: they count, and they stay theirs."""

    want: Want
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Nothing is there: get the bytes and publish them. `protect` is for the receipt."""

    want: Want
    protect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The bytes are ours and unchanged at a path that nothing wants any more."""

    want: Want
    source: Owned
    protect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Other bytes stand there: get the right ones, put the old into trash, swap.

    `old` is what is on disk now. `modified` says that the user changed it and allowed this.
    """

    want: Want
    old: Stamp
    old_sha256: str
    modified: bool = False
    protect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """Ours, unchanged, and wanted no more: into trash.

    `replaced` is true when the same entry or model is still wanted (a new version),
    `unselected` when the lock wants it and the run was told to prune what it leaves out.
    """

    owned: Owned
    replaced: bool
    unselected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Wanted no more, but missing or changed by the user: civsync only lets go of it."""

    owned: Owned
    missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """Ours, unchanged, wanted no more, and protected: it stays where it is, and stays ours."""

    owned: Owned


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Nothing safe can be done for this file; `error` says why and what helps."""

    want: Want
    error: CivsyncError


Action = Keep | Satisfied | Fetch | Move | Replace | Retire | Release | Protected | Blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All actions: for what is wanted, then for what is not any more, each sorted by path.

    `unselected` is what the lock has and the run leaves alone.
    """

    actions: tuple[Action, ...] = ()
    unselected: Unselected = field(default_factory=Unselected)

    @property
    def pending(self) -> tuple[Action, ...]:
        """The actions that change something."""
        return tuple(a for a in self.actions if isinstance(a, Fetch | Move | Replace | Retire))

    @property
    def fetches(self) -> tuple[Fetch | Replace, ...]:
        """The actions that may need the network."""
        return tuple(a for a in self.actions if isinstance(a, Fetch | Replace))

    @property
    def retires(self) -> tuple[Retire, ...]:
        """The files that leave the tree."""
        return tuple(a for a in self.actions if isinstance(a, Retire))

    @property
    def protected(self) -> tuple[Protected, ...]:
        """What nothing wants any more, and stays all the same."""
        return tuple(a for a in self.actions if isinstance(a, Protected))

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """What cannot be done."""
        return tuple(a for a in self.actions if isinstance(a, Blocked))

    @property
    def bytes_to_fetch(self) -> int:
        """Sum of the sizes of everything to fetch."""
        return sum(action.want.file.size for action in self.fetches)
