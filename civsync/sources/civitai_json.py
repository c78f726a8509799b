"""Make Civitai's records of all years and endpoints into values of the catalog.

Three shapes are read: items of `GET /models`, `GET /models/{id}`, and `GET
/model-versions/{id}`; each has keys that the others lack, and each changed over the
years. A record that cannot be read as a whole is refused as a whole: leaving out one
version would make another one "latest".

Not read: prompts, pictures, statistics, descriptions, `primary` (it depends on who asks),
and addresses, except to see whether one pins its file.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

from civsync.core.catalog import License, RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.sources.civitai_fields import (
    Record,
    UnreadableRecordError,
    date,
    days_after,
    flag,
    hashes_of,
    identity,
    name,
    optional_identity,
    rating_of,
    record,
    records,
    size_of,
    text,
    username,
    whole_text,
)

_VAE: Final = "VAE"
_SCANS: Final = {scan.value: scan for scan in Scan}


def read_models(value: object, *, whole: bool) -> tuple[RemoteModel, ...]:
    """Return the models of a `GET /models` answer that can be read; the others are left out.

    `whole` is false if the question narrowed the versions. A model that is left out is
    asked for alone later, and then the error is raised. Raises WireError reply-malformed
    if the answer is no list of models at all.
    """
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise _malformed("a list of models", "it has no items")
    found: list[RemoteModel] = []
    for item in items:
        try:
            found.append(_model(record(item, "the model"), whole=whole))
        except UnreadableRecordError:
            continue
    return tuple(found)


def count_models(value: object) -> int:
    """Return how many models a `GET /models` answer has, readable or not."""
    items = value.get("items") if isinstance(value, dict) else None
    return len(items) if isinstance(items, list) else 0


def read_model(value: object) -> RemoteModel:
    """Return the model of a `GET /models/{id}` answer.

    Raises WireError reply-malformed.
    """
    try:
        return _model(record(value, "the answer"), whole=True)
    except UnreadableRecordError as error:
        raise _malformed("a model", str(error)) from None


def read_version(value: object) -> RemoteModel:
    """Return the version of a `GET /model-versions/{id}` answer, inside its model.

    Raises WireError reply-malformed.
    """
    try:
        answer = record(value, "the answer")
        about = record(answer.get("model"), "model")
        model_id = identity(answer, "modelId")
        return RemoteModel(
            id=model_id,
            name=name(about),
            type=name(about, "type"),
            nsfw=flag(about, "nsfw"),
            mode=text(about, "mode") or None,
            versions=(_version(answer, model_id, index=None, rating=""),),
            whole=False,
        )
    except UnreadableRecordError as error:
        raise _malformed("a version", str(error)) from None


def read_owners(value: object) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return SHA-256 (lower case) to sorted (model id or 0, version id) pairs.

    Raises WireError reply-malformed if the answer is no list.
    """
    if not isinstance(value, list):
        raise _malformed("a list of owners", "it is none")
    found: dict[str, set[tuple[int, int]]] = {}
    for item in value:
        if not isinstance(item, dict):
            continue
        version_id = optional_identity(item, "modelVersionId")
        sha256 = hashes_of({"hashes": {"SHA256": item.get("hash")}}).get("SHA256")
        if version_id is not None and sha256 is not None:
            owner = (optional_identity(item, "modelId") or 0, version_id)
            found.setdefault(sha256, set()).add(owner)
    return {sha256: tuple(sorted(owners)) for sha256, owners in sorted(found.items())}


def read_account(value: object) -> str:
    """Return the name of the account that `GET /me` describes.

    Raises WireError reply-malformed.
    """
    try:
        about = record(value, "the answer")
        return username(about) if about.get("username") else f"user {identity(about)}"
    except UnreadableRecordError as error:
        raise _malformed("an account", str(error)) from None


def _malformed(what: str, why: str) -> WireError:
    return WireError(Code.REPLY_MALFORMED, f"the API's answer is not {what}: {why}")


def _model(item: Record, *, whole: bool) -> RemoteModel:
    model_id = identity(item)
    creator = item.get("creator")
    tags = item.get("tags")
    return RemoteModel(
        id=model_id,
        name=name(item),
        type=name(item, "type"),
        creator=_username(creator) if isinstance(creator, dict) else "",
        tags=tuple(whole_text(tag) for tag in tags if isinstance(tag, str))
        if isinstance(tags, list)
        else (),
        nsfw=flag(item, "nsfw"),
        mode=text(item, "mode") or None,
        license=License(
            commercial=_commercial(item.get("allowCommercialUse")),
            no_credit=flag(item, "allowNoCredit"),
            derivatives=flag(item, "allowDerivatives"),
            different_license=flag(item, "allowDifferentLicense"),
        ),
        versions=_versions(item, model_id, whole=whole, rating=rating_of(item)),
        whole=whole,
    )


