"""`civsync.lock`: text to values and back, the same bytes for the same values everywhere.

A lock is input like any other: it may have been edited, cut, or merged badly. Whatever
comes out of `read_lock` has only paths below the root, only whole hashes, and no two
files that some disk would take for one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import DocumentError, Place, Problem
from civsync.core.limits import LOCK_BYTES, MAX_ID
from civsync.core.lock import Lock, LockedEntry, LockedFile, Waiting, model_in_key, sort_key
from civsync.core.names import UnsafePathError, are_plain_paths, collision_key, parse_path
from civsync.documents.json_codec import CodecError, decode, encode, pretty

SCHEMA: Final = "civsync.lock"
SCHEMA_VERSION: Final = 2

FIRST_VERSION: Final = 1
"""The format that is read for ever and never written."""

MAX_SIZE: Final = 2**63 - 1
"""No file system has a larger file."""

SHA256_DIGITS: Final = 64

_HEAD: Final = (
    f'{{\n  "schema": "{SCHEMA}",\n  "schema_version": {SCHEMA_VERSION},\n  "entries": ['
).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    schema: str
    schema_version: int
    entries: tuple[LockedEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An entry in the order of its text.

    The model's id stands first, although the key says it too: a line that stays the same and
    is no other entry's keeps apart, in a merge, an entry that is new here and a change of
    the next one's key.
    """

    model_id: int | None
    key: str
    request: Mapping[str, str]
    groups: tuple[str, ...]
    priority: int
    protect: bool | None
    gone: bool
    waiting: tuple[Waiting, ...]
    files: tuple[LockedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    schema: str = ""
    schema_version: int = 0


def read_lock(
    data: bytes, *, name: str = "civsync.lock", apart: bool = True, closely: bool = True
) -> Lock:
    """Return the lock that `data` holds, in this format or an older one.

    With `apart` false several files may have one path, and several entries one key: so they
    do after some merges without a conflict, and whoever settles that tells them apart.
    Without `closely` a key may stand twice, and the last one counts: who only follows a lock
    need not pay a fifth more for what whoever writes or checks it is told.
    Raises DocumentError: lock-conflict, lock-newer, lock-invalid, unsafe paths included.
    """
    if len(data) > LOCK_BYTES:
        raise _invalid(name, "the lock is too large to be one")
    try:
        document = decode(data, _Document)
        entries = document.entries
        if (document.schema, document.schema_version) == (SCHEMA, FIRST_VERSION):
            from civsync.documents import lock_first_format  # noqa: PLC0415 - rarely needed

            entries = lock_first_format.read_first_format(data)
        elif (document.schema, document.schema_version) != (SCHEMA, SCHEMA_VERSION):
            raise _wrong_schema(name, document.schema, document.schema_version)
    except CodecError as error:
        raise _explain(data, name, error) from None
    if not _is_plainly_sound(entries):
        problems = list(_check(entries, name, apart=apart))
        if problems:
            raise DocumentError(problems)
    if closely and data.count(b"\n") != _line_count(entries):
        from civsync.documents import repeated_keys  # noqa: PLC0415 - rarely needed

        try:
            repeated = repeated_keys.find_repeated_key(data)
        except CodecError as error:
            raise _explain(data, name, error) from None
        if repeated is not None:
            message = f"the key {repeated.key!r} stands twice in one object"
            raise _document_error(Code.LOCK_INVALID, name, message, line=repeated.line)
    return Lock(entries=entries)


def in_file_order(lock: Lock) -> Lock:
    """Return `lock` as reading its own text gives it: entries by key, files by path."""
    return Lock(
        entries=tuple(
            entry if (files := _by_path(entry)) == entry.files else replace(entry, files=files)
            for entry in sorted(lock.entries, key=lambda entry: sort_key(entry.key))
        )
    )


def write_lock(lock: Lock) -> bytes:
    """Return the one text of `lock`: sorted, indented, one key a line, ending in a newline.

    Every key is written, also where it says nothing: each file then looks like the next, a
    review sees what changed in place, and reading is twice as fast as with keys left out.
    """
    entries = sorted(lock.entries, key=lambda entry: sort_key(entry.key))
    # An entry at a time: the whole text in several forms would be the most that is ever held.
    texts = [_HEAD]
    for entry in entries:
        texts += [b"\n    ", _indented(_entry(entry)), b","]
    if entries:
        texts[-1] = b"\n  "
    return b"".join([*texts, b"]\n}\n"])


def _indented(entry: _Entry) -> bytes:
    """Return the text of one entry as it stands two levels deep."""
    # JSON has no line breaks but those between its tokens.
    return pretty(encode(entry)).rstrip(b"\n").replace(b"\n", b"\n    ")


def _entry(entry: LockedEntry) -> _Entry:
    return _Entry(
        model_id=model_in_key(entry.key),
        key=entry.key,
        request=entry.request,
        groups=entry.groups,
        priority=entry.priority,
        protect=entry.protect,
        gone=entry.gone,
        waiting=entry.waiting,
        files=_by_path(entry),
    )


def _by_path(entry: LockedEntry) -> tuple[LockedFile, ...]:
    return tuple(sorted(entry.files, key=lambda file: (file.path, file.file_id)))


def _is_plainly_sound(entries: Sequence[LockedEntry]) -> bool:
    """Tell quickly that `_check` has nothing to say; False means that it must be asked.

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
    paths = [file.path for file in files]
    sha256s = [file.sha256 for file in files]
    if set(map(len, sha256s)) - {SHA256_DIGITS} or not _is_hex("".join(sha256s)):
        return False
    if not are_plain_paths(paths):
        return False
    taken = set("\n".join(paths).lower().split("\n"))
    folders = {key.rpartition("/")[0] for key in taken}
    while folders and folders.isdisjoint(taken):
        folders = {folder.rpartition("/")[0] for folder in folders if folder}
    unique = len(taken) == len(paths) and len({entry.key for entry in entries}) == len(entries)
    return unique and not folders


def _line_count(entries: Sequence[LockedEntry]) -> int:
    """Return how many lines `write_lock` makes of `entries`.

    A line that a careless merge left twice shows in it, at a tenth of the price of a parser
    that looks at every key.
    """
    files = [file for entry in entries for file in entry.files]
    waits = [wait for entry in entries for wait in entry.waiting]
    inner = [
        *[entry.request for entry in entries],
        *[entry.groups for entry in entries],
        *[entry.waiting for entry in entries],
        *[entry.files for entry in entries],
        *[file.hashes for file in files],
    ]
    objects = [(entries, _Entry), (files, LockedFile), (waits, Waiting)]
    return (
        6
        + sum(map(bool, inner), start=bool(entries) - 1)
        + sum(len(entry.request) + len(entry.groups) for entry in entries)
        + sum([len(file.hashes) for file in files])
        + sum(len(each) * (len(fields(kind)) + 2) for each, kind in objects)
    )


def _check(entries: Iterable[LockedEntry], name: str, *, apart: bool) -> Iterator[Problem]:
    """Yield what no lock of ours would say."""
    keys: set[str] = set()
    taken: dict[str, LockedFile] = {}
    for entry in entries:
        if apart and entry.key in keys:
            message = f"two entries are called {entry.key!r}"
            yield _problem(name, message, hint="Run `civsync lock`: it settles which one holds.")
        keys.add(entry.key)
        for file in entry.files:
            path = file.path
            try:
                parse_path(path)
            except UnsafePathError as error:
                key = f"file {file.file_id}"
                yield _problem(name, f"unsafe path: {error}", key=key)
            if file.sha256 and not _is_sha256(file.sha256):
                yield _problem(name, f"the sha256 of {path!r} is not 64 lower-case hex digits")
            if not (
                0 <= file.size <= MAX_SIZE
                and 0 < file.file_id <= MAX_ID
                and 0 < file.model_id <= MAX_ID
                and 0 < file.version_id <= MAX_ID
                and 0 < file.source_version_id <= MAX_ID
            ):
                yield _problem(name, f"the size or an id of {path!r} is out of range")
            other = taken.setdefault(collision_key(path), file)
            if apart and other is not file and not _is_same_place(other, file):
                message = f"{other.path!r} and {path!r} are one path on some disks"
                yield _problem(name, message, hint=_PLACE_ANEW)
    if apart:
        yield from _check_folders(taken, name)


_PLACE_ANEW: Final = "Run `civsync lock`: it gives the files places of their own."


def _check_folders(taken: Mapping[str, LockedFile], name: str) -> Iterator[Problem]:
    """A file cannot stand where another file needs a directory."""
    folders = {key.rpartition("/")[0] for key in taken}
    while folders:
        for folder in sorted(folders & taken.keys()):
            path = taken[folder].path
            message = f"{path!r} is a file, and a directory for other files"
            yield _problem(name, message, hint=_PLACE_ANEW)
        folders = {folder.rpartition("/")[0] for folder in folders if folder}


def _is_same_place(one: LockedFile, other: LockedFile) -> bool:
    """Tell whether two entries agree on what stands at a path."""
    return (one.path, one.sha256, one.size) == (other.path, other.sha256, other.size)


def _is_sha256(text: str) -> bool:
    return len(text) == SHA256_DIGITS and _is_hex(text)


def _is_hex(text: str) -> bool:
    """Tell whether `text` is lower-case hex digits; three times as fast as an expression."""
    try:
        return bytes.fromhex(text).hex() == text
    except ValueError:
        return False


def _explain(data: bytes, name: str, error: CodecError) -> DocumentError:
    from civsync.documents import lock_conflict  # noqa: PLC0415 - rarely needed

    try:
        conflict = lock_conflict.split_conflict(data, name=name)
    except DocumentError as broken:
        return broken
    if conflict:
        message = "merge conflict markers"
        return _document_error(Code.LOCK_CONFLICT, name, message, line=conflict.line)
    try:
        header = decode(data, _Header)
    except CodecError:
        at = _line_of(data, error) if error.malformed else None
        return _document_error(Code.LOCK_INVALID, name, error.message, line=at, key=error.path)
    if header.schema != SCHEMA or header.schema_version not in (FIRST_VERSION, SCHEMA_VERSION):
        return _wrong_schema(name, header.schema, header.schema_version)
    return _document_error(Code.LOCK_INVALID, name, error.message, key=error.path)


def _wrong_schema(name: str, schema: str, version: int) -> DocumentError:
    if schema == SCHEMA and version > SCHEMA_VERSION:
        message = f"the lock has format {version}, this civsync reads {SCHEMA_VERSION}"
        return _document_error(Code.LOCK_NEWER, name, message)
    return _invalid(name, f"this is not a lock: schema {schema!r}, version {version}")


def _line_of(data: bytes, error: CodecError) -> int:
    end = len(data) if error.offset is None else error.offset
    return data.count(b"\n", 0, end) + 1


def _problem(name: str, message: str, *, key: str = "", hint: str = "") -> Problem:
    place = Place(document=name, key=key)
    return Problem(code=Code.LOCK_INVALID, message=message, place=place, hint=hint)


def _invalid(name: str, message: str) -> DocumentError:
    return DocumentError([_problem(name, message)])


def _document_error(
    code: Code, name: str, message: str, *, line: int | None = None, key: str = ""
) -> DocumentError:
    place = Place(document=name, line=line, key=key)
    return DocumentError([Problem(code=code, message=message, place=place)])
