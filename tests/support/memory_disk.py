"""In-memory twins of Store, Parts, TrashCan and Ledger over one dictionary.

They keep the same promises as the real adapters (the contract suites run on both), except
that nothing survives the process and that there are no links.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import blake3

from civsync.core.codes import Code
from civsync.core.disk import (
    Absent,
    Digests,
    Inventory,
    Linked,
    Obstacle,
    Owned,
    Receipt,
    Regular,
    Sight,
    Stamp,
    Trashed,
)
from civsync.core.errors import CivsyncError, DiskError, IntegrityError, SafetyError
from civsync.core.names import SafePath
from civsync.core.ranges import Ranges
from civsync.documents.receipt import Intended, Note, Placed, Released, replay
from civsync.ports import Part, Publication


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFile:
    """A file: its bytes and its stamp."""

    data: bytes
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """A file in trash or quarantine; `serial` counts what was ever changed on its disk."""

    data: bytes
    path: str
    reason: str
    serial: int = 0
    sha256: str = ""
    stamp: Stamp = field(default_factory=lambda: Stamp(0, 0, 0))


@dataclass(slots=True)
class MemoryDisk:
    """One root. Tests edit the attributes; `free` is the space left, in bytes."""

    files: dict[str, MemoryFile] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    scattered: dict[str, tuple[bytes, Ranges]] = field(default_factory=dict)
    """Parts with gaps: the whole file, and which bytes of it are real."""
    trash: list[Discarded] = field(default_factory=list)
    quarantine: list[Discarded] = field(default_factory=list)
    receipt: Receipt = field(default_factory=lambda: Receipt(root_id="memory"))
    notes: list[Note] = field(default_factory=list)
    free: int = 1 << 40
    writes: int = 0
    """Changes so far, of any kind; a run that changes nothing leaves it as it is."""
    claimed: set[str] = field(default_factory=set)

    def put(self, path: str, data: bytes) -> Stamp:
        """Write a file as a stranger would."""
        self.writes += 1
        stamp = Stamp(len(data), 1_700_000_000_000_000_000 + self.writes, self.writes)
        self.files[path] = MemoryFile(data=data, stamp=stamp)
        return stamp

    def read(self, path: str) -> bytes | None:
        """Return what is at `path`."""
        found = self.files.get(path)
        return None if found is None else found.data

    def sight(self, path: str) -> Sight:
        """Look at one path."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            way = "/".join(parts[:depth])
            if way in self.files:
                return Linked(way, "file")
        if path in self.files:
            return Regular(self.files[path].stamp)
        if any(other.startswith(path + "/") for other in self.files):
            return Obstacle("directory")
        return Absent()


class MemoryPart:
    """The twin of `HeldPart`."""

    def __init__(self, disk: MemoryDisk, sha256: str, size: int) -> None:
        data = disk.parts.pop(sha256, b"")
        data = data if len(data) <= size else b""
        data, done = disk.scattered.pop(sha256, (data, Ranges.prefix_of(len(data))))
        self.disk = disk
        self.sha256 = sha256
        self.size = size
        self.data = bytearray(data.ljust(size, b"\0"))
        self.done = done
        self.gone = False
        self.mutex = threading.Lock()

    def write(self, data: memoryview | bytes, at: int) -> None:
        if at + len(data) > self.size:
            raise IntegrityError(Code.SIZE_MISMATCH, "more bytes came than the lock says")
        if len(data) > self.disk.free:
            raise DiskError(Code.NO_SPACE, "the disk is full")
        with self.mutex:
            self.disk.free -= len(data)
            self.disk.writes += 1
            self.data[at : at + len(data)] = data
            self.done = self.done.plus(at, at + len(data))

    def restart(self) -> None:
        self.done = Ranges()

    def digests(self) -> Digests:
        return digests_of(self.prefix)

    def head(self, size: int) -> bytes:
        return self.prefix[:size]

    @property
    def prefix(self) -> bytes:
        return bytes(self.data[: self.done.prefix])

    def park(self) -> None:
        """Leave the bytes for the next claim."""
        if self.done.contiguous and self.done.spans:
            self.disk.parts[self.sha256] = self.prefix
        elif self.done.spans:
            self.disk.scattered[self.sha256] = bytes(self.data), self.done


