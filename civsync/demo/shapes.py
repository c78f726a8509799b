"""The registry's objects as the JSON that Civitai answers with.

The same version looks different on each endpoint: keys come and go, nulls are
kept or dropped, and a file may even have two names. What is visible at all is
decided in `rules`.
"""

import hashlib
import re
from datetime import datetime
from typing import TypeAlias
from urllib.parse import urlencode

from civsync.demo.air import air
from civsync.demo.messages import json_text
from civsync.demo.registry import File, Model, Registry, Version
from civsync.demo.rules import ShownFile, shown_files, shown_versions

Json: TypeAlias = dict[str, object]

_IMAGE_BYTES = 270
_HASH_DIGITS = 32
_PLACE = re.compile(r'"\\u0000pictures (\d+) (\d+)"')
"""Where pictures go that are written only once, as it stands in the text of an answer."""


class Shapes:
    """Writes answers whose URLs start with `base`, the address of the API origin."""

    def __init__(self, registry: Registry, base: str) -> None:
        self._registry = registry
        self._base = base

    def listed_model(
        self, model: Model, versions: list[tuple[int, Version]], *, primary_only: bool
    ) -> Json:
        """Write an item of `GET /models`: nulls and empty lists stay."""
        share = self._registry.pad_bytes_per_model // max(1, len(versions))
        shown = [self._listed_version(model, i, v, primary_only, share) for i, v in versions]
        return self._model(model, shown)

    def text(self, answer: Json) -> str:
        """Write an answer as JSON, with the pictures that make it as large as real ones.

        Pictures are most of an answer and never change, so each version's are written once.
        """
        return _PLACE.sub(
            lambda place: self._many_pictures(int(place[1]), int(place[2])), json_text(answer)
        )

    def single_model(self, model: Model) -> Json:
        """Write the answer of `GET /models/{id}`: inside versions, nulls and [] are dropped."""
        versions = shown_versions(model)
        share = self._registry.pad_bytes_per_model // max(1, len(versions))
        shown: list[Json] = []
        for index, version in versions:
            whole = self._listed_version(model, index, version, False, share)
            for key in ("supportsGeneration", "vaeId"):
                whole.pop(key)
            whole |= {"status": version.status, "createdAt": version.created_at, "covered": True}
            if self._registry.pinned_urls and model.mode != "Archived":
                files = shown_files(self._registry, model, version)
                whole["files"] = [self._file(version, f, pinned=True) for f in files]
            shown.append(_without_nothing(whole))
        return self._model(model, shown)

    def single_version(self, model: Model, version: Version, *, by_hash: bool = False) -> Json:
        """Write the answer of `GET /model-versions/*`; `by_hash` honors `overrideName`."""
        files = [
            self._version_file(version, shown, own_name=not by_hash)
            for shown in shown_files(self._registry, model, version)
        ]
        about: Json = {
            "name": model.name,
            "type": model.type,
            "nsfw": model.nsfw,
            "poi": model.poi,
        }
        if model.mode is not None:
            about["mode"] = model.mode
        answer: Json = {
            "id": version.id,
            "modelId": model.id,
            "name": version.name,
            "nsfwLevel": version.nsfw_level,
            "createdAt": version.created_at,
            "updatedAt": version.published_at or version.created_at,
            "status": version.status,
            "publishedAt": version.published_at,
            "trainedWords": version.trained_words,
            "trainingStatus": None,
            "trainingDetails": None,
            "baseModel": version.base_model,
            "baseModelType": version.base_model_type,
            "paidAccess": self._paid_access(version),
            "licensingFee": None,
            "description": version.description,
            "uploadType": "Created",
            "usageControl": version.usage_control,
            "air": air(model, version),
            "stats": {"downloadCount": version.downloads, "thumbsUpCount": version.downloads // 9},
            "model": about,
            "files": files,
            "images": self._images(model, version, 1, meta=True),
        }
        return self._with_url(answer, model, version)

    def _model(self, model: Model, versions: list[Json]) -> Json:
        answer: Json = {
            "id": model.id,
            "name": model.name,
            "description": model.description,
            "allowNoCredit": model.allow_no_credit,
            "allowCommercialUse": model.allow_commercial_use,
            "allowDerivatives": model.allow_derivatives,
            "allowDifferentLicense": model.allow_different_license,
            "type": model.type,
            "minor": model.minor,
            "sfwOnly": False,
            "poi": model.poi,
            "nsfw": model.nsfw,
            "nsfwLevel": model.nsfw_level,
            "availability": model.availability,
            "cosmetic": None,
            "supportsGeneration": True,
            "stats": {
                "downloadCount": model.downloads,
                "thumbsUpCount": model.thumbs_up,
                "thumbsDownCount": 0,
                "commentCount": model.comments,
                "tippedAmountCount": 0,
            },
            "tags": model.tags,
            "modelVersions": versions,
        }
        if model.mode is not None:
            answer["mode"] = model.mode
        if model.creator is not None:
            answer["creator"] = {"username": model.creator, "image": None}
        return answer

    def _listed_version(
        self, model: Model, index: int, version: Version, primary_only: bool, padding: int
    ) -> Json:
        files = shown_files(self._registry, model, version)
        answer: Json = {
            "id": version.id,
            "index": index,
            "name": version.name,
            "baseModel": version.base_model,
            "baseModelType": version.base_model_type,
            "publishedAt": version.published_at,
            "availability": version.availability,
            "nsfwLevel": version.nsfw_level,
            "description": version.description,
            "trainedWords": version.trained_words,
            "vaeId": version.vae_id,
            "flags": 0,
            "paidAccess": self._paid_access(version),
            "stats": {
                "downloadCount": version.downloads,
                "thumbsUpCount": version.downloads // 9,
                "thumbsDownCount": 0,
            },
            "supportsGeneration": True,
            "files": [
                self._file(version, f, pinned=False) for f in files if f.primary or not primary_only
            ],
            "images": self._images(model, version, 1 + padding // _IMAGE_BYTES, meta=False),
        }
        return self._with_url(answer, model, version)

    def _with_url(self, answer: Json, model: Model, version: Version) -> Json:
        if model.mode != "Archived":
            answer["downloadUrl"] = self._route(version)
        return answer

    def _file(self, version: Version, shown: ShownFile, *, pinned: bool) -> Json:
        """Write a file inside a model: `primary` is true or absent."""
        file = shown.file
        answer = self._file_facts(file, file.override_name or file.name, shown)
        answer["scannedAt"] = file.scanned_at
        answer["metadata"] = _metadata(file) | {"quantType": file.quant, "isRequired": None}
        answer["downloadUrl"] = self._file_url(version, shown, pinned=pinned)
        if shown.primary:
            answer["primary"] = True
        return answer

    def _version_file(self, version: Version, shown: ShownFile, *, own_name: bool) -> Json:
        """Write a file inside a single version: `primary` always, dates without a zone."""
        file = shown.file
        name = file.name if own_name else file.override_name or file.name
        answer = self._file_facts(file, name, shown)
        answer["scannedAt"] = _zoneless(file.scanned_at)
        answer["metadata"] = _metadata(file)
        answer["primary"] = shown.primary
        pinned = self._registry.pinned_urls
        answer["downloadUrl"] = self._file_url(version, shown, pinned=pinned)
        return answer

    def _file_facts(self, file: File, name: str, shown: ShownFile) -> Json:
        return {
            "id": file.id,
            "sizeKB": file.body.size / 1024 if file.size_kb is None else file.size_kb,
            "name": name,
            "type": "VAE" if shown.linked else file.type,
            "pickleScanResult": file.pickle_scan,
            "pickleScanMessage": "No Pickle imports" if file.pickle_scan == "Success" else None,
            "virusScanResult": file.virus_scan,
            "virusScanMessage": None,
            "hashes": file.shown_hashes,
        }

    def _file_url(self, version: Version, shown: ShownFile, *, pinned: bool) -> str:
        """Write a file's own URL; a linked VAE is never pinned, its id belongs elsewhere."""
        file = shown.file
        if pinned and not shown.linked:
            return f"{self._route(version)}?fileId={file.id}"
        if shown.primary:
            return self._route(version)
        asked = {
            "type": "VAE" if shown.linked else file.type,
            "format": file.format,
            "size": file.size,
            "fp": file.fp,
        }
        query = urlencode({key: value for key, value in asked.items() if value is not None})
        return f"{self._route(version)}?{query}"

    def _route(self, version: Version) -> str:
        return f"{self._base}/api/download/models/{version.id}"

    def _paid_access(self, version: Version) -> Json | None:
        gate = version.paid_access
        if gate is None or not gate.active(self._registry.clock()):
            return None
        return {"permanent": gate.permanent, "endsAt": gate.ends_at}

    def _images(
        self, model: Model, version: Version, count: int, *, meta: bool
    ) -> list[Json] | str:
        """Write pictures, or where `text` puts them if there are many."""
        if model.mode == "TakenDown":
            return []
        if count > 1:
            return f"\0pictures {version.id} {count}"
        image = _picture(self._base, version.id, 0, "0" * _HASH_DIGITS)
        return [image | {"meta": None} if meta else image]

    def _many_pictures(self, version_id: int, count: int) -> str:
        known = self._registry.pictures.get((version_id, count))
        if known is None:
            # Digits of their own, which gzip cannot remove, as the real ones have.
            noise = hashlib.shake_256(str(version_id).encode()).hexdigest(count * _HASH_DIGITS // 2)
            digits = (noise[n * _HASH_DIGITS : (n + 1) * _HASH_DIGITS] for n in range(count))
            known = json_text(
                [_picture(self._base, version_id, n, each) for n, each in enumerate(digits)]
            )
            self._registry.pictures[version_id, count] = known
        return known


def _metadata(file: File) -> Json:
    return {"format": file.format, "size": file.size, "fp": file.fp}


def _zoneless(date: str | None) -> str | None:
    """Write a date without a zone and with its zeros cut off, as one endpoint does."""
    if date is None:
        return None
    text = datetime.fromisoformat(date).replace(tzinfo=None).isoformat()
    return text.rstrip("0") if "." in text else text


def _without_nothing(value: Json) -> Json:
    """Drop keys with null or [] at every depth of a version object."""
    kept: Json = {}
    for key, item in value.items():
        match item:
            case None | []:
                continue
            case dict():
                kept[key] = _without_nothing(item)
            case list():
                kept[key] = [_without_nothing(x) if isinstance(x, dict) else x for x in item]
            case _:
                kept[key] = item
    return kept


def _picture(base: str, version_id: int, number: int, digits: str) -> Json:
    return {
        "id": version_id * 100 + number,
        "url": f"{base}/images/{version_id}/{number}.jpeg",
        "nsfwLevel": 1,
        "width": 832,
        "height": 1216,
        "hash": digits,
        "type": "image",
        "minor": False,
        "poi": False,
        "hasMeta": True,
        "hasPositivePrompt": True,
        "onSite": False,
        "remixOfId": None,
    }
