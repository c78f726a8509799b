"""Files to download, as the storage has them and as a lock describes them.

They begin as safetensors do, because civsync looks; the rest is one random block over and
over from changing offsets, which is made faster than it is hashed.
"""

import hashlib
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import parse_path
from civsync.core.request import Latest, Request
from civsync.core.wording import describe_request, entry_key
from civsync.demo.artifacts import safetensors_head
from civsync.documents.lock import write_lock

MIB = 1024 * 1024
_BLOCK = 4 * MIB
_STEP = 4099
"""By how much the block moves from one time to the next; a prime, so that it takes long to
come round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """One file that the storage serves; `file_id` names it everywhere."""

    file_id: int
    size: int
    sha256: str
    blake3: str

    @property
    def name(self) -> str:
        """Its name on the storage, in the lock and on the disk of the client."""
        return f"{self.file_id}.safetensors"


def shelve(folder: Path, sizes: Sequence[int]) -> tuple[Shelved, ...]:
    """Write a file of each size into `folder`."""
    noise = random.Random(4).randbytes(_BLOCK)
    doubled = memoryview(noise + noise)
    files = []
    for file_id, size in enumerate(sizes, start=1):
        head = safetensors_head(f"file {file_id}", size)
        start = file_id * _STEP
        pieces = _pieces(doubled, start=start, size=size - len(head))
        with open(folder / f"{file_id}.safetensors", "wb", buffering=0) as file:
            files.append(_write(file.fileno(), file_id, size, [head, *pieces]))
    return tuple(files)


def shelve_hollow(folder: Path, size: int) -> Shelved:
    """Make a sparse file: only its header takes room, zeros follow it."""
    head = safetensors_head("hollow", size)
    with open(folder / "1.safetensors", "wb", buffering=0) as file:
        file.write(head)
        file.truncate(size)
    zeros = memoryview(bytes(_BLOCK))
    return _write(None, 1, size, [head, *_pieces(zeros, start=0, size=size - len(head))])


def write_lock_of(files: Iterable[Shelved], path: Path) -> None:
    """Write a lock with one entry for each file."""
    path.write_bytes(write_lock(Lock(entries=tuple(map(_entry, files)))))


def _entry(file: Shelved) -> LockedEntry:
    request = Request(model_id=file.file_id, version=Latest())
    locked = LockedFile(
        path=parse_path(file.name),
        size=file.size,
        sha256=file.sha256,
        model_id=file.file_id,
        version_id=file.file_id,
        file_id=file.file_id,
        name=file.name,
        type="Model",
        format="SafeTensor",
        hashes={"BLAKE3": file.blake3},
        model=f"Model {file.file_id}",
        model_type="Checkpoint",
        version="v1",
    )
    return LockedEntry(key=entry_key(request), request=describe_request(request), files=(locked,))


def _pieces(view: memoryview, *, start: int, size: int) -> Iterator[memoryview]:
    """Yield `size` bytes of a block that stands twice in `view`, or once if it is all alike."""
    span = len(view) // 2
    while size:
        at = start % span
        piece = view[at : at + min(size, span)]
        yield piece
        size -= len(piece)
        start += _STEP


def _write(
    fd: int | None, file_id: int, size: int, pieces: Iterable[bytes | memoryview]
) -> Shelved:
    sha256, other = hashlib.sha256(), blake3()
    for piece in pieces:
        sha256.update(piece)
        other.update(piece)
        rest = memoryview(piece)
        while fd is not None and rest:
            rest = rest[os.write(fd, rest) :]
    return Shelved(file_id=file_id, size=size, sha256=sha256.hexdigest(), blake3=other.hexdigest())
