"""What the user asks for: the manifest as values, with defaults applied.

A `Request` holds what decides which bytes an entry leads to, a `Placement` what decides
where they go; an edit to the second never needs the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from civsync.core.errors import Place


@dataclass(frozen=True, slots=True)
class Latest:
    """The version that the creator lists first (`index` 0)."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The version with the greatest publication date."""


@dataclass(frozen=True, slots=True)
class ById:
    """The version with this id."""

    id: int


@dataclass(frozen=True, slots=True)
class ByName:
    """The version with this name."""

    name: str


VersionSpec = Latest | Newest | ById | ByName


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Ranked wishes; the first that exists wins, unlisted and missing values rank last.

    Among weight files, formats that `format` does not list are never chosen.
    """

    format: tuple[str, ...] = ("SafeTensor", "GGUF")
    precision: tuple[str, ...] = ("fp16", "bf16", "fp8", "fp32")
    quant: tuple[str, ...] = ("Q8_0", "Q6_K")
    size: tuple[str, ...] = ("pruned", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSelector:
    """One wanted file of a version; "" and None mean "any". `name` may hold `*` and `?`."""

    id: int | None = None
    type: str = ""
    format: str = ""
    precision: str = ""
    quant: str = ""
    size: str = ""
    name: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that decides which files an entry leads to.

    `model_id` is None when only a version is known. No `selectors` means "the one best
    file". `scans` names the scans ("pickle", "virus") that must have succeeded.
    """

    model_id: int | None
    version: VersionSpec
    base_model: str | None = None
    selectors: tuple[FileSelector, ...] = ()
    prefer: Preference = Preference()
    allow_pickle: bool = False
    allow_unverified: bool = False
    scans: tuple[str, ...] = ("pickle", "virus")

    def __post_init__(self) -> None:
        """Refuse what names nothing."""
        if self.model_id is None and not isinstance(self.version, ById):
            raise ValueError("a request names a model, a version id, or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where an entry's files go: `directory` and `filename` templates override the layout."""

    directory: str | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Directory templates: by model type, and by file type where a file is of another kind.

    `fallback` is for types that neither table knows.
    """

    name: str
    by_model_type: Mapping[str, str]
    by_file_type: Mapping[str, str] = field(default_factory=dict)
    fallback: str = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One item under `models:`. `key` names it in the lock and in messages."""

    key: str
    request: Request
    placement: Placement = Placement()
    groups: tuple[str, ...] = ()
    priority: int = 0
    hold: str | None = None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole `civsync.yaml`. `root` is relative to the manifest's folder."""

    root: str = "models"
    layout: Layout
    entries: tuple[Entry, ...] = ()


def entry_key(request: Request) -> str:
    """Return the one-line name of what `request` points at, stable under edits of the rest.

    Examples: "4384@latest", "4201@130072", "@128713", '58390@newest [SD 1.5]',
    '4201@"V5.1"'.
    """
    model = "" if request.model_id is None else str(request.model_id)
    match request.version:
        case Latest():
            version = "latest"
        case Newest():
            version = "newest"
        case ById(id=number):
            version = str(number)
        case ByName(name=name):
            version = f'"{name}"'
        case _:
            assert_never(request.version)
    family = f" [{request.base_model}]" if request.base_model else ""
    return f"{model}@{version}{family}"


def describe_request(request: Request) -> dict[str, str]:
    """Return `request` as a flat map, key to text, sorted: what the lock records.

    Two requests are the same exactly if their maps are; the keys that differ are what a
    person has to look at.
    """
    facts = {
        "target": entry_key(request),
        "prefer.format": ", ".join(request.prefer.format),
        "prefer.precision": ", ".join(request.prefer.precision),
        "prefer.quant": ", ".join(request.prefer.quant),
        "prefer.size": ", ".join(request.prefer.size),
        "policy.pickle": "allow" if request.allow_pickle else "deny",
        "policy.scans": ", ".join(request.scans),
    }
    if request.selectors:
        facts["files"] = "; ".join(_describe_selector(each) for each in request.selectors)
    if request.allow_unverified:
        facts["allow_unverified"] = "true"
    return dict(sorted(facts.items()))


def _describe_selector(selector: FileSelector) -> str:
    parts = [
        f"{key}={value}"
        for key, value in (
            ("id", selector.id),
            ("type", selector.type),
            ("format", selector.format),
            ("precision", selector.precision),
            ("quant", selector.quant),
            ("size", selector.size),
            ("name", selector.name),
        )
        if value not in ("", None)
    ]
    if selector.optional:
        parts.append("optional")
    return " ".join(parts) or "any"
