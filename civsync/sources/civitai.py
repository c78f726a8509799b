"""The Civitai API as a Source.

Asks politely (few requests at a time, spaced, one pause for all when the API wants one),
sends the token to the configured origin alone, and gives every answer a meaning by
`civsync.decide.replies`. Which model, version or file is wanted is not known here.

`answer` and `check_login` try again by themselves. `locate` does not: whoever moves the
bytes counts the tries of a file, and each address handed out counts against a quota.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

import anyio

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError
from civsync.core.limits import ANSWER_BYTES, REDIRECTS
from civsync.core.lock import LockedFile
from civsync.core.secrets import Token
from civsync.core.values import dataclass
from civsync.core.wire import HttpAnswer, HttpRequest, SignedUrl
from civsync.decide.origins import api_origin
from civsync.decide.redirects import Hop, bad_redirect
from civsync.decide.replies import Unfound, read_download_answer, read_json
from civsync.decide.retry import GiveUp
from civsync.ports import Clock, Errand, Reporter, Transport
from civsync.sources.civitai_requests import ApiCaller

if TYPE_CHECKING:
    from civsync.core.questions import Question, QuestionAnswer
    from civsync.sources.civitai_questions import CivitaiQuestions

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

    async def answer(self, question: "Question") -> "QuestionAnswer":
        """Answer one question; see `civsync.ports.Source`."""
        return await self._questions.answer(question)

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
                    raise await self._questions.why_unfound(file)
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

    @cached_property
    def _questions(self) -> "CivitaiQuestions":
        # A sync that only follows its lock starts without it.
        from civsync.sources.civitai_questions import CivitaiQuestions  # noqa: PLC0415

        return CivitaiQuestions(self._api)

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
        for hops in range(REDIRECTS + 1):
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
                case SignedUrl() if hops < REDIRECTS:
                    return replace(found, hops=hops + 1)
                case SignedUrl():
                    break
                case Unfound():
                    return found
                case Hop():
                    path = found.path
                case _:
                    assert_never(found)
        raise bad_redirect(f"more than {REDIRECTS} redirects")


def _read_login(answer: HttpAnswer) -> str:
    if answer.status == 401:
        raise RegistryError(Code.TOKEN_REFUSED, "Civitai does not know this API key")
    from civsync.sources.civitai_json import read_account  # noqa: PLC0415 - only with an API key

    return read_account(read_json(answer))