class MemoryStore:
    """The twin of `DiskStore`."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    def survey(self, paths: Iterable[SafePath]) -> Inventory:
        return {path: self.disk.sight(path) for path in paths}

    def digest(
        self,
        path: SafePath,
        progress: Callable[[int], None] | None = None,
        *,
        known: Digests | None = None,
    ) -> tuple[Digests, Stamp]:
        self._walk(path)
        if path not in self.disk.files:
            if isinstance(self.disk.sight(path), Obstacle):
                raise SafetyError(Code.OBSTACLE, f"{path} is a directory", subject=path)
            raise DiskError(Code.DISK_FAILED, f"{path} is not there", subject=path)
        file = self.disk.files[path]
        if progress is not None and file.data:
            progress(len(file.data))
        found = digests_of(file.data)
        same = known is not None and (known.size, known.blake3) == (found.size, found.blake3)
        return (known if known is not None and same else found), file.stamp

    def publish(self, wanted: Sequence[Publication]) -> list[Stamp | CivsyncError]:
        published: list[Stamp | CivsyncError] = []
        for each in wanted:
            try:
                published.append(self._publish(each))
            except CivsyncError as error:
                published.append(error)
        return published

    def _publish(self, wanted: Publication) -> Stamp:
        part, path = wanted.part, wanted.path
        assert isinstance(part, MemoryPart)
        found = part.digests()
        if found.size != part.size:
            raise IntegrityError(Code.SIZE_MISMATCH, "the part is not whole")
        if found.sha256 != part.sha256:
            raise IntegrityError(Code.HASH_MISMATCH, "the part has other content")
        self._walk(path)
        if wanted.replacing is None:
            self._require_absent(path)
        else:
            old = self._require(path, wanted.replacing)
            self._discard(path, old, "replaced", wanted.old_sha256)
        part.gone = True
        return self.disk.put(path, bytes(part.data))

    def move(self, source: SafePath, target: SafePath, *, expected: Stamp, sha256: str) -> Stamp:
        file = self._require(source, expected)
        self._walk(target)
        self._require_absent(target)
        del self.disk.files[source]
        self.disk.files[target] = file
        self.disk.writes += 1
        return file.stamp

    def retire(
        self, path: SafePath, *, expected: Stamp, sha256: str, reason: str = "not wanted any more"
    ) -> None:
        self._discard(path, self._require(path, expected), reason, sha256)

    def set_aside(self, path: SafePath, *, expected: Stamp, sha256: str, reason: str) -> str:
        file = self._require(path, expected)
        self.disk.writes += 1
        self.disk.quarantine.append(
            Discarded(
                data=file.data,
                path=path,
                reason=reason,
                serial=self.disk.writes,
                sha256=sha256,
                stamp=file.stamp,
            )
        )
        del self.disk.files[path]
        return f".civsync/quarantine/{sha256}"

    def _discard(self, path: str, file: MemoryFile, reason: str, sha256: str) -> None:
        self.disk.writes += 1
        self.disk.trash.append(
            Discarded(
                data=file.data,
                path=path,
                reason=reason,
                serial=self.disk.writes,
                sha256=sha256,
                stamp=file.stamp,
            )
        )
        del self.disk.files[path]

    def _walk(self, path: str) -> None:
        sight = self.disk.sight(path)
        if isinstance(sight, Linked):
            raise SafetyError(Code.OBSTACLE, f"{sight.at} is not a directory", subject=sight.at)

    def _require(self, path: str, expected: Stamp) -> MemoryFile:
        self._walk(path)
        file = self.disk.files.get(path)
        if file is None or file.stamp != expected:
            raise SafetyError(Code.MODIFIED_FILE, f"{path} was changed", subject=path)
        return file

    def _require_absent(self, path: str) -> None:
        match self.disk.sight(path):
            case Absent():
                return
            case Obstacle():
                raise SafetyError(Code.OBSTACLE, f"{path} is a directory", subject=path)
            case _:
                raise SafetyError(Code.FOREIGN_FILE, f"there is a file at {path}", subject=path)


class MemoryParts:
    """The twin of `DiskParts`."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    @contextmanager
    def claim(self, sha256: str, size: int) -> Iterator[MemoryPart]:
        _require_sha256(sha256)
        if sha256 in self.disk.claimed:
            raise DiskError(Code.ROOT_BUSY, "somebody holds this part")
        self.disk.claimed.add(sha256)
        part = MemoryPart(self.disk, sha256, size)
        try:
            yield part
        finally:
            self.disk.claimed.discard(sha256)
            if not part.gone:
                part.park()

    def claim_unnamed(self, name: str, size: int) -> AbstractContextManager[MemoryPart]:
        return self.claim(_stand_in(name), size)

    def name_it(self, name: str, sha256: str) -> None:
        _require_sha256(sha256)
        if _stand_in(name) in self.disk.parts:
            self.disk.parts[sha256] = self.disk.parts.pop(_stand_in(name))

    def salvage(
        self, sha256: str, size: int, candidates: Sequence[SafePath], *, spending: bool = True
    ) -> str:
        _require_sha256(sha256)
        if len(self.disk.parts.get(sha256, b"")) == size and sha256 in self.disk.parts:
            return "restored"
        for place in (self.disk.trash, self.disk.quarantine):
            for each in place:
                if hashlib.sha256(each.data).hexdigest() == sha256 and len(each.data) == size:
                    place.remove(each)
                    self.disk.scattered.pop(sha256, None)
                    self.disk.parts[sha256] = each.data
                    return "restored"
        for path in candidates:
            data = self.disk.read(path)
            if data is not None and len(data) == size:
                self.disk.scattered.pop(sha256, None)
                self.disk.parts[sha256] = data
                return "restored"
        return ""

    def quarantine(self, part: Part, reason: str) -> str:
        assert isinstance(part, MemoryPart)
        part.gone = True
        self.disk.quarantine.append(Discarded(data=part.prefix, path="", reason=reason))
        return f".civsync/quarantine/{part.digests().sha256}"

    def held(self) -> dict[str, int]:
        scattered = {key: done.total for key, (_, done) in self.disk.scattered.items()}
        return {key: len(data) for key, data in self.disk.parts.items()} | scattered

    def free_bytes(self) -> int:
        return self.disk.free


