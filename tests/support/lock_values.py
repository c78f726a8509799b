"""Builders of locks, receipts and strategies for them: only what matters is said."""

import hashlib
import string
from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from civsync.core.disk import Owned, Receipt, Stamp
from civsync.core.limits import MAX_ID
from civsync.core.lock import Lock, LockedEntry, LockedFile, Waiting, sort_key
from civsync.core.names import SafePath, collision_key, parse_path, safe_name


def digest(content: str) -> str:
    """Return the SHA-256 of a text that stands for a file's content."""
    return hashlib.sha256(content.encode()).hexdigest()


def locked_file(
    path: str, content: str, *, model_id: int = 1, version_id: int = 0, sha256: str | None = None
) -> LockedFile:
    """Return a file with `content` at `path`; `sha256` replaces the right one."""
    return LockedFile(
        path=parse_path(path),
        size=len(content),
        sha256=digest(content) if sha256 is None else sha256,
        model_id=model_id,
        version_id=version_id or model_id * 10,
        file_id=model_id * 100,
        name=path.rpartition("/")[2],
        type="Model",
        model=f"model{model_id}",
        model_type="LORA",
        version=f"v{version_id or model_id * 10}",
    )


def locked_entry(*files: LockedFile, key: str = "") -> LockedEntry:
    """Return an entry with these files."""
    ids = [file.model_id for file in files]
    return LockedEntry(key=key or f"{min(ids, default=1)}@latest", request={}, files=files)


def lock_of(*entries: LockedEntry) -> Lock:
    """Return a lock."""
    return Lock(entries=entries)


def lock_at(wanted: Mapping[str, str] | Mapping[SafePath, str]) -> Lock:
    """Return a lock of one entry and model for each path, path to content."""
    return lock_of(
        *(
            locked_entry(locked_file(path, content, model_id=number))
            for number, (path, content) in enumerate(wanted.items(), start=1)
        )
    )


def stamp(content: str = "", *, mtime: int = 1, inode: int = 1) -> Stamp:
    """Return the stamp of a file with this content."""
    return Stamp(len(content), mtime, inode)


def owned_file(path: str, content: str, *, model_id: int = 1, inode: int = 1) -> Owned:
    """Return a line of the receipt."""
    return Owned(
        path=parse_path(path),
        sha256=digest(content),
        stamp=stamp(content, inode=inode),
        entry=f"{model_id}@latest",
        model_id=model_id,
        version_id=model_id * 10,
        file_id=model_id * 100,
    )


def receipt_of(owned: Iterable[Owned] = ()) -> Receipt:
    """Return a receipt that owns these."""
    return Receipt(root_id="root", owned={each.path: each for each in owned})


IDS = st.integers(min_value=1, max_value=MAX_ID)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)  # what JSON has a form for: no lone surrogates
WORDS = st.dictionaries(TEXTS, TEXTS, max_size=3)
SHA256S = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = TEXTS.map(safe_name)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: parse_path("/".join(parts)))
KEYS = st.builds(
    "{}@{}".format,
    IDS.map(str) | st.sampled_from(["", "?tag=a"]),
    st.text(string.ascii_letters + string.digits + ' "[]é', max_size=8),
)
LICENSES = st.lists(
    st.sampled_from(["commercial-image", "commercial-sell", "derivatives", "no-credit"]),
    unique=True,
).map(lambda words: ", ".join(sorted(words)))


@st.composite
def entries(draw: st.DrawFn) -> LockedEntry:
    """Draw an entry whose parts belong together and stand in the order of the lock."""
    models = draw(st.lists(IDS, max_size=2, unique=True).map(sorted))
    versions = (
        draw(st.lists(st.tuples(IDS, st.sampled_from(models)), max_size=2, unique_by=_first))
        if models
        else []
    )
    files = [
        LockedFile(
            path=path,
            size=draw(st.integers(min_value=0, max_value=2**63 - 1)),
            sha256=draw(SHA256S | st.just("")),
            model_id=model_id,
            version_id=version_id,
            file_id=draw(IDS),
            name=draw(TEXTS),
            type=draw(TEXTS),
            format=draw(TEXTS),
            precision=draw(TEXTS),
            quant=draw(TEXTS),
            size_class=draw(st.sampled_from(["", "full", "pruned"])),
            hashes=draw(WORDS),
            pickle_scan=draw(st.sampled_from(["", "Success", "Danger"])),
            virus_scan=draw(TEXTS),
            owner_version_id=draw(st.none() | IDS),
            model=draw(TEXTS),
            model_type=draw(TEXTS),
            creator=draw(TEXTS),
            tag=draw(TEXTS),
            nsfw=draw(st.booleans()),
            rating=draw(st.sampled_from(["", "PG", "XXX"])),
            license=draw(LICENSES),
            version=draw(TEXTS),
            base_model=draw(TEXTS),
            published_at=draw(st.sampled_from(["", "2025-03-01T00:00:00Z"])),
        )
        for version_id, model_id in versions
        for path in draw(st.lists(PATHS, max_size=2))
    ]
    return LockedEntry(
        key=draw(KEYS),
        request=draw(WORDS),
        groups=tuple(sorted(draw(st.sets(st.sampled_from(["a", "b", "sd15"]))))),
        waiting=draw(
            st.lists(
                st.builds(Waiting, version_id=IDS, version=TEXTS, until=TEXTS), max_size=2
            ).map(tuple)
        ),
        files=tuple(sorted(files, key=lambda file: (file.path, file.file_id))),
        priority=draw(st.integers(min_value=-5, max_value=5)),
        protect=draw(st.sampled_from([None, True, False])),
        gone=draw(st.booleans()),
    )


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Draw a lock that could stand: no two files or folders on one path, no key twice."""
    kept: list[LockedEntry] = []
    files: set[str] = set()
    folders: set[str] = set()
    for entry in draw(st.lists(entries(), max_size=3, unique_by=_key)):
        paths = [collision_key(file.path) for file in entry.files]
        above = {key[:end] for key in paths for end in _slashes(key)}
        clash = len(set(paths)) < len(paths) or files & {*paths, *above} or folders & {*paths}
        if not clash and above.isdisjoint(paths):
            kept.append(entry)
            files.update(paths)
            folders |= above
    return Lock(entries=tuple(sorted(kept, key=_order)))


def _first(pair: tuple[int, int]) -> int:
    return pair[0]


def _key(entry: LockedEntry) -> str:
    return entry.key


def _order(entry: LockedEntry) -> tuple[int, str]:
    return sort_key(entry.key)


def _slashes(key: str) -> list[int]:
    return [place for place, char in enumerate(key) if char == "/"]
