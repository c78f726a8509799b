"""Builders of values for tests: everything has a plain default, and only what matters is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from civsync.core.catalog import License, RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.lock import Lock
from civsync.core.problems import Place
from civsync.core.questions import (
    AskModel,
    AskModels,
    AskModelsOfVersions,
    AskOwners,
    AskPage,
    AskVersion,
    Models,
    Owners,
    Page,
    Question,
    QuestionAnswer,
)
from civsync.core.request import (
    All,
    ById,
    ByName,
    Entry,
    FileSelector,
    Latest,
    Layout,
    Manifest,
    Newest,
    Placement,
    Policy,
    Preference,
    Request,
    Search,
    VersionSpec,
)
from civsync.core.wording import entry_key
from civsync.decide.resolve import Resolution, never, resolve

PLACE = Place(document="civsync.yaml", line=1, column=1)


NOW = datetime(2026, 6, 1, tzinfo=UTC)
"""The day on which tests resolve, unless they say another."""


def sha256_of(number: int) -> str:
    """Return 64 digits that belong to `number`."""
    return f"{number:064x}"


def remote_file(
    file_id: int,
    name: str = "",
    *,
    type: str = "Model",  # noqa: A002 - the API's word
    size: int | None = 1000,
    format: str = "SafeTensor",  # noqa: A002 - the API's word
    precision: str = "fp16",
    quant: str = "",
    size_class: str = "pruned",
    sha256: str | None = "",
    pickle_scan: Scan = Scan.SUCCESS,
    virus_scan: Scan = Scan.SUCCESS,
    linked: bool = False,
) -> RemoteFile:
    """Return a file; `sha256` "" stands for one made of the id, None for none."""
    digits = sha256_of(file_id) if sha256 == "" else sha256
    return RemoteFile(
        id=file_id,
        name=name or f"file{file_id}.safetensors",
        type=type,
        size=size,
        format=format,
        precision=precision,
        quant=quant,
        size_class=size_class,
        hashes={} if digits is None else {"SHA256": digits, "BLAKE3": digits[::-1]},
        pickle_scan=pickle_scan,
        virus_scan=virus_scan,
        linked=linked,
    )


def remote_version(
    version_id: int,
    files: Sequence[RemoteFile] | None = None,
    *,
    name: str = "",
    model_id: int = 0,
    base_model: str = "SD 1.5",
    index: int | None = None,
    published_at: str | None = "2024-01-01T00:00:00Z",
    usage_control: str | None = None,
    early_access_until: str | None = None,
    rating: str = "",
    vae_id: int | None = None,
) -> RemoteVersion:
    """Return a version; without `files` it has one, numbered ten times as high."""
    return RemoteVersion(
        id=version_id,
        model_id=model_id,
        name=name or f"v{version_id}",
        base_model=base_model,
        index=index,
        published_at=published_at,
        usage_control=usage_control,
        early_access_until=early_access_until,
        early_access=early_access_until is not None,
        rating=rating,
        vae_id=vae_id,
        files=(remote_file(version_id * 10),) if files is None else tuple(files),
    )


def remote_model(
    model_id: int,
    versions: Sequence[RemoteVersion] | None = None,
    *,
    name: str = "",
    type: str = "Checkpoint",  # noqa: A002 - the API's word
    creator: str = "someone",
    tags: tuple[str, ...] = ("style",),
    mode: str | None = None,
    license: License | None = None,  # noqa: A002 - the API's word
    whole: bool = True,
) -> RemoteModel:
    """Return a model whose versions know it, with the index of their order if they have none."""
    given = (
        [remote_version(model_id * 10 + 1), remote_version(model_id * 10)]
        if versions is None
        else versions
    )
    return RemoteModel(
        id=model_id,
        name=name or f"model{model_id}",
        type=type,
        creator=creator,
        tags=tags,
        mode=mode,
        license=license or License(),
        whole=whole,
        versions=tuple(
            replace(
                version,
                model_id=model_id,
                index=position if version.index is None else version.index,
            )
            for position, version in enumerate(given)
        ),
    )


def request(
    model_id: int | None,
    version: int | str = "latest",
    *,
    base_model: str | None = None,
    selectors: Sequence[FileSelector] = (),
    prefer: Preference | None = None,
    allow_pickle: bool = False,
    allow_unverified: bool = False,
    scans: tuple[str, ...] = ("pickle", "virus"),
    policy: Policy | None = None,
    exclude_newer: str = "",
) -> Request:
    """Return a request; `version` as a manifest says it. A `policy` is taken as a whole."""
    spec: VersionSpec
    match version:
        case int():
            spec = ById(version)
        case "latest":
            spec = Latest()
        case "newest":
            spec = Newest()
        case "all":
            spec = All()
        case _:
            spec = ByName(version)
    return Request(
        model_id=model_id,
        version=spec,
        base_model=base_model,
        selectors=tuple(selectors),
        prefer=prefer or Preference(),
        policy=policy or Policy(allow_pickle=allow_pickle, scans=scans),
        exclude_newer=exclude_newer,
        allow_unverified=allow_unverified,
    )


def search_request(
    search: Search | None = None,
    versions: VersionSpec | None = None,
    *,
    selectors: Sequence[FileSelector] = (),
    prefer: Preference | None = None,
    policy: Policy | None = None,
    exclude_newer: str = "",
    allow_unverified: bool = False,
) -> Request:
    """Return a request for what a search finds; without one, for everything tagged "style"."""
    return Request(
        model_id=None,
        version=versions or Latest(),
        search=search or Search(tag="style"),
        selectors=tuple(selectors),
        prefer=prefer or Preference(),
        policy=policy or Policy(),
        exclude_newer=exclude_newer,
        allow_unverified=allow_unverified,
    )


def entry(
    wanted: Request,
    *,
    hold: str | None = None,
    directory: str | None = None,
    filename: str | None = None,
    priority: int = 0,
) -> Entry:
    """Return an entry for a request."""
    return Entry(
        key=entry_key(wanted),
        request=wanted,
        placement=Placement(directory=directory, filename=filename),
        priority=priority,
        hold=hold,
        place=PLACE,
    )


LAYOUT = Layout(
    name="test",
    by_model_type={
        "Checkpoint": "checkpoints",
        "LORA": "loras",
        "VAE": "vae",
        "UNet": "diffusion_models",
        "Poses": "poses",
    },
    by_file_type={"VAE": "vae", "Training Data": "training_data"},
)


def manifest(*entries: Entry, layout: Layout = LAYOUT) -> Manifest:
    """Return a manifest with these entries."""
    return Manifest(layout=layout, entries=entries)


@dataclass(kw_only=True)
class Library:
    """A Civitai as the resolver sees it: models, and which endpoint hides which of them.

    `batch_hides` and `model_hides` are ids of models that `/models` and `/models/{id}` leave
    out, `batch_drops` and `model_drops` ids of versions; `owners` answers look-ups of hashes.
    """

    models: Mapping[int, RemoteModel]
    batch_hides: frozenset[int] = frozenset()
    model_hides: frozenset[int] = frozenset()
    batch_drops: frozenset[int] = frozenset()
    model_drops: frozenset[int] = frozenset()
    version_hides: frozenset[int] = frozenset()
    owners: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)

    def answer(self, question: Question) -> QuestionAnswer:
        """Answer as the endpoints do: a batch shows least, the endpoint of a version most."""
        self.asked.append(question)
        match question:
            case AskModels(ids=ids):
                return Models(self._whole(ids, self.batch_hides, self.batch_drops))
            case AskModel(id=number):
                return Models(self._whole((number,), self.model_hides, self.model_drops))
            case AskModelsOfVersions(version_ids=ids):
                dropped = self.batch_drops | {
                    version.id
                    for hidden in self.batch_hides & self.models.keys()
                    for version in self.models[hidden].versions
                }
                return Models(self._narrowed(set(ids) - dropped))
            case AskVersion(id=number):
                return Models(self._narrowed({number} - self.version_hides))
            case AskOwners(sha256s=hashes):
                return Owners({each: self.owners[each] for each in hashes if each in self.owners})
            case AskPage(search=search, cursor=cursor, size=size):
                return self._page(search, int(cursor or 0), size)

    def _page(self, search: Search, start: int, size: int) -> Page:
        """Show a page of the models that `search` means, by id; a place is the cursor.

        A listing is as strict as a batch.
        """
        if search.username and search.username not in {m.creator for m in self.models.values()}:
            return Page((), found=False)
        hits = [
            model
            for number, model in sorted(self.models.items())
            if number not in self.batch_hides
            and search.username in ("", model.creator)
            and search.tag in ("", *model.tags)
            and (not search.types or model.type in search.types)
            and (not search.base_models or _is_for(model, search.base_models))
        ]
        end = start + size
        shown = self._whole([hit.id for hit in hits[start:end]], frozenset(), self.batch_drops)
        return Page(shown, cursor=str(end) if end < len(hits) else "")

    def _whole(
        self, ids: Sequence[int], hidden: frozenset[int], dropped: frozenset[int]
    ) -> tuple[RemoteModel, ...]:
        return tuple(
            replace(model, versions=tuple(v for v in model.versions if v.id not in dropped))
            for number in ids
            if number not in hidden and (model := self.models.get(number)) is not None
        )

    def _narrowed(self, ids: set[int]) -> tuple[RemoteModel, ...]:
        narrowed = (
            replace(model, versions=tuple(v for v in model.versions if v.id in ids), whole=False)
            for model in self.models.values()
        )
        return tuple(model for model in narrowed if model.versions)


def _is_for(model: RemoteModel, families: Sequence[str]) -> bool:
    return any(version.base_model in families for version in model.versions)


def library(*models: RemoteModel) -> Library:
    """Return a Civitai that shows these models everywhere."""
    return Library(models={model.id: model for model in models})


def resolved(
    shown: Library,
    *entries: Entry,
    previous: Lock | None = None,
    upgrade: Callable[[Entry], bool] = never,
    now: datetime = NOW,
) -> Resolution:
    """Resolve `entries` against what `shown` answers."""
    conversation = resolve(entries, previous or Lock(), now=now, upgrade=upgrade)
    try:
        questions = next(conversation)
        while True:
            questions = conversation.send(tuple(shown.answer(each) for each in questions))
    except StopIteration as end:
        result: Resolution = end.value
        return result


def always(_entry: Entry) -> bool:
    """Upgrade everything."""
    return True
