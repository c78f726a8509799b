"""`civsync.lock`: text to values and back, the same bytes for the same values everywhere.

A lock is input like any other: it may have been edited, cut, or merged badly. Whatever
comes out of `read_lock` has only paths below the root, only whole hashes, and no two
files that some disk would take for one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, fields, replace
from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import LOCK_BYTES
from civsync.core.lock import (
    Lock,
    LockedEntry,
    LockedFile,
    RootedFile,
    Waiting,
    model_in_key,
    sort_key,
)
from civsync.core.names import SafePath
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.values import dataclass
from civsync.documents.json_codec import CodecError, decode, encode, pretty
from civsync.documents.lock_checks import check_entries, is_plainly_sound, problem_in

SCHEMA: Final = "civsync.lock"
SCHEMA_VERSION: Final = 2

ROOTS_VERSION: Final = 3
"""The format of a lock for several roots: `paths` by name stands in the place of `path`."""

FIRST_VERSION: Final = 1
"""The format that is read for ever and never written."""

_NO_PATH: Final = (b'{"path":"",', b"{")
"""What a record with `paths` leaves out, as text: within a JSON string no quotation mark stands
bare, so that nothing but that key itself can look like it."""

_NOWHERE: Final = SafePath("")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A lock for one root, as decoded."""

    schema: str
    schema_version: int
    entries: tuple[LockedEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record(LockedFile):
    """A file as it may stand in a lock for several roots: with a path, or with paths."""

    path: SafePath = _NOWHERE
    paths: Mapping[str, SafePath] = field(default_factory=dict)

    def file(self) -> LockedFile:
        """Return the file. One with neither has no path, and one with both keeps both."""
        if not self.paths:
            return self.at({"": self.path})
        rooted = self.at(self.paths)
        return replace(rooted, path=self.path) if self.path else rooted


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecordedEntry(LockedEntry):
    """An entry of which each file may have a path in each root."""

    files: tuple[_Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecordedDocument:
    """A lock for several roots, as decoded."""

    schema: str
    schema_version: int
    entries: tuple[_RecordedEntry, ...]


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
    """What is read first, whatever else a text holds."""

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
        entries = _entries(data, name)
    except CodecError as error:
        raise _explain(data, name, error) from None
    if not is_plainly_sound(entries):
        problems = list(check_entries(entries, name, apart=apart))
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


def _entries(data: bytes, name: str) -> tuple[LockedEntry, ...]:
    """Return the entries, as unchecked as the text is. Raises CodecError, DocumentError."""
    try:
        document = decode(data, _Document)
    except CodecError:
        # Records of another form may have come in by a merge, whatever the head says.
        if b'"paths"' not in data:
            raise
        return _recorded_entries(data, name)
    head = (document.schema, document.schema_version)
    if head == (SCHEMA, FIRST_VERSION):
        from civsync.documents import lock_first_format  # noqa: PLC0415 - rarely needed

        return lock_first_format.read_first_format(data)
    if head == (SCHEMA, ROOTS_VERSION):
        return _recorded_entries(data, name)
    if head != (SCHEMA, SCHEMA_VERSION):
        raise _wrong_schema(name, *head)
    return document.entries


def _recorded_entries(data: bytes, name: str) -> tuple[LockedEntry, ...]:
    document = decode(data, _RecordedDocument)
    if not _is_readable(document.schema, document.schema_version):
        raise _wrong_schema(name, document.schema, document.schema_version)
    names = [each.name for each in fields(LockedEntry) if each.name != "files"]
    return tuple(
        LockedEntry(
            files=tuple(record.file() for record in entry.files),
            **{name: getattr(entry, name) for name in names},
        )
        for entry in document.entries
    )


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
    version = ROOTS_VERSION if lock.roots else SCHEMA_VERSION
    # An entry at a time: the whole text in several forms would be the most that is ever held.
    texts = [_head(version)]
    for entry in entries:
        texts += [b"\n    ", _indented(_entry(entry)), b","]
    if entries:
        texts[-1] = b"\n  "
    return b"".join([*texts, b"]\n}\n"])


def _indented(entry: _Entry) -> bytes:
    """Return the text of one entry as it stands two levels deep."""
    text = encode(entry)
    if any(isinstance(file, RootedFile) for file in entry.files):
        text = text.replace(*_NO_PATH)
    # JSON has no line breaks but those between its tokens.
    return pretty(text).rstrip(b"\n").replace(b"\n", b"\n    ")


def _head(version: int) -> bytes:
    return f'{{\n  "schema": "{SCHEMA}",\n  "schema_version": {version},\n  "entries": ['.encode()


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
        files=tuple(
            replace(file, path=_NOWHERE) if isinstance(file, RootedFile) else file
            for file in _by_path(entry)
        ),
    )


def _by_path(entry: LockedEntry) -> tuple[LockedFile, ...]:
    return tuple(sorted(entry.files, key=lambda file: (file.path, file.file_id)))


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
        *(rooted := [file.paths for file in files if isinstance(file, RootedFile)]),
    ]
    objects = [(entries, _Entry), (files, LockedFile), (waits, Waiting)]
    return (
        6
        + sum(map(bool, inner), start=bool(entries) - 1)
        + sum(len(entry.request) + len(entry.groups) for entry in entries)
        + sum([len(file.hashes) for file in files])
        + sum(map(len, rooted))
        + sum(len(each) * (len(fields(kind)) + 2) for each, kind in objects)
    )


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
    first = (header.schema, header.schema_version) == (SCHEMA, FIRST_VERSION)
    if not first and not _is_readable(header.schema, header.schema_version):
        return _wrong_schema(name, header.schema, header.schema_version)
    return _document_error(Code.LOCK_INVALID, name, error.message, key=error.path)


def _is_readable(schema: str, version: int) -> bool:
    """Tell whether the records of such a lock are of today's format."""
    return schema == SCHEMA and version in (SCHEMA_VERSION, ROOTS_VERSION)


def _wrong_schema(name: str, schema: str, version: int) -> DocumentError:
    if schema == SCHEMA and version > ROOTS_VERSION:
        message = f"the lock has format {version}, this civsync reads {ROOTS_VERSION}"
        return _document_error(Code.LOCK_NEWER, name, message)
    return _invalid(name, f"this is not a lock: schema {schema!r}, version {version}")


def _line_of(data: bytes, error: CodecError) -> int:
    end = len(data) if error.offset is None else error.offset
    return data.count(b"\n", 0, end) + 1


def _invalid(name: str, message: str) -> DocumentError:
    return DocumentError([problem_in(name, message)])


def _document_error(
    code: Code, name: str, message: str, *, line: int | None = None, key: str = ""
) -> DocumentError:
    place = Place(document=name, line=line, key=key)
    return DocumentError([Problem(code=code, message=message, place=place)])
