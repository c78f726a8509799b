"""What resolving asks the Civitai API, and what it makes of the answers.

A sync that only follows its lock asks nothing of this, and does not load it.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final, assert_never
from urllib.parse import urlencode

from civsync.core.catalog import RemoteModel
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, WireError
from civsync.core.limits import BATCH_IDS, MAX_ID
from civsync.core.lock import LockedFile
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
from civsync.core.wire import HttpAnswer
from civsync.decide.replies import read_json, says_not_found, storage_missing
from civsync.sources.civitai_json import read_model, read_models, read_owners, read_version
from civsync.sources.civitai_requests import ApiCaller
from civsync.sources.civitai_search import favorites_of_nobody, page_path, read_page

BATCH_SHA256S: Final = 10_000
"""Most hashes for one `POST /model-versions/by-hash/ids`."""

_SHA256_DIGITS: Final = 64


class CivitaiQuestions:
    """Answers questions through `api`; one instance serves many tasks of one event loop."""

    def __init__(self, api: ApiCaller) -> None:
        self._api = api

    async def answer(self, question: Question) -> QuestionAnswer:
        """Answer one question; see `civsync.ports.Source`."""
        match question:
            case AskModels(ids=ids):
                models = await self._batches("ids", ids, whole=True)
                return Models(tuple(model for model in models if model.id in ids))
            case AskModelsOfVersions(version_ids=ids):
                return Models(await self._batches("modelVersionIds", ids, whole=False))
            case AskModel(id=number):
                return await self._single("models", number, _read_model_of(number))
            case AskVersion(id=number):
                return await self._single("model-versions", number, _read_version_of(number))
            case AskOwners(sha256s=sha256s):
                return await self._owners(sha256s)
            case AskPage():
                return await self._page(question)
            case _:
                assert_never(question)

    async def why_unfound(self, file: LockedFile) -> CivsyncError:
        """Tell a file that storage cannot find just now from one that is not served any more."""
        number = file.source_version_id
        answer = await self._api.send(self._api.request(f"/api/v1/model-versions/{number}"))
        models = _read_version_of(number)(answer).models
        listed = (each.id for model in models for v in model.versions for each in v.files)
        what = f"version {number} of model {file.model_id}"
        if file.file_id in listed:
            # This endpoint also shows versions of models that were taken offline.
            route = f"/api/v1/models/{models[0].id}"
            if says_not_found(await self._api.send(self._api.request(route))):
                return RegistryError(Code.GONE, f"{what} is not published any more")
            return storage_missing()
        return RegistryError(
            Code.GONE,
            f"{what} does not list the file any more" if models else f"{what} was not found",
        )

    async def _batches(
        self, parameter: str, ids: tuple[int, ...], *, whole: bool
    ) -> tuple[RemoteModel, ...]:
        """Return what the batch endpoint shows, each model once with all versions shown."""
        askable = tuple(dict.fromkeys(number for number in ids if 1 <= number <= MAX_ID))
        merged: dict[int, RemoteModel] = {}
        for start in range(0, len(askable), BATCH_IDS):
            for model in await self._batch(parameter, askable[start : start + BATCH_IDS], whole):
                known = merged.get(model.id)
                merged[model.id] = model if known is None else _united(known, model)
        return tuple(merged.values())

    async def _batch(
        self, parameter: str, ids: tuple[int, ...], whole: bool
    ) -> tuple[RemoteModel, ...]:
        query = urlencode(
            {
                parameter: ",".join(map(str, ids)),
                "limit": BATCH_IDS,
                "nsfw": "true",
                "archived": "true",
            },
            safe=",",
        )
        try:
            return await self._api.ask(
                self._api.request(f"/api/v1/models?{query}"),
                lambda answer: read_models(read_json(answer, cap=self._api.cap), whole=whole),
            )
        except WireError as error:
            if error.code is not Code.ANSWER_TOO_LARGE:
                raise
        if len(ids) == 1:
            # Not shown here; the single endpoint is asked next and says what is the matter.
            return ()
        middle = len(ids) // 2
        first = await self._batch(parameter, ids[:middle], whole)
        return first + await self._batch(parameter, ids[middle:], whole)

    async def _page(self, question: AskPage) -> Page:
        """Return one page of a listing; one that is too large is asked for in a smaller size.

        A cursor says where the page begins, so it fits any size. Nobody's favorites are not
        asked for: that is always refused.
        """
        search = question.search
        if search.favorites and not self._api.sends_token:
            raise favorites_of_nobody()
        try:
            return await self._api.ask(
                self._api.request(page_path(question)),
                lambda answer: read_page(answer, search, cap=self._api.cap),
            )
        except WireError as error:
            if error.code is not Code.ANSWER_TOO_LARGE or question.size == 1:
                raise
        return await self._page(replace(question, size=question.size // 2))

    async def _single(
        self, endpoint: str, number: int, read: Callable[[HttpAnswer], Models]
    ) -> Models:
        if not 1 <= number <= MAX_ID:
            return Models(())
        return await self._api.ask(self._api.request(f"/api/v1/{endpoint}/{number}"), read)

    async def _owners(self, sha256s: tuple[str, ...]) -> Owners:
        # One element of another length makes the API refuse the whole request.
        askable = sorted({text for text in sha256s if len(text) == _SHA256_DIGITS})
        found: dict[str, tuple[tuple[int, int], ...]] = {}
        for start in range(0, len(askable), BATCH_SHA256S):
            batch = askable[start : start + BATCH_SHA256S]
            body = json.dumps(batch).encode()
            found |= await self._api.ask(
                self._api.request("/api/v1/model-versions/by-hash/ids", method="POST", body=body),
                lambda answer: read_owners(read_json(answer, cap=self._api.cap)),
            )
        return Owners({sha256: found[sha256] for sha256 in askable if sha256 in found})


def _read_model_of(number: int) -> Callable[[HttpAnswer], Models]:
    def read(answer: HttpAnswer) -> Models:
        if says_not_found(answer):
            return Models(())
        model = read_model(read_json(answer))
        if model.id != number:
            raise WireError(Code.REPLY_MALFORMED, f"asked for model {number}, got {model.id}")
        return Models((model,))

    return read


def _read_version_of(number: int) -> Callable[[HttpAnswer], Models]:
    def read(answer: HttpAnswer) -> Models:
        if says_not_found(answer):
            return Models(())
        model = read_version(read_json(answer))
        if model.versions[0].id != number:
            raise WireError(
                Code.REPLY_MALFORMED, f"asked for version {number}, got {model.versions[0].id}"
            )
        return Models((model,))

    return read


def _united(first: RemoteModel, second: RemoteModel) -> RemoteModel:
    """Return one model with the versions of both; two halves of a batch may show one model."""
    versions = {version.id: version for version in (*first.versions, *second.versions)}
    ordered = sorted(versions.values(), key=lambda v: (v.index is None, v.index or 0, v.id))
    return replace(first, versions=tuple(ordered))
