"""The Civitai API as a Source.

Asks politely (few requests at a time, spaced, one pause for all when the API wants one),
sends the token to the configured origin alone, and gives every answer a meaning by
`civsync.decide.replies`. Which model, version or file is wanted is not known here.

`answer` and `check_login` try again by themselves. `locate` does not: whoever moves the
bytes counts the tries of a file, and each address handed out counts against a quota.
"""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, assert_never
from urllib.parse import urlencode

import anyio

from civsync.core.catalog import RemoteModel
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, WireError
from civsync.core.limits import ANSWER_BYTES, BATCH_IDS, MAX_ID, REDIRECTS
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
from civsync.core.secrets import Token
from civsync.core.wire import HttpAnswer, HttpRequest, SignedUrl
from civsync.decide.origins import api_origin
from civsync.decide.redirects import Hop, bad_redirect
from civsync.decide.replies import (
    Unfound,
    read_download_answer,
    read_json,
    says_not_found,
    storage_missing,
)
from civsync.decide.retry import GiveUp
from civsync.ports import Clock, Errand, Reporter, Transport
from civsync.sources.civitai_json import (
    read_account,
    read_model,
    read_models,
    read_owners,
    read_version,
)
from civsync.sources.civitai_requests import ApiCaller
from civsync.sources.civitai_search import favorites_of_nobody, page_path, read_page

BATCH_SHA256S: Final = 10_000
"""Most hashes for one `POST /model-versions/by-hash/ids`."""

_SHA256_DIGITS: Final = 64

_Where = Generator[HttpRequest, HttpAnswer, SignedUrl | Unfound]
"""Finds out where a file is: yields requests of the download route, and is sent the answers."""


@dataclass(slots=True)
class _Shelf:
    """The address of one file, and the right to ask for it, where tasks may contend for that."""

    lock: anyio.Lock | None = None
    found: SignedUrl | Unfound | None = None


class CivitaiSource:
    """A Source over `transport`, for the API at `api_url` (scheme and host).

    `answer_cap` bounds the bytes of one answer. `account` is whose the token is, if that
    was asked before. One instance serves many tasks of one
    event loop. Raises UserError config-invalid if `api_url` is no origin.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        api_url: str,
        token: Token | None,
        report: Reporter,
        answer_cap: int = ANSWER_BYTES,
        account: str | None = None,
    ) -> None:
        self._api = ApiCaller(
            transport,
            clock,
            origin=api_origin(api_url),
            token=token,
            report=report,
            cap=answer_cap,
        )
        self._shelves: dict[tuple[int, int], _Shelf] = {}
        self._quota: RegistryError | None = None
        self._login = anyio.Lock()
        self._account = account

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

    async def locate(self, file: LockedFile, *, refused: SignedUrl | None = None) -> SignedUrl:
        """Return where the bytes are; see `civsync.ports.Source`. Tries once.

        After the download quota was used up no more is asked: each further call that
        would need a request raises RegistryError quota at once.
        """
        shelf = self._shelves.setdefault((file.source_version_id, file.file_id), _Shelf())
        if shelf.lock is None:
            shelf.lock = anyio.Lock()
        async with shelf.lock:
            found, shelf.found = shelf.found, None
            with self._learning():
                if found is None or found == refused:
                    found = await self._ask_where(file)
                if isinstance(found, Unfound):
                    raise await self._why_unfound(file)
            shelf.found = found
            return found

    def locate_now(self, file: LockedFile, errand: Errand) -> SignedUrl | None:
        """Return where the bytes are, if no more than that is asked; see `civsync.ports.Source`."""
        shelf = self._shelves.setdefault((file.source_version_id, file.file_id), _Shelf())
        if shelf.lock is not None and shelf.lock.locked():
            return None
        if shelf.found is None:
            with self._learning():
                shelf.found = self._ask_where_now(file, errand)
        # Why it is not found takes more questions, and is not for this thread.
        return shelf.found if isinstance(shelf.found, SignedUrl) else None

    async def check_login(self) -> str | None:
        """Return the account's name, or None without a token; asks once in a run.

        A token that may not be sent (plain http to another machine) counts as none, and
        that is noted.
        """
        self._api.note_withheld_token()
        if not self._api.sends_token:
            return None
        async with self._login:
            if self._account is None:
                self._account = await self._api.ask(self._api.request("/api/v1/me"), _read_login)
            return self._account

    # --- questions ---------------------------------------------------------------------

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

    # --- downloads ---------------------------------------------------------------------

    async def _ask_where(self, file: LockedFile) -> SignedUrl | Unfound:
        asking = self._where(file)
        try:
            request = next(asking)
            while True:
                request = asking.send(await self._api.send_download(request))
        except StopIteration as over:
            found: SignedUrl | Unfound = over.value
            return found

    def _ask_where_now(self, file: LockedFile, errand: Errand) -> SignedUrl | Unfound | None:
        asking = self._where(file)
        try:
            request = next(asking)
            while (answer := self._api.send_download_now(request, errand)) is not None:
                request = asking.send(answer)
        except StopIteration as over:
            found: SignedUrl | Unfound = over.value
            return found
        return None

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Learn from a failure of the download route what holds for all files."""
        try:
            yield
        except CivsyncError as error:
            if isinstance(error, RegistryError) and error.code is Code.QUOTA:
                self._quota = error
            match self._api.judge(error, attempt=1):
                case GiveUp(error=final) if final is not error:
                    raise final from error
            raise

    def _where(self, file: LockedFile) -> _Where:
        if self._quota is not None:
            # A new value: one exception raised in many tasks would share its traceback.
            known = self._quota
            raise RegistryError(known.code, known.message, data=known.data)
        route = f"/api/download/models/{file.source_version_id}"
        found = yield from self._follow(f"{route}?fileId={file.file_id}")
        if isinstance(found, Unfound) and file.type == "VAE" and file.owner_version_id is None:
            # A linked VAE has an id of another version; the route serves it only by its type.
            found = yield from self._follow(f"{route}?type=VAE")
        return found

    def _follow(self, path: str) -> _Where:
        for _ in range(REDIRECTS + 1):
            request = self._api.request(path)
            answer = yield request
            found = read_download_answer(
                answer,
                asked=request.url,
                api=self._api.origin,
                token_sent=self._api.sends_token,
            )
            match found:
                case SignedUrl() if self._api.gives_token_away(found.url):
                    raise bad_redirect("the redirect would carry the API key to another host")
                case SignedUrl() | Unfound():
                    return found
                case Hop():
                    path = found.path
                case _:
                    assert_never(found)
        raise bad_redirect(f"more than {REDIRECTS} redirects")

    async def _why_unfound(self, file: LockedFile) -> CivsyncError:
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


def _read_login(answer: HttpAnswer) -> str:
    if answer.status == 401:
        raise RegistryError(Code.TOKEN_REFUSED, "Civitai does not know this API key")
    return read_account(read_json(answer))


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
