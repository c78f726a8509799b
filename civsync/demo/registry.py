"""The world of the loopback registry: models, versions and files as plain objects.

Everything may be changed at any time, also while it is being served; that is
how tests make upstream move. The objects carry facts only: who may see what is
in `rules`, how it looks in JSON is in `shapes`.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import field
from datetime import UTC, datetime, timedelta

from civsync.core.values import dataclass
from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import Body, as_body
from civsync.demo.faults import FaultBook

_EPOCH = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)
_FORMAT_BY_EXTENSION = {
    "safetensors": "SafeTensor",
    "sft": "SafeTensor",
    "gguf": "GGUF",
    "ckpt": "PickleTensor",
    "pt": "PickleTensor",
    "pth": "PickleTensor",
    "bin": "PickleTensor",
    "onnx": "ONNX",
}
_DEFAULT_SIZE = 2048


@dataclass(slots=True)
class Ids:
    """The counters behind ids and dates that nobody chose."""

    model: Iterator[int] = field(default_factory=lambda: itertools.count(500_001))
    version: Iterator[int] = field(default_factory=lambda: itertools.count(700_001))
    file: Iterator[int] = field(default_factory=lambda: itertools.count(900_001))
    day: Iterator[int] = field(default_factory=itertools.count)

    def date(self) -> str:
        """Give the next day, as the API writes dates."""
        return iso(_EPOCH + timedelta(days=next(self.day)))


def iso(moment: datetime) -> str:
    """Write a moment as the API does: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + "000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidAccess:
    """A gate before a version: for ever, or until `ends_at` (an ISO date)."""

    permanent: bool = False
    ends_at: str | None = None

    def active(self, now: float) -> bool:
        """Say whether the gate is shut at `now` (seconds since 1970)."""
        if self.permanent or self.ends_at is None:
            return True
        return datetime.fromisoformat(self.ends_at).timestamp() > now


@dataclass(slots=True, kw_only=True, eq=False)
class File:
    """One file of a version.

    `hashes=None` publishes the true hashes of the body, `{}` is a file that was
    not scanned yet. `primary=None` leaves the choice to the server's score.
    `lookup_failures` is how many more times the storage look-up will fail.
    """

    id: int
    name: str
    body: Body
    type: str = "Model"
    format: str | None = None
    size: str | None = None
    fp: str | None = None
    quant: str | None = None
    hashes: dict[str, str] | None = None
    pickle_scan: str = "Success"
    virus_scan: str = "Success"
    scanned_at: str | None = "2025-01-02T03:04:05.060Z"
    primary: bool | None = None
    visibility: str = "Public"
    override_name: str | None = None
    size_kb: float | None = None
    lookup_failures: int = 0

    def put(self, data: bytes | Body) -> None:
        """Replace the content under the same id; the published hashes follow unless overridden."""
        self.body = as_body(data)

    @property
    def shown_hashes(self) -> dict[str, str]:
        """The `hashes` map that the API shows."""
        return self.body.published_hashes if self.hashes is None else self.hashes

    @property
    def sha256(self) -> str:
        """The true SHA-256 of the content, upper case."""
        return self.body.published_hashes["SHA256"]


@dataclass(slots=True, kw_only=True, eq=False)
class Version:
    """One version of a model. `entitled` are the tokens that passed its gates."""

    id: int
    name: str
    ids: Ids = field(repr=False)
    base_model: str = "SD 1.5"
    base_model_type: str | None = "Standard"
    published_at: str | None = None
    created_at: str = "2025-01-01T12:00:00.000Z"
    status: str = "Published"
    availability: str = "Public"
    usage_control: str = "Download"
    require_auth: bool = False
    paid_access: PaidAccess | None = None
    entitled: set[str] = field(default_factory=set)
    vae_id: int | None = None
    trained_words: list[str] = field(default_factory=list)
    nsfw_level: int = 1
    description: str | None = None
    downloads: int = 100
    files: list[File] = field(default_factory=list)

    def add_file(self, name: str = "", body: bytes | Body | None = None, **facts: object) -> File:
        """Add a file; what is not given is made up: id, name, a small safetensors body.

        `facts` are the other fields of `File`. The format follows the extension.
        """
        number = facts.pop("id", None) or next(self.ids.file)
        name = name or f"file_{number}.safetensors"
        if body is None:
            body = safetensors(f"file {number}", _DEFAULT_SIZE)
        extension = name.rpartition(".")[2].lower()
        facts.setdefault("format", _FORMAT_BY_EXTENSION.get(extension, "Other"))
        made = File(id=number, name=name, body=as_body(body), **facts)  # type: ignore[arg-type]  # keywords of File, checked by its constructor
        self.files.append(made)
        return made


