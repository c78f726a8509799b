"""Ask the API: headers, manners and tries. What is asked, and why, is not known here.

Few requests at a time, spaced, one pause for all of them when the host wants one; the
token goes to the configured origin alone, because only addresses made here are asked.
"""

import math
import threading
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import unquote

import anyio

from civsync import __version__
from civsync.core.errors import CivsyncError, WireError
from civsync.core.events import Noted, Paused
from civsync.core.limits import API_PARALLEL, API_SPACING_S, BRIEF_S, DOWNLOAD_SPACING_S
from civsync.core.secrets import MASK, Token
from civsync.core.wire import Head, HttpAnswer, HttpRequest
from civsync.decide.origins import Origin
from civsync.decide.pace import HostPace
from civsync.decide.retry import Again, GiveUp, decide, spell_seconds
from civsync.ports import Clock, Errand, Reporter, Transport

T = TypeVar("T")

USER_AGENT: Final = f"civsync/{__version__} (model file package manager)"
"""No word of a browser in it: browsers are sent to a login page instead of an error."""


class ApiCaller:
    """Requests to the API at `origin`, each answer bounded by `cap` bytes.

    Serves many tasks of one event loop, and errands in threads beside them.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        origin: Origin,
        token: Token | None,
        report: Reporter,
        cap: int,
    ) -> None:
        self.origin = origin
        self.cap = cap
        self._transport = transport
        self._clock = clock
        self._token = token if origin.keeps_secrets else None
        self._withheld = token is not None and self._token is None
        self._report = report
        self._pace = HostPace(spacing=API_SPACING_S)
        self._mutex = threading.Lock()
        self._places = anyio.CapacityLimiter(API_PARALLEL)

    @property
    def sends_token(self) -> bool:
        """Whether requests carry a token."""
        return self._token is not None

    def note_withheld_token(self) -> None:
        """Tell the user about a token that is not sent, if there is one."""
        if self._withheld:
            self._report(
                Noted(
                    code="token-withheld",
                    message=f"the API key is not sent to {self.origin}, which is not encrypted",
                )
            )

    def request(self, path: str, *, method: str = "GET", body: bytes | None = None) -> HttpRequest:
        """Return a request for `path` (with its query) at the API origin, token and all."""
        headers = {"user-agent": USER_AGENT, "accept": "application/json"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token.reveal()}"
        if body is not None:
            headers["content-type"] = "application/json"
        return HttpRequest(
            method=method,
            url=f"{self.origin}{path}",
            headers=headers,
            body=body,
            cap=self.cap,
        )

    def gives_token_away(self, url: str) -> bool:
        """Tell whether asking for `url` elsewhere would hand the token over."""
        return self._token is not None and any(
            self._token.is_in(text) for text in (url, unquote(url))
        )

    async def ask(self, request: HttpRequest, read: Callable[[HttpAnswer], T]) -> T:
        """Return what `read` makes of the answer, trying again while that may help.

        Raises what `read` raises, and WireError.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return read(await self.send(request))
            except WireError as error:
                match self.judge(error, attempt=attempt):
                    case GiveUp(error=final):
                        if final is error:
                            raise
                        raise final from error
                    case Again(delay=delay, shared=False):
                        text = (
                            f"{self.origin}: {error.message};"
                            f" trying again in {spell_seconds(math.ceil(delay))}"
                        )
                        self._report(Noted(code="api-retry", message=text))
                        await self._clock.sleep(delay)
                    case Again():
                        pass  # the next try waits for the pause of the host

    def judge(self, error: CivsyncError, *, attempt: int) -> Again | GiveUp:
        """Decide what follows a failure; a pause for the whole host begins here."""
        decision = decide(error, attempt, self._clock.jitter())
        if isinstance(decision, Again) and decision.shared:
            until = self._clock.monotonic() + decision.delay
            with self._mutex:
                paused = self._pace.pause(self.origin.host, until)
            if paused:
                self._report(Paused(host=self.origin.host, seconds=decision.delay, error=error))
        return decision

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Ask once, when there is a place and the host does not rest. Raises WireError."""
        async with self._places:
            while delay := self._wait(API_SPACING_S):
                await self._clock.sleep(delay)
            answer = await self._transport.ask(request)
        return self._masked(answer)

    async def send_download(self, request: HttpRequest) -> HttpAnswer:
        """Ask the download route once, unless the host rests. Raises WireError.

        Goes the way of the bytes, since every file of a run asks here. Of a long body the
        first ERROR_BODY_BYTES come back.
        """
        while delay := self._wait(DOWNLOAD_SPACING_S):
            await self._clock.sleep(delay)
        heads: list[Head] = []
        body = await self._transport.stream(request.url, request.headers, heads.append)
        return self._masked(HttpAnswer(head=heads[-1], body=body))

    def send_download_now(self, request: HttpRequest, errand: Errand) -> HttpAnswer | None:
        """Do what `send_download` does, in the thread of an errand; None if the host rests."""
        with self._mutex:
            now = self._clock.monotonic()
            wait = self._pace.book(
                self.origin.host, now, within=BRIEF_S, spacing=DOWNLOAD_SPACING_S
            )
        if wait is None:
            return None
        if wait:
            errand.rest(wait)
        heads: list[Head] = []
        body = errand.get(request.url, request.headers, heads.append)
        return self._masked(HttpAnswer(head=heads[-1], body=body))

    def _wait(self, spacing: float) -> float:
        """Take the turn of a request; else return the seconds after which to ask again."""
        with self._mutex:
            return self._pace.wait(self.origin.host, self._clock.monotonic(), spacing=spacing)

    def _masked(self, answer: HttpAnswer) -> HttpAnswer:
        """Take the token out of a body that repeats it, before any of it reaches a message."""
        if self._token is None:
            return answer
        secret = self._token.reveal().encode()
        if secret not in answer.body:
            return answer
        return HttpAnswer(head=answer.head, body=answer.body.replace(secret, MASK.encode()))
