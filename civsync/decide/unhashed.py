"""Files of a lock whose SHA-256 nobody knows yet: which they are, and filling it in.

Only an entry with `allow_unverified: true` leads to one. Civitai publishes no hash of it,
so the first download says what the file is, and every later one must be the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from civsync.core.lock import LockedEntry, LockedFile


def unhashed_files(entries: Sequence[LockedEntry]) -> tuple[LockedFile, ...]:
    """Return each file without a SHA-256 once, in the order of the paths."""
    found: dict[int, LockedFile] = {}
    for entry in entries:
        for file in entry.files:
            if not file.sha256:
                found.setdefault(file.file_id, file)
    return tuple(sorted(found.values(), key=lambda file: file.path))


def with_hashes(
    entries: Sequence[LockedEntry], sha256s: Mapping[int, str]
) -> tuple[LockedEntry, ...]:
    """Return `entries` with the hashes of `sha256s`, by file id, where there was none."""
    return tuple(
        replace(
            entry,
            files=tuple(
                replace(file, sha256=file.sha256 or sha256s.get(file.file_id, ""))
                for file in entry.files
            ),
        )
        for entry in entries
    )
