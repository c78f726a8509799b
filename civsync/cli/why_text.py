"""Why a file is locked, as text: which entry wants it, and by which rules it was chosen.

Everything is read from the lock, and the manifest only says where the entry stands.
"""

from collections.abc import Callable, Iterator
from typing import Final

from civsync.cli.output import Output, show, size_text
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.request import Entry

PAGES: Final = "https://civitai.com/models"

_RANKED: Final[tuple[tuple[str, str, Callable[[LockedFile], str]], ...]] = (
    ("prefer.format", "format", lambda file: file.format),
    ("prefer.precision", "precision", lambda file: file.precision),
    ("prefer.quant", "quant", lambda file: file.quant),
    ("prefer.size", "size", lambda file: file.size_class),
)
"""A key of the request, what it ranks, and what the file has of it."""

_WIDTH: Final = 14


def file_lines(file: LockedFile, output: Output) -> Iterator[str]:
    """Yield what the lock knows of one file."""
    yield f"{output.paint(show(file.path), 'bold', to_stdout=True)}  {size_text(file.size)}"
    creator = f" by {file.creator}" if file.creator else ""
    page = f"{PAGES}/{file.model_id}?modelVersionId={file.version_id}"
    date = f", published {file.published_at[:10]}" if file.published_at else ""
    base = f", for {file.base_model}" if file.base_model else ""
    kinds = (file.type, file.format, file.precision, file.quant, file.size_class)
    owner = f" (downloaded from version {file.owner_version_id})" if file.owner_version_id else ""
    scans = [f"{kind} {result}" for kind in ("pickle", "virus") if (result := file.scan(kind))]
    rows = [
        ("model", f"{file.model} ({file.model_type}){creator}"),
        ("page", page),
        ("version", f"{file.version}{base}{date}"),
        ("rating", ", ".join(filter(None, (file.rating, "nsfw" if file.nsfw else "")))),
        ("license", file.license or "allows nothing"),
        ("file", f"{file.name}: {', '.join(filter(None, kinds))}{owner}"),
        ("ids", f"model {file.model_id}, version {file.version_id}, file {file.file_id}"),
        ("scans", ", ".join(scans)),
        ("SHA256", file.sha256 or "not known yet"),
        *sorted(file.hashes.items()),
    ]
    for root, path in sorted(file.places.items()):
        if root:
            yield _row(root, path)
    for name, text in rows:
        if text:
            yield _row(name, text)


def why_lines(
    locked: LockedEntry, file: LockedFile, asked: Entry | None, output: Output
) -> Iterator[str]:
    """Yield why `locked` has `file`; `asked` is its entry in the manifest, if it has one."""
    where = f", {asked.place}" if asked is not None else ""
    key = output.paint(show(locked.key), "cyan", to_stdout=True)
    yield f"  wanted by {key}{show(where)}"
    if locked.is_search:
        yield _row("search", "one of the models that it found")
    yield _row("version", _version_reason(locked, file))
    request = locked.request
    if request.get("files"):
        yield _row("files", f"asked for: {request['files']}")
    for key, name, value in _RANKED:
        wishes = request.get(key, "")
        if wishes:
            yield _row(name, _rank(value(file), wishes.split(", ")))
    rest = {"files", "versions", *(key for key, _, _ in _RANKED)}
    for key in sorted(request.keys() - rest):
        yield _row(key, request[key])
    if locked.groups:
        yield _row("groups", ", ".join(locked.groups))
    if locked.priority:
        yield _row("priority", str(locked.priority))
    if locked.protect is not None:
        yield _row("protect", "true" if locked.protect else "false")
    if asked is not None and asked.hold is not None:
        yield _row("held", asked.hold or "without a reason")
    if locked.gone:
        yield _row("gone", "Civitai did not know it any more at the last upgrade")
    for each in locked.waiting:
        until = f" until {each.until}" if each.until else ""
        yield _row("waiting", f"{each.version} is in early access{until}")


def _version_reason(locked: LockedEntry, file: LockedFile) -> str:
    spec = locked.request.get("versions") or locked.key.partition("@")[2]
    spec, _, family = spec.partition(" [")
    among = f" among those for {family.removesuffix(']')}" if family else ""
    if spec == "latest":
        return f"the one that its creator shows first{among}"
    if spec == "newest":
        return f"the one that was published last{among}"
    if spec == "all":
        return f"every one is wanted{among}"
    if spec.startswith("first "):
        return f"one of the {spec}{among}"
    return f"asked for by {'its name' if spec.startswith(chr(34)) else 'its id'}, {spec}"


def _rank(value: str, wishes: list[str]) -> str:
    listed = ", ".join(wishes)
    if not value:
        return f"not stated; wished for: {listed}"
    if value not in wishes:
        return f"{value}, not among {listed}"
    return f"{value}, number {wishes.index(value) + 1} of {listed}"


def _row(name: str, text: str) -> str:
    return f"    {show(name):<{_WIDTH}}  {show(text)}"
