"""Which content lies where, in all roots of this user on this machine: an index, never the truth.

It is a small SQLite file in the user's state directory. Every row is checked against the
disk before it is used and the bytes are hashed after it, so a wrong row costs time only.
What is damaged, or a link, or holds anything that civsync does not make (views and triggers
are programs), is thrown away and filled again from the receipts of the known roots; what
cannot be opened, or is busy for too long, is done without. Nothing here raises.
"""

import contextlib
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from civsync.core.disk import Known, Owned, Receipt, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.limits import (
    INDEX_PATIENCE_S,
    INDEX_PLACES,
    INDEX_VALUE_BYTES,
    LOCK_BYTES,
)
from civsync.core.link_mode import KnownFile
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.disk.beneath import Beneath
from civsync.disk.root import CONTROL, RECEIPT
from civsync.disk.state import known_roots
from civsync.documents.receipt import read_receipt

if TYPE_CHECKING:
    from _typeshed import StrPath

T = TypeVar("T")

_NAME: Final = "known-files.sqlite"
_VERSION: Final = 2
_MAKE_FILES: Final = (
    "CREATE TABLE files (root BLOB NOT NULL, path TEXT NOT NULL, root_id TEXT NOT NULL,"
    " sha256 TEXT NOT NULL, stamp TEXT NOT NULL, owned INTEGER NOT NULL,"
    " PRIMARY KEY (root, path)) WITHOUT ROWID"
)
_MAKE_INDEX: Final = "CREATE INDEX by_content ON files (sha256)"
_SCHEMA: Final = {("files", _MAKE_FILES), ("by_content", _MAKE_INDEX)}
_READ_SCHEMA: Final = "SELECT name, sql FROM sqlite_master"
_SET_VERSION: Final = f"PRAGMA user_version = {_VERSION}"
_FIND: Final = "SELECT root, root_id, path, sha256, stamp, owned FROM files WHERE sha256 IN "
_OURS_FIRST: Final = " ORDER BY owned DESC"
_ADD: Final = (
    "INSERT OR REPLACE INTO files (root, root_id, path, sha256, stamp, owned) VALUES (?,?,?,?,?,?)"
)
_DROP_ROOT: Final = "DELETE FROM files WHERE root = ? OR root_id = ?"
_DROP: Final = "DELETE FROM files WHERE root = ? AND path = ? AND stamp = ?"

_AT_ONCE: Final = 500
"""Values in one question; SQLite before 3.32 allowed 999."""

_STAMP: Final = re.compile(r"([0-9]{1,20})/(-?[0-9]{1,20})/([0-9]{1,20})\Z")

_HARMLESS: Final = frozenset({3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 23})
"""Results of SQLite that say nothing of the file's content (sqlite.org/rescode.html): no
permission, abort, busy, locked, no memory, read-only, interrupted, I/O error, full, cannot open,
lock protocol, not authorized."""

_Row = tuple[object, object, object, object, object, object]


