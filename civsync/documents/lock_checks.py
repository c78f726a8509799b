"""What must hold of the entries of a lock before anything else looks at them.

Paths are safe and, root by root, no two files are one on any disk; ids, sizes and hashes are
such as there can be.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import MAX_ID
from civsync.core.lock import LockedEntry, LockedFile, RootedFile
from civsync.core.names import (
    SafePath,
    UnsafePathError,
    are_plain_paths,
    collision_key,
    parse_path,
)
from civsync.core.problems import Place, Problem
from civsync.core.roots import is_root_name

MAX_SIZE: Final = 2**63 - 1
"""No file system has a larger file."""

SHA256_DIGITS: Final = 64


def is_plainly_sound(entries: Sequence[LockedEntry]) -> bool:
    """Tell quickly that `check_entries` has nothing to say; False means that it must be asked.

    Every start of civsync reads the lock, so this goes over ten thousand files in bulk.
    """
    files = [file for entry in entries for file in entry.files]
    if not files:
        return False
    for ids in (
        [file.model_id for file in files],
        [file.version_id for file in files],
        [file.file_id for file in files],
        [file.owner_version_id or 1 for file in files],
    ):
        if min(ids) < 1 or max(ids) > MAX_ID:
            return False
    sizes = [file.size for file in files]
    if min(sizes) < 0 or max(sizes) > MAX_SIZE:
        return False
    sha256s = [file.sha256 for file in files]
    if set(map(len, sha256s)) - {SHA256_DIGITS} or not _is_hex("".join(sha256s)):
        return False
    if len({entry.key for entry in entries}) < len(entries):
        return False
    rooted = [file for file in files if isinstance(file, RootedFile)]
    if not rooted:
        return _are_plainly_apart([file.path for file in files])
    names = rooted[0].paths.keys()
    return (
        len(rooted) == len(files)
        and all(file.paths.keys() == names and _agrees(file) for file in rooted)
        and all(
            is_root_name(name) and _are_plainly_apart([file.paths[name] for file in rooted])
            for name in names
        )
    )


def _are_plainly_apart(paths: Sequence[str]) -> bool:
    """Tell quickly that all paths of a root are safe, and no disk could take two for one."""
    if not are_plain_paths(paths):
        return False
    taken = set("\n".join(paths).lower().split("\n"))
    folders = {key.rpartition("/")[0] for key in taken}
    while folders and folders.isdisjoint(taken):
        folders = {folder.rpartition("/")[0] for folder in folders if folder}
    return len(taken) == len(paths) and not folders


def _agrees(file: LockedFile) -> bool:
    """Tell whether a record has a path, or paths, but not both."""
    return not isinstance(file, RootedFile) or file.path == file.paths[min(file.paths)]


def check_entries(entries: Sequence[LockedEntry], name: str, *, apart: bool) -> Iterator[Problem]:
    """Yield what no lock of ours would say."""
    keys: set[str] = set()
    roots: dict[str, _Taken] = {}
    files = [file for entry in entries for file in entry.files]
    for entry in entries:
        if apart and entry.key in keys:
            message = f"two entries are called {entry.key!r}"
            yield problem_in(name, message, hint="Run `civsync lock`: it settles which one holds.")
        keys.add(entry.key)
        for file in entry.files:
            path = file.path
            yield from _check_places(file, name)
            if file.sha256 and not _is_sha256(file.sha256):
                yield problem_in(name, f"the sha256 of {path!r} is not 64 lower-case hex digits")
            if not (
                0 <= file.size <= MAX_SIZE
                and 0 < file.file_id <= MAX_ID
                and 0 < file.model_id <= MAX_ID
                and 0 < file.version_id <= MAX_ID
                and 0 < file.source_version_id <= MAX_ID
            ):
                yield problem_in(name, f"the size or an id of {path!r} is out of range")
            for root, path in file.places.items():
                taken = roots.setdefault(root, {})
                other, there = taken.setdefault(collision_key(path), (file, path))
                same = (there, other.sha256, other.size) == (path, file.sha256, file.size)
                if apart and other is not file and not same:
                    message = f"{there!r} and {path!r} are one path on some disks"
                    yield problem_in(name, message, hint=_PLACE_ANEW)
    if apart:
        if len({frozenset(file.places) for file in files}) > 1:
            yield problem_in(name, "not all files are for the same roots", hint=_PLACE_ANEW)
        for taken in roots.values():
            yield from _check_folders(taken, name)


_Taken = dict[str, tuple[LockedFile, SafePath]]
"""Who stands where below one root, by the key that some disk could take for the path."""

_PLACE_ANEW: Final = "Run `civsync lock`: it gives the files places of their own."


def _check_places(file: LockedFile, name: str) -> Iterator[Problem]:
    key = f"file {file.file_id}"
    for root, path in file.places.items():
        if isinstance(file, RootedFile) and not is_root_name(root):
            yield problem_in(name, f"{root!r} cannot be the name of a root", key=key)
        try:
            parse_path(path)
        except UnsafePathError as error:
            yield problem_in(name, f"unsafe path: {error}", key=key)
    if not _agrees(file):
        yield problem_in(name, "a file has either `path` or `paths`", key=key, hint=_PLACE_ANEW)


def _check_folders(taken: "_Taken", name: str) -> Iterator[Problem]:
    """A file cannot stand where another file needs a directory."""
    folders = {key.rpartition("/")[0] for key in taken}
    while folders:
        for folder in sorted(folders & taken.keys()):
            _, path = taken[folder]
            message = f"{path!r} is a file, and a directory for other files"
            yield problem_in(name, message, hint=_PLACE_ANEW)
        folders = {folder.rpartition("/")[0] for folder in folders if folder}


def _is_sha256(text: str) -> bool:
    return len(text) == SHA256_DIGITS and _is_hex(text)


def _is_hex(text: str) -> bool:
    """Tell whether `text` is lower-case hex digits; three times as fast as an expression."""
    try:
        return bytes.fromhex(text).hex() == text
    except ValueError:
        return False


def problem_in(name: str, message: str, *, key: str = "", hint: str = "") -> Problem:
    """Return a fault of the lock called `name`."""
    place = Place(document=name, key=key)
    return Problem(code=Code.LOCK_INVALID, message=message, place=place, hint=hint)