class MemoryTrashCan:
    """The twin of `DiskTrashCan`. Its clock counts changes, and all files are in one second."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    def entries(self) -> tuple[Trashed, ...]:
        return tuple(
            Trashed(
                id=f"{each.serial:012x}",
                path=SafePath(each.path),
                sha256=each.sha256 if len(each.sha256) == 64 and each.sha256.isalnum() else None,
                size=len(each.data),
                frees=len(each.data),
                reason=each.reason,
                seconds=each.serial,
            )
            for each in self.disk.trash
        )

    def digest(
        self, trashed: Trashed, progress: Callable[[int], None] | None = None
    ) -> tuple[Digests, Stamp]:
        found = self._find(trashed)
        if found is None:
            raise DiskError(Code.DISK_FAILED, f"{trashed.id} is not there", subject=trashed.id)
        if progress is not None and found.data:
            progress(len(found.data))
        return digests_of(found.data), found.stamp

    def restore(self, trashed: Trashed, path: SafePath, *, expected: Stamp) -> Stamp:
        found = self._find(trashed)
        if found is None:
            raise DiskError(Code.DISK_FAILED, f"{trashed.id} is not there", subject=trashed.id)
        if found.stamp != expected:
            raise SafetyError(Code.MODIFIED_FILE, f"{trashed.id} was changed", subject=trashed.id)
        match self.disk.sight(path):
            case Absent():
                pass
            case Linked(at=at):
                raise SafetyError(Code.OBSTACLE, f"{at} is not a directory", subject=at)
            case _:
                raise SafetyError(Code.PATH_TAKEN, f"something is at {path}", subject=path)
        self.disk.trash.remove(found)
        self.disk.files[path] = MemoryFile(data=found.data, stamp=found.stamp)
        self.disk.writes += 1
        return found.stamp

    def discard(self, trashed: Trashed) -> int:
        found = self._find(trashed)
        if found is None:
            return 0
        self.disk.trash.remove(found)
        self.disk.free += len(found.data)
        self.disk.writes += 1
        return len(found.data)

    def _find(self, trashed: Trashed) -> Discarded | None:
        return next((each for each in self.disk.trash if each.serial == trashed.seconds), None)


class MemoryLedger:
    """The twin of `DiskLedger`."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    def read(self) -> Receipt:
        receipt, intents = replay(self.disk.receipt, self.disk.notes)
        owned = dict(receipt.owned)
        for intent in intents:
            file = self.disk.files.get(intent.path)
            if file is not None and digests_of(file.data).sha256 == intent.sha256:
                owned[intent.path] = Owned(
                    path=intent.path,
                    sha256=intent.sha256,
                    stamp=file.stamp,
                    entry=intent.entry,
                    model_id=intent.model_id,
                    version_id=intent.version_id,
                    file_id=intent.file_id,
                    blake3=digests_of(file.data).blake3,
                )
        known = {path: each for path, each in receipt.known.items() if path not in owned}
        return Receipt(root_id=receipt.root_id, owned=owned, known=known)

    def intend(self, *owned: Owned) -> None:
        for each in owned:
            self._note(Intended(owned=each))

    def placed(self, *owned: Owned) -> None:
        for each in owned:
            self._note(Placed(owned=each))

    def released(self, path: SafePath) -> None:
        self._note(Released(path=path))

    def commit(self, receipt: Receipt) -> None:
        self.disk.receipt = Receipt(
            root_id=self.disk.receipt.root_id, owned=receipt.owned, known=receipt.known
        )
        self.disk.notes.clear()
        self.disk.writes += 1

    def _note(self, note: Note) -> None:
        self.disk.notes.append(note)
        self.disk.writes += 1


def digests_of(data: bytes) -> Digests:
    """Hash some bytes."""
    return Digests(
        sha256=hashlib.sha256(data).hexdigest(),
        blake3=blake3.blake3(data).hexdigest(),
        size=len(data),
    )


def _stand_in(name: str) -> str:
    return hashlib.sha256(b"unnamed: " + name.encode()).hexdigest()


def _require_sha256(text: str) -> None:
    with contextlib.suppress(ValueError):
        if len(bytes.fromhex(text)) == 32 and text == text.lower():
            return
    raise SafetyError(Code.UNSAFE_PATH, f"{text!r} is not a SHA-256")