@dataclass(slots=True, kw_only=True, eq=False)
class Model:
    """One model; the order of `versions` is the creator's own, the first is the default."""

    id: int
    name: str
    ids: Ids = field(repr=False)
    type: str = "LORA"
    creator: str | None = "demo-lab"
    tags: list[str] = field(default_factory=list)
    nsfw: bool = False
    nsfw_level: int = 1
    mode: str | None = None
    availability: str = "Public"
    status: str = "Published"
    allow_no_credit: bool = True
    allow_commercial_use: list[str] = field(default_factory=lambda: ["Image", "RentCivit"])
    allow_derivatives: bool = True
    allow_different_license: bool = True
    checkpoint_type: str | None = None
    poi: bool = False
    minor: bool = False
    description: str | None = "<p>Made for the demo.</p>"
    downloads: int = 100
    thumbs_up: int = 10
    comments: int = 0
    collected: int = 0
    pictures: int = 0
    hidden_from_batches: bool = False
    versions: list[Version] = field(default_factory=list)

    def add_version(self, name: str = "v1.0", *, at: int | None = None, **facts: object) -> Version:
        """Add a version, last or `at` an index; what is not given is made up.

        `facts` are the other fields of `Version`. Later ones are published later.
        """
        number = facts.pop("id", None) or next(self.ids.version)
        date = self.ids.date()
        facts.setdefault("published_at", date)
        facts.setdefault("created_at", date)
        made = Version(id=number, name=name, ids=self.ids, **facts)  # type: ignore[arg-type]  # keywords of Version, checked by its constructor
        self.versions.insert(len(self.versions) if at is None else at, made)
        return made


@dataclass(slots=True, kw_only=True, eq=False)
class Registry:
    """All models, who may ask, and the switches of the servers that show them.

    `favorites` are ids of models by token. `api_latency` is how many seconds each answer of
    the API waits. `pad_bytes_per_model` are bytes of JSON about pictures that every model of
    an answer has besides its own; real ones come to some 30,000.

    Listings misbehave between pages on demand: the next `empty_pages` pages hold nothing and
    lead on; with `cursors_repeat` every page that a cursor led to leads to itself; and
    such a page shows the last `page_overlap` models of the page before again.
    """

    models: dict[int, Model] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    favorites: dict[str, set[int]] = field(default_factory=dict)
    blocked_tokens: set[str] = field(default_factory=set)
    address_blocked: bool = False
    downloads_need_login: bool = False
    download_quota: int | None = None
    hide_minor: bool = False
    pinned_urls: bool = True
    refused_agents: tuple[str, ...] = ("python-urllib", "python-httpx")
    pad_bytes_per_model: int = 0
    empty_pages: int = 0
    cursors_repeat: bool = False
    page_overlap: int = 0
    gzip_answers: bool = True
    api_latency: float = 0.0
    storage_rate: float | None = None
    url_lifetime: int = 86400
    max_parallel_per_url: int | None = None
    clock: Callable[[], float] = time.time
    faults: FaultBook = field(default_factory=FaultBook)
    ids: Ids = field(default_factory=Ids, repr=False)
    pictures: dict[tuple[int, int], str] = field(default_factory=dict, repr=False)
    _where: dict[int, tuple[Model, Version]] = field(default_factory=dict, repr=False)

    def add_model(self, name: str = "", **facts: object) -> Model:
        """Add a model; what is not given is made up. `facts` are the other fields of `Model`."""
        number = facts.pop("id", None) or next(self.ids.model)
        name = name or f"Model {number}"
        made = Model(id=number, name=name, ids=self.ids, **facts)  # type: ignore[arg-type]  # keywords of Model, checked by its constructor
        self.models[made.id] = made
        return made

    def find_version(self, version_id: int) -> tuple[Model, Version] | None:
        """Find a version and its model, wherever they are now."""
        known = self._where.get(version_id)
        if known is not None:
            model, version = known
            if self.models.get(model.id) is model and version in model.versions:
                return known
        self._where = {v.id: (m, v) for m in list(self.models.values()) for v in list(m.versions)}
        return self._where.get(version_id)

    def every_file(self) -> Iterator[tuple[Model, Version, File]]:
        """Give every file with its version and model."""
        for model in list(self.models.values()):
            for version in list(model.versions):
                for file in list(version.files):
                    yield model, version, file

    def seeded_faults(self, seed: int, budget: int) -> None:
        """Misbehave at random until `budget` faults were made; see `FaultBook.seed`."""
        self.faults.seed(seed, budget)
