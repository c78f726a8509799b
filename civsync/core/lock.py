"""The lock as values: exactly which bytes each entry led to.

No URL, host, token, machine path, date of a run or count stands in these values, so
that the same inputs give the same lock everywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, replace
from operator import attrgetter
from typing import Final

from civsync.core.limits import MAX_ID
from civsync.core.names import SafePath
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file: where it goes, which bytes it is, and what is remembered of its origin.

    `path` is relative to the root. `size` in bytes; `sha256` in lower case. `hashes` are
    all other ones the API gave. `owner_version_id` is the version to download from where
    that is another one (a linked VAE). `model`, `version` and the rest are the raw values of
    template fields; `license` lists what the creator allows, as `License.words` spells it,
    with commas; `rating` is one of RATINGS, "" where Civitai gave none.
    """

    path: SafePath
    size: int
    sha256: str
    model_id: int
    version_id: int
    file_id: int
    owner_version_id: int | None = None
    name: str
    type: str
    format: str = ""
    precision: str = ""
    quant: str = ""
    size_class: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    pickle_scan: str = ""
    virus_scan: str = ""
    model: str = ""
    model_type: str = ""
    creator: str = ""
    tag: str = ""
    nsfw: bool = False
    rating: str = ""
    license: str = ""
    version: str = ""
    base_model: str = ""
    published_at: str = ""

    @property
    def places(self) -> Mapping[str, SafePath]:
        """The path by the name of each root; "" names the only one."""
        return {"": self.path}

    def at(self, places: Mapping[str, SafePath]) -> "LockedFile":
        """Return this file at other `places`, below the only root or below those with names."""
        facts = dict(zip(_FACTS, _facts_of(self), strict=True))
        if places.keys() == {""}:
            return LockedFile(path=places[""], **facts)
        return RootedFile(path=places[min(places)], paths=places, **facts)

    def scan(self, kind: str) -> str:
        """Return the result of the scan named "pickle" or "virus", "" if there is none."""
        return {"pickle": self.pickle_scan, "virus": self.virus_scan}.get(kind, "")

    @property
    def source_version_id(self) -> int:
        """The version whose download route serves this file."""
        return self.owner_version_id or self.version_id

    @property
    def blake3(self) -> str | None:
        """The published BLAKE3, if there is one."""
        return self.hashes.get("BLAKE3")


_FACTS: Final = tuple(each.name for each in fields(LockedFile) if each.name != "path")
_facts_of: Final = attrgetter(*_FACTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RootedFile(LockedFile):
    """A file that lies below each of several roots: `paths` by their names, of which none is "".

    `path` stands for them in messages: it is that below the first of the names.
    """

    paths: Mapping[str, SafePath]

    @property
    def places(self) -> Mapping[str, SafePath]:
        """The path by the name of each root."""
        return self.paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that is newer than the locked one and still sold as early access.

    `until` is the date on which that ends, "" where Civitai does not say.
    """

    version_id: int
    version: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEntry:
    """One entry of the manifest, resolved. `request` is `describe_request` of it.

    `groups` are sorted. `priority` orders downloads, greatest first. `protect` says that no
    sync may take the files away, or that it may again; None leaves that as it is. `gone` is
    set by an upgrade that found the model nowhere; its files stay wanted. `waiting` are
    versions that will be free later, in the order of their ids.
    """

    key: str
    request: Mapping[str, str]
    groups: tuple[str, ...] = ()
    priority: int = 0
    protect: bool | None = None
    gone: bool = False
    waiting: tuple[Waiting, ...] = ()
    files: tuple[LockedFile, ...] = ()

    @property
    def is_search(self) -> bool:
        """Whether the entry holds what a search found."""
        return self.key.startswith("?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A whole `civsync.lock`, entries in the order of `sort_key`."""

    entries: tuple[LockedEntry, ...] = ()

    def files(self) -> Iterator[tuple[LockedEntry, LockedFile]]:
        """Yield every file with its entry."""
        for entry in self.entries:
            for file in entry.files:
                yield entry, file

    @property
    def roots(self) -> tuple[str, ...]:
        """The names of the roots that it places files in, sorted; none if there is only one."""
        files = [file for _, file in self.files() if isinstance(file, RootedFile)]
        return tuple(sorted({name for file in files for name in file.paths}))

    def below(self, root: str) -> "Lock":
        """Return the lock as it is for the root of this name alone, "" for the only one.

        A file that has no place there is left out.
        """
        if not root and not self.roots:
            return self
        return Lock(
            entries=tuple(
                replace(
                    entry,
                    files=tuple(
                        file.at({"": file.places[root]})
                        for file in entry.files
                        if root in file.places
                    ),
                )
                for entry in self.entries
            )
        )

    def by_path(self) -> dict[SafePath, LockedFile]:
        """Return every file once, also one that several entries want."""
        return {file.path: file for _, file in self.files()}

    def entry(self, key: str) -> LockedEntry | None:
        """Return the entry with this key, if there is one."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        return None


def model_in_key(key: str) -> int | None:
    """Return the model id that an entry's key begins with, if it does."""
    model = key.partition("@")[0]
    return int(model) if model.isdecimal() and len(model) <= len(str(MAX_ID)) else None


def sort_key(key: str) -> tuple[int, str]:
    """Order entries by model id as a number, then by the rest of their key."""
    return (model_in_key(key) or 0, key)