def _username(creator: Record) -> str:
    """A name of digits alone was seen to arrive as a number (civitai/cli#513)."""
    try:
        return username(creator)
    except UnreadableRecordError:
        return ""


def _commercial(value: object) -> tuple[str, ...]:
    """Read a list, one word (2023), or one text such as "{Image,RentCivit}" (the API's docs)."""
    match value:
        case str():
            words = [word.strip() for word in value.strip().strip("{}").split(",")]
        case list():
            words = [whole_text(word) for word in value if isinstance(word, str)]
        case _:
            words = []
    return tuple(sorted({word for word in words if word and word != "None"}))


def _versions(
    item: Record, model_id: int, *, whole: bool, rating: str
) -> tuple[RemoteVersion, ...]:
    """Return versions in the creator's order: by `index` if all have one, else as listed."""
    shown = [
        _version(each, model_id, index=_index(each), rating=rating)
        for each in records(item, "modelVersions")
    ]
    if all(version.index is not None for version in shown):
        return tuple(sorted(shown, key=lambda version: (version.index or 0, version.id)))
    if not whole:
        # Some versions were left out on purpose, so a place in the list says nothing.
        return tuple(replace(version, index=None) for version in shown)
    return tuple(replace(version, index=place) for place, version in enumerate(shown))


def _index(item: Record) -> int | None:
    value = item.get("index")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _version(item: Record, model_id: int, *, index: int | None, rating: str) -> RemoteVersion:
    """Read one version; `rating` is its model's, for one that has none of its own."""
    published_at = date(item, "publishedAt")
    vae_id = optional_identity(item, "vaeId")
    paid = item.get("paidAccess")
    return RemoteVersion(
        id=identity(item),
        model_id=model_id,
        name=name(item),
        base_model=text(item, "baseModel"),
        index=index,
        published_at=published_at,
        usage_control=text(item, "usageControl") or None,
        early_access=isinstance(paid, dict) or item.get("availability") == "EarlyAccess",
        early_access_until=_early_access_end(item, published_at),
        rating=rating_of(item) or rating,
        vae_id=vae_id,
        files=_files(item, linked_vae=vae_id is not None),
    )


def _early_access_end(item: Record, published_at: str | None) -> str | None:
    """Return the end of early access that any year's fields tell; it may be long past.

    The field was changed three times in three years (civitai/civitai#1314); the newest
    one wins, also when it is null, which means that there is no gate.
    """
    if "paidAccess" in item:
        paid = item["paidAccess"]
        return date(paid, "endsAt") if isinstance(paid, dict) else None
    config = item.get("earlyAccessConfig")
    days = config.get("timeframe") if isinstance(config, dict) else None
    return (
        date(item, "earlyAccessEndsAt")
        or date(item, "earlyAccessDeadline")
        or days_after(published_at, days)
        or days_after(published_at or date(item, "createdAt"), item.get("earlyAccessTimeFrame"))
    )


def _files(item: Record, *, linked_vae: bool) -> tuple[RemoteFile, ...]:
    """Return the files, and mark VAE files that may belong to another version.

    A file of another version is shown here under its own id, and is never pinned. So it
    is one if the siblings are pinned and it is not, or if the version says that it links
    a VAE. Where nothing is pinned (lists, and every answer before August 2026) and no link
    is told, a VAE file is taken to be the version's own.
    """
    listed = list(records(item, "files"))
    pinned = [_is_pinned(each) for each in listed]
    return tuple(
        _file(
            each,
            linked=text(each, "type") == _VAE and not own and (linked_vae or any(pinned)),
        )
        for each, own in zip(listed, pinned, strict=True)
    )


def _is_pinned(item: Record) -> bool:
    """Tell whether the file's own address names it by id."""
    try:
        return "fileId" in parse_qs(urlsplit(text(item, "downloadUrl")).query)
    except ValueError:
        return False


def _file(item: Record, *, linked: bool) -> RemoteFile:
    metadata = item.get("metadata")
    facts: Mapping[str, object] = metadata if isinstance(metadata, dict) else {}
    return RemoteFile(
        id=identity(item),
        name=name(item),
        type=name(item, "type"),
        size=size_of(item),
        format=text(facts, "format"),
        precision=text(facts, "fp"),
        quant=text(facts, "quantType"),
        size_class=text(facts, "size"),
        hashes=hashes_of(item),
        pickle_scan=_scan(item.get("pickleScanResult")),
        virus_scan=_scan(item.get("virusScanResult")),
        linked=linked,
    )


def _scan(value: object) -> Scan:
    return _SCANS.get(value, Scan.PENDING) if isinstance(value, str) else Scan.PENDING
