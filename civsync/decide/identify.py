"""Tell which files of Civitai the files of a folder are, by their hashes alone.

Names on disk prove nothing; they only help to choose where several versions hold the very
same bytes. Whether a file may be locked is not judged here.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from civsync.core.catalog import RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.names import SafePath, safe_name
from civsync.core.questions import AskOwners, Owners
from civsync.core.request import ById, Request
from civsync.core.values import dataclass
from civsync.decide.kinds import PICKLE_EXTENSIONS, extension, known_as
from civsync.decide.lookup import Asking, Catalog, Target, look_up

MODEL_EXTENSIONS: Final = PICKLE_EXTENSIONS | {
    *("safetensors", "sft", "gguf", "onnx"),
    *("zip", "7z", "rar"),
}
"""Extensions of what people keep as models: weights, and the archives that they come in."""

OWNERS_SEEN: Final = 20
"""Versions looked at for one hash, those with the lowest ids: a popular VAE lies in hundreds."""


class Fate(StrEnum):
    """Why a file is not described: Civitai does not have it, it cannot be, or it must not."""

    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A file that is not described. `code` is one word for scripts."""

    path: str
    fate: Fate
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file on disk: where, how many bytes, and their SHA-256 in lower case."""

    path: SafePath
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Its name without the directory."""
        return self.path.rpartition("/")[2]

    @property
    def directory(self) -> str:
        """The directory that it lies in, "" for the root."""
        return self.path.rpartition("/")[0]

    def left(self, fate: Fate, code: str, reason: str) -> Left:
        """Return that this file is not described."""
        return Left(path=self.path, fate=fate, code=code, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A file on disk, and the file of Civitai that it is.

    `file` has its true format. `others` are further versions that hold the same bytes.
    """

    found: Found
    model: RemoteModel
    version: RemoteVersion
    file: RemoteFile
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What the files of a folder are, both sorted by path."""

    matches: tuple[Match, ...] = ()
    left: tuple[Left, ...] = ()


def is_model_name(name: str) -> bool:
    """Tell whether a file of this name is worth a look."""
    return extension(name) in MODEL_EXTENSIONS


def identify(files: Iterable[Found]) -> Asking[Identified]:
    """Return what `files` are. Of several copies the first by path counts.

    Asks for the owners of all hashes at once, then for their versions, in batches.
    """
    firsts: dict[str, Found] = {}
    left: list[Left] = []
    for found in sorted(files, key=lambda each: each.path):
        first = firsts.setdefault(found.sha256, found)
        if first is not found:
            left.append(found.left(Fate.SKIPPED, "copy", f"the same content as {first.path}"))
    if not firsts:
        return Identified(left=tuple(left))
    owners = yield from _owners(tuple(sorted(firsts)))
    catalog = Catalog()
    wanted = sorted({version for versions in owners.values() for version in versions})
    targets = [Target(request=Request(model_id=None, version=ById(each))) for each in wanted]
    yield from look_up(targets, catalog)
    matches: list[Match] = []
    for sha256, found in firsts.items():
        result = _judge(found, owners.get(sha256, ()), catalog)
        if isinstance(result, Match):
            matches.append(result)
        else:
            left.append(result)
    return Identified(
        matches=tuple(sorted(matches, key=lambda each: each.found.path)),
        left=tuple(sorted(left, key=lambda each: each.path)),
    )


def _owners(sha256s: tuple[str, ...]) -> Asking[Mapping[str, Sequence[int]]]:
    (answer,) = yield (AskOwners(sha256s),)
    if not isinstance(answer, Owners):
        raise TypeError(f"{type(answer).__name__} does not tell owners")
    return {
        sha256: sorted({version for _, version in pairs})[:OWNERS_SEEN]
        for sha256, pairs in answer.owners.items()
    }


def _judge(found: Found, versions: Sequence[int], catalog: Catalog) -> Match | Left:
    """Choose the file that `found` is, among those of `versions`."""
    if not versions:
        return found.left(Fate.UNKNOWN, "unknown-hash", "Civitai has no file with this SHA-256")
    shown = [pair for pair in map(catalog.version, versions) if pair is not None]
    candidates = [
        Match(found=found, model=model, version=version, file=known_as(file))
        for model, version in shown
        for file in version.files
        if file.sha256 == found.sha256
    ]
    if not candidates:
        listed = ", ".join(map(str, versions[:5]))
        if not shown:
            reason = f"Civitai knows it from version {listed}, which it does not show any more"
        elif all(model.mode == "Archived" for model, _ in shown):
            reason = f"its model {shown[0][0].id} is archived"
        else:
            reason = f"version {listed} does not list it any more"
        return found.left(Fate.UNKNOWN, "not-shown", reason)
    best = min(candidates, key=_rank)
    if best.file.size != found.size:
        told = "no size" if best.file.size is None else f"{best.file.size:,} bytes"
        reason = f"it has {found.size:,} bytes, and Civitai's record of the same content {told}"
        return found.left(Fate.REFUSED, "size-mismatch", reason)
    others = tuple(sorted({each.version.id for each in candidates} - {best.version.id}))
    return Match(found=found, model=best.model, version=best.version, file=best.file, others=others)


def _rank(match: Match) -> tuple[bool, bool, str, int, int]:
    """Order what holds the same bytes: lockable, of the same name, the earliest, the lowest id."""
    file, version = match.file, match.version
    doubtful = (
        file.size != match.found.size
        or file.pickle_scan is not Scan.SUCCESS
        or file.virus_scan is not Scan.SUCCESS
        or version.usage_control not in (None, "", "Download")
        or version.early_access
    )
    return (
        doubtful,
        match.found.name not in (file.name, safe_name(file.name, mark=file.id)),
        version.published_at or "9999",
        version.id,
        file.id,
    )
