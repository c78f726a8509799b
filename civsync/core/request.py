"""What the user asks for: the manifest as values, with defaults applied.

A `Request` holds what decides which bytes an entry leads to, a `Placement` what decides
where they go; an edit to the second never needs the network.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from civsync.core.problems import Place
from civsync.core.roots import Roots
from civsync.core.values import dataclass


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


@dataclass(frozen=True, slots=True)
class All:
    """Every version."""


@dataclass(frozen=True, slots=True)
class Count:
    """So many versions, from the one that the creator lists first."""

    count: int


VersionSpec = Latest | Newest | ById | ByName | All | Count


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


class EarlyAccess(StrEnum):
    """What becomes of versions that are still sold as early access.

    DEFER chooses the version that is free today; FAIL refuses the entry; ALLOW locks it, for
    those who paid. A version named by its id cannot be deferred.
    """

    DEFER = "defer"
    FAIL = "fail"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a file must be to be locked at all.

    `license` are permissions that the creator must give, as `License.words` spells them, and
    "no-credit" says that none need be given. `rating` is the most
    mature rating allowed, "" for any; `max_size` in bytes. `allow_creators`, unless it is
    empty, lists the only creators allowed. `scans` names the scans ("pickle", "virus") that
    must have succeeded.
    """

    allow_pickle: bool = False
    scans: tuple[str, ...] = ("pickle", "virus")
    license: tuple[str, ...] = ()
    rating: str = ""
    max_size: int | None = None
    allow_creators: tuple[str, ...] = ()
    deny_creators: tuple[str, ...] = ()
    early_access: EarlyAccess = EarlyAccess.DEFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The filters of a search, as the API spells their words; "" and () filter nothing.

    `limit` is how many models are taken, None for all that there are; `excluded_*` are left
    out before they are counted.
    """

    query: str = ""
    username: str = ""
    tag: str = ""
    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    checkpoint_type: str = ""
    sort: str = ""
    period: str = ""
    nsfw: bool = False
    favorites: bool = False
    limit: int | None = None
    excluded_models: tuple[int, ...] = ()
    excluded_creators: tuple[str, ...] = ()
    excluded_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that decides which files an entry leads to.

    With a `search` every hit is meant, and `model_id` is None; it is also None when only a
    version is known. No `selectors` means "the one best file". `exclude_newer` is as the
    manifest says it ("7 days", "2026-05-01"; "" for no bound).
    """

    model_id: int | None
    version: VersionSpec
    search: Search | None = None
    base_model: str | None = None
    selectors: tuple[FileSelector, ...] = ()
    prefer: Preference = Preference()
    policy: Policy = Policy()
    exclude_newer: str = ""
    allow_unverified: bool = False

    def __post_init__(self) -> None:
        """Refuse what names nothing."""
        if self.search is None and self.model_id is None and not isinstance(self.version, ById):
            raise ValueError("a request names a model, a version id, or both, or searches")


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
    """One item under `models:` or `searches:`. `key` names it in the lock and in messages.

    `groups` are sorted; an entry without any is always selected. `protect` None leaves the
    files as protected as they are.
    """

    key: str
    request: Request
    placement: Placement = Placement()
    groups: tuple[str, ...] = ()
    priority: int = 0
    protect: bool | None = None
    hold: str | None = None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRoot:
    """One of several roots: where it lies, relative to the manifest's folder, and its layout."""

    path: str
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole `civsync.yaml` with what it includes. `root` is relative to its folder.

    With `named_roots`, in the order in which they stand, `root` and `layout` say nothing.
    `default_groups` are selected where no flag says otherwise, None for all groups.
    `includes` are the other manifests that were read, by their paths relative to this one's
    folder, in the order in which they were read.
    """

    root: str = "models"
    layout: Layout
    named_roots: Mapping[str, NamedRoot] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    default_groups: tuple[str, ...] | None = ()
    includes: tuple[str, ...] = ()

    @property
    def roots(self) -> Roots:
        """The folders to keep in step."""
        named = {name: root.path for name, root in self.named_roots.items()}
        return Roots(single=self.root, named=named)

    @property
    def layouts(self) -> Mapping[str, Layout]:
        """The layout of each root by its name; "" names the only one."""
        named = {name: root.layout for name, root in self.named_roots.items()}
        return named or {"": self.layout}