class KnownFiles:
    """The index in one state directory. Safe to use by several processes and threads.

    Nothing is kept open between two calls.
    """

    def __init__(self, state_dir: "StrPath") -> None:
        self._state_dir = state_dir
        self._place = os.path.join(state_dir, _NAME)

    def find(self, sha256s: Collection[str]) -> dict[str, list[KnownFile]]:
        """Return where each of these contents was last seen; what is unknown is left out."""
        wanted = sorted(sha256s)
        return self._try(lambda connection: _find(connection, wanted), {}) if wanted else {}

    def note(self, root: str, receipt: Receipt) -> None:
        """Note all content that `receipt` knows below `root`, in place of what was noted before.

        `root` is a real path.
        """
        if receipt.root_id:
            self._try(lambda connection: _note(connection, root, receipt), None)

    def forget(self, files: Iterable[KnownFile]) -> None:
        """Drop rows that turned out to be wrong."""
        keys = [(os.fsencode(each.root), each.path, _stamp_text(each.stamp)) for each in files]
        if keys:
            self._try(lambda connection: connection.executemany(_DROP, keys), None)

    def _try(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do it; a damaged file is made anew, once; `otherwise` where there is no index."""
        for _ in range(2):
            try:
                with self._opened() as connection:
                    return work(connection)
            except sqlite3.DatabaseError as error:
                # None is told of text that is no UTF-8, for one.
                if (getattr(error, "sqlite_errorcode", None) or 1) & 0xFF in _HARMLESS:
                    return otherwise
                self._discard()
            except OSError:
                return otherwise
        return otherwise

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        os.makedirs(self._state_dir, mode=0o700, exist_ok=True)
        self._require_file()
        connection = sqlite3.connect(self._place, timeout=INDEX_PATIENCE_S, isolation_level=None)
        with closing(connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, INDEX_VALUE_BYTES)
            # What a power cut leaves here is found damaged or found wrong, and made anew.
            connection.execute("PRAGMA synchronous = OFF")
            if _version(connection) != _VERSION:
                with _transaction(connection):
                    self._make(connection)
            if set(connection.execute(_READ_SCHEMA)) != _SCHEMA:
                raise sqlite3.DatabaseError("it holds what civsync does not make")
            yield connection

    def _require_file(self) -> None:
        """Raise DatabaseError for what is there and no file: a link may lead to another's."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(self._place).st_mode):
                raise sqlite3.DatabaseError("it is no regular file")

    def _make(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version == _VERSION:
            return  # another process was quicker
        if version:
            raise sqlite3.DatabaseError("made by another version of civsync")
        for statement in (_MAKE_FILES, _MAKE_INDEX, _SET_VERSION):
            connection.execute(statement)
        for record in known_roots(self._state_dir):
            receipt = _receipt_of(record.path)
            if receipt is not None and receipt.root_id == record.root_id:
                _insert(connection, record.path, receipt)

    def _discard(self) -> None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(self._place + suffix)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all of it happen or nothing. A process that dies meanwhile leaves nothing, too."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _find(connection: sqlite3.Connection, wanted: list[str]) -> dict[str, list[KnownFile]]:
    found: dict[str, list[KnownFile]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        for row in connection.execute(f"{_FIND} ({marks}){_OURS_FIRST}", some):
            known = _read(row)
            if known is not None:
                places = found.setdefault(known.sha256, [])
                if len(places) < INDEX_PLACES:
                    places.append(known)
    return found


def _note(connection: sqlite3.Connection, root: str, receipt: Receipt) -> None:
    with _transaction(connection):
        connection.execute(_DROP_ROOT, (os.fsencode(root), receipt.root_id))
        _insert(connection, root, receipt)


def _insert(connection: sqlite3.Connection, root: str, receipt: Receipt) -> None:
    place, root_id = os.fsencode(root), receipt.root_id
    notes: dict[SafePath, Known | Owned] = {**receipt.known, **receipt.owned}
    rows = [
        (place, root_id, path, each.sha256, _stamp_text(each.stamp), isinstance(each, Owned))
        for path, each in notes.items()
        # A stamp that was taken back is one that must not be believed.
        if each.stamp.inode
    ]
    connection.executemany(_ADD, rows)


def _read(row: _Row) -> KnownFile | None:
    """Return a row as a value; None for one that no civsync writes."""
    root, root_id, path, sha256, stamp, owned = row
    if not (
        isinstance(root, bytes)
        and isinstance(root_id, str)
        and isinstance(path, str)
        and isinstance(sha256, str)
        and isinstance(stamp, str)
    ):
        return None
    numbers = _STAMP.match(stamp)
    place = os.fsdecode(root)
    if numbers is None or not os.path.isabs(place) or "\0" in place:
        return None
    try:
        safe = parse_path(path)
    except UnsafePathError:
        return None
    size, mtime_ns, inode = map(int, numbers.groups())
    return KnownFile(
        root=place,
        root_id=root_id,
        path=safe,
        sha256=sha256,
        stamp=Stamp(size, mtime_ns, inode),
        owned=owned == 1,
    )


def _stamp_text(stamp: Stamp) -> str:
    # As text: an inode may have 64 bits, and SQLite's integers have 63 and a sign.
    return f"{stamp.size}/{stamp.mtime_ns}/{stamp.inode}"


def _receipt_of(root: str) -> Receipt | None:
    try:
        with Beneath(root).folder(CONTROL) as folder:
            return read_receipt(folder.read(RECEIPT, LOCK_BYTES), RECEIPT)
    except (OSError, CivsyncError):
        return None
