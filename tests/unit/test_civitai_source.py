import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, WireError
from civsync.core.events import Event, Noted, Paused
from civsync.core.limits import API_ATTEMPTS, API_PARALLEL, API_SPACING_S, MAX_ID, REDIRECTS
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
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
)
from civsync.core.request import Search
from civsync.core.secrets import Token
from civsync.core.wire import HttpAnswer, HttpRequest, SignedUrl
from civsync.sources.civitai import CivitaiSource
from support.fake_clock import FakeClock
from support.scripted_transport import ScriptedTransport, Step, answer, json_answer, redirect

API = "https://civitai.com"
KEY = "0123456789abcdef"
STORAGE = "https://b2.civitai.com/file/m/x?sig="
PAGE = "<html>Just a moment...</html>"
SHA = "ab" * 32
FILE = LockedFile(
    path=SafePath("loras/x.safetensors"),
    size=1,
    sha256=SHA,
    model_id=5,
    version_id=7,
    file_id=9,
    name="x.safetensors",
    type="Model",
)
VAE = LockedFile(
    path=SafePath("vae/x.safetensors"),
    size=1,
    sha256=SHA,
    model_id=5,
    version_id=7,
    file_id=10,
    name="x.safetensors",
    type="VAE",
)
NOT_FOUND = json_answer(
    {"error": "File not found"}, 404, headers={"Cache-Control": "no-store, max-age=0"}
)
QUOTA = json_answer({"error": "We have noticed an unusual amount of downloading"}, 429)


@dataclass
class World:
    """A source over a script, with everything around it visible."""

    api_url: str = API
    token: Token | None = None
    answer_cap: int = 10**6
    wire: ScriptedTransport = field(default_factory=ScriptedTransport)
    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)
    source: CivitaiSource = field(init=False)

    def __post_init__(self) -> None:
        self.source = CivitaiSource(
            self.wire,
            self.clock,
            api_url=self.api_url,
            token=self.token,
            report=self._note,
            answer_cap=self.answer_cap,
        )

    def _note(self, event: Event) -> None:
        self.events.append(event)

    def models(self, question: Question) -> dict[int, list[int]]:
        """Ask; return model ids to version ids."""
        found = anyio.run(self.source.answer, question)
        assert isinstance(found, Models)
        return {model.id: [version.id for version in model.versions] for model in found.models}

    def locate(self, file: LockedFile = FILE, refused: SignedUrl | None = None) -> str:
        async def go() -> SignedUrl:
            return await self.source.locate(file, refused=refused)

        return anyio.run(go).url

    def failure(self, call: Callable[[], object]) -> CivsyncError:
        with pytest.raises(CivsyncError) as caught:
            call()
        return caught.value


def _model(model_id: int, *version_ids: int) -> dict[str, object]:
    versions = [{"id": v, "name": f"v{v}", "files": []} for v in version_ids]
    return {"id": model_id, "name": f"M{model_id}", "type": "LORA", "modelVersions": versions}


def _version(version_id: int, *file_ids: int) -> dict[str, object]:
    files = [{"id": f, "name": f"f{f}", "type": "Model", "sizeKB": 1} for f in file_ids]
    about = {"name": "M5", "type": "LORA"}
    return {"id": version_id, "name": "v", "modelId": 5, "model": about, "files": files}


def _listing(request: HttpRequest) -> HttpAnswer:
    """Show every model that is asked for, with a version of ten times its id."""
    query = parse_qs(urlsplit(request.url).query)
    return json_answer({"items": [_model(int(n), int(n) * 10) for n in query["ids"][0].split(",")]})


# --- batches ------------------------------------------------------------------------------


def test_a_batch_of_models_is_one_request_that_hides_nothing() -> None:
    world = World()
    world.wire.on("/models?", _listing)
    assert world.models(AskModels((3, 1, 2))) == {3: [30], 1: [10], 2: [20]}
    (url,) = world.wire.urls
    assert url == f"{API}/api/v1/models?ids=3,1,2&limit=100&nsfw=true&archived=true"


def test_a_batch_of_versions_shows_models_in_part() -> None:
    world = World()
    world.wire.on("modelVersionIds=70,80&", json_answer({"items": [_model(7, 70), _model(8, 80)]}))
    found = anyio.run(world.source.answer, AskModelsOfVersions((70, 80)))
    assert isinstance(found, Models)
    assert [(model.id, model.whole) for model in found.models] == [(7, False), (8, False)]


def test_what_was_not_asked_for_is_not_believed() -> None:
    world = World()
    world.wire.on("/models?", json_answer({"items": [_model(1), _model(666)]}))
    assert world.models(AskModels((1,))) == {1: []}


def test_ids_that_cannot_exist_and_empty_batches_cost_no_request() -> None:
    world = World()
    assert world.models(AskModels(())) == {}
    assert world.models(AskModels((0, -1, MAX_ID + 1))) == {}
    assert world.models(AskModel(MAX_ID + 1)) == {}
    assert world.models(AskVersion(0)) == {}
    assert world.wire.urls == []


def test_more_ids_than_a_batch_allows_are_asked_in_batches() -> None:
    world = World()
    world.wire.on("/models?", _listing)
    assert len(world.models(AskModels(tuple(range(1, 251))))) == 250
    assert len(world.wire.urls) == 3


def test_an_answer_above_the_cap_is_asked_in_halves() -> None:
    world = World(answer_cap=400)
    world.wire.on("/models?", _listing)
    ids = tuple(range(1, 9))
    assert world.models(AskModels(ids)) == {n: [n * 10] for n in ids}
    assert {request.cap for request in world.wire.requests} == {400}
    assert 1 < len(world.wire.urls) < 2 * len(ids)


def test_one_model_above_the_cap_counts_as_not_shown_and_fails_alone() -> None:
    world = World(answer_cap=150)
    huge = json_answer({"items": [_model(2, *range(100, 120))]})
    world.wire.on("ids=1&", json_answer({"items": [_model(1)]}))
    world.wire.on("ids=2&", huge)
    world.wire.on("ids=1,2&", huge)
    assert world.models(AskModels((1, 2))) == {1: []}
    world.wire.on("/models/2", huge)
    error = world.failure(lambda: world.models(AskModel(2)))
    assert error.code is Code.ANSWER_TOO_LARGE


def test_halves_that_show_versions_of_one_model_are_united() -> None:
    world = World(answer_cap=400)
    world.wire.on("modelVersionIds=70&", json_answer({"items": [_model(7, 70)]}))
    world.wire.on("modelVersionIds=71&", json_answer({"items": [_model(7, 71)]}))
    world.wire.on(
        "modelVersionIds=70,71&", json_answer({"items": [_model(7, 70, 71)], "pad": "x" * 400})
    )
    assert world.models(AskModelsOfVersions((70, 71))) == {7: [70, 71]}


# --- single things ------------------------------------------------------------------------


def test_a_model_and_a_version_are_asked_singly() -> None:
    world = World()
    world.wire.on("/api/v1/models/5", json_answer(_model(5, 7)))
    world.wire.on("/api/v1/model-versions/7", json_answer(_version(7, 9)))
    assert world.models(AskModel(5)) == {5: [7]}
    assert world.models(AskVersion(7)) == {5: [7]}


def test_not_found_is_an_answer() -> None:
    world = World()
    world.wire.on("/models/5", json_answer({"error": "No model with id 5"}, 404))
    world.wire.on("/model-versions/7", json_answer({"error": "Missing model file"}, 404))
    assert world.models(AskModel(5)) == {}
    assert world.models(AskVersion(7)) == {}
    assert len(world.wire.urls) == 2


def test_a_404_page_is_no_answer() -> None:
    world = World()
    world.wire.on("/models/5", answer(404, PAGE))
    assert world.failure(lambda: world.models(AskModel(5))).code is Code.NOT_JSON


def test_an_answer_about_another_thing_is_malformed() -> None:
    world = World()
    world.wire.on("/models/5", json_answer(_model(6)))
    world.wire.on("/model-versions/7", json_answer(_version(8)))
    for question in (AskModel(5), AskVersion(7)):
        error = world.failure(lambda q=question: world.models(q))  # type: ignore[misc]  # mypy cannot type a lambda's default
        assert error.code is Code.REPLY_MALFORMED


def test_owners_are_asked_by_whole_hashes_alone() -> None:
    world = World()
    other = "cd" * 32
    world.wire.on(
        "/by-hash/ids", json_answer([{"modelVersionId": 7, "modelId": 5, "hash": SHA.upper()}])
    )
    found = anyio.run(world.source.answer, AskOwners((other, SHA, "short")))
    assert found == Owners({SHA: ((5, 7),)})
    (request,) = world.wire.requests
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(request.body or b"") == [SHA, other]
    assert anyio.run(world.source.answer, AskOwners(())) == Owners({})
    assert len(world.wire.requests) == 1


# --- listings -----------------------------------------------------------------------------


def test_a_page_that_is_too_large_is_asked_for_in_smaller_sizes_from_the_same_place() -> None:
    world = World(answer_cap=400)
    world.wire.on("/models?", json_answer({"items": [], "pad": "x" * 400}))
    world.wire.on(
        "limit=25&cursor=", json_answer({"items": [_model(1)], "metadata": {"nextCursor": 9}})
    )
    found = anyio.run(world.source.answer, AskPage(Search(), "a|b", 100))
    assert isinstance(found, Page)
    assert ([model.id for model in found.models], found.cursor) == ([1], "9")
    queries = [parse_qs(urlsplit(url).query) for url in world.wire.urls]
    assert [query["limit"] for query in queries] == [["100"], ["50"], ["25"]]
    assert [query["cursor"] for query in queries] == [["a|b"]] * 3


def test_one_model_that_is_too_large_by_itself_ends_the_search() -> None:
    world = World(answer_cap=400)
    world.wire.on("/models?", json_answer({"items": [], "pad": "x" * 400}))
    question = AskPage(Search(), "", 2)
    error = world.failure(lambda: anyio.run(world.source.answer, question))
    assert error.code is Code.ANSWER_TOO_LARGE
    assert world.wire.asked("/models?") == 2


def test_a_search_that_is_refused_is_not_asked_again() -> None:
    world = World()
    issue = {"path": ["sort"], "message": "Invalid option"}
    world.wire.on("/models?", json_answer({"error": {"issues": [issue]}}, 400))
    question = AskPage(Search(sort="Best"), "", 9)
    error = world.failure(lambda: anyio.run(world.source.answer, question))
    assert error.code is Code.SEARCH_REFUSED
    assert "sort: Invalid option" in error.message
    assert world.wire.asked("/models?") == 1


def test_favorites_of_nobody_are_not_asked_for() -> None:
    world = World()
    question = AskPage(Search(favorites=True), "", 9)
    error = world.failure(lambda: anyio.run(world.source.answer, question))
    assert error.code is Code.LOGIN_NEEDED
    assert world.wire.urls == []


# --- manners ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(answer(503, PAGE), id="503"),
        pytest.param(answer(429, PAGE), id="429"),
        pytest.param(answer(200, PAGE), id="maintenance page"),
        pytest.param(answer(200, "{", kind="application/json"), id="cut JSON"),
        pytest.param(WireError(Code.CONNECTION_LOST, "reset"), id="reset"),
    ],
)
@pytest.mark.parametrize("times", [1, API_ATTEMPTS - 1])
def test_passing_trouble_is_survived(trouble: Step, times: int) -> None:
    world = World()
    world.wire.on("/models/5", *[trouble] * times, json_answer(_model(5)))
    assert world.models(AskModel(5)) == {5: []}
    assert world.wire.asked("/models/5") == times + 1
    assert len(world.clock.slept) >= times


def test_lasting_trouble_ends_after_a_bounded_number_of_tries() -> None:
    world = World()
    world.wire.on("/models/5", answer(500, PAGE))
    assert world.failure(lambda: world.models(AskModel(5))).code is Code.SERVER_ERROR
    assert world.wire.asked("/models/5") == API_ATTEMPTS


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (json_answer({"error": "no", "code": "REGION_BLOCKED"}, 451), Code.REGION_BLOCKED),
        (json_answer({"error": "Forbidden"}, 403), Code.ACCESS_DENIED),
        (WireError(Code.TLS_FAILED, "unknown authority"), Code.TLS_FAILED),
    ],
    ids=["region", "forbidden", "TLS"],
)
def test_a_final_answer_is_not_asked_for_twice(trouble: Step, code: Code) -> None:
    world = World()
    world.wire.on("/models/5", trouble)
    assert world.failure(lambda: world.models(AskModel(5))).code is code
    assert world.wire.asked("/models/5") == 1


def test_retry_after_is_obeyed_and_told() -> None:
    world = World()
    world.wire.on(
        "/models/5", answer(429, PAGE, headers={"Retry-After": "45"}), json_answer(_model(5))
    )
    world.models(AskModel(5))
    assert max(world.clock.slept) == pytest.approx(45)
    assert [(e.host, e.seconds) for e in world.events if isinstance(e, Paused)] == [
        ("civitai.com", 45.0)
    ]


def test_a_longer_pause_than_civsync_waits_ends_with_the_time() -> None:
    world = World()
    world.wire.on("/models/5", answer(429, PAGE, headers={"Retry-After": "7200"}))
    error = world.failure(lambda: world.models(AskModel(5)))
    assert error.code is Code.RATE_LIMITED
    assert "2 h" in error.message
    assert world.wire.asked("/models/5") == 1
    assert world.clock.slept == []


def test_one_pause_holds_all_requests_and_is_told_once() -> None:
    world = World()
    world.wire.on("/models/", _alone)
    busy = answer(503, PAGE, headers={"Retry-After": "30"})
    world.wire.on("/models/1", busy, json_answer(_model(1)))
    started = world.clock.now

    async def go() -> None:
        async with anyio.create_task_group() as group:
            for number in (1, 2, 3, 4, 5, 6):
                group.start_soon(world.source.answer, AskModel(number))

    anyio.run(go)
    assert len(world.wire.urls) == 7
    assert world.clock.now >= started + 30
    assert len([event for event in world.events if isinstance(event, Paused)]) == 1


def _alone(request: HttpRequest) -> HttpAnswer:
    return json_answer(_model(int(request.url.rpartition("/")[2])))


def test_requests_are_few_at_a_time_and_spaced() -> None:
    world = World()
    sent: list[float] = []

    def noted(request: HttpRequest) -> HttpAnswer:
        sent.append(world.clock.now)
        return _alone(request)

    world.wire.on("/models/", noted)

    async def go() -> None:
        async with anyio.create_task_group() as group:
            for number in range(1, 21):
                group.start_soon(world.source.answer, AskModel(number))

    anyio.run(go)
    assert world.wire.busiest <= API_PARALLEL
    assert world.clock.now >= 1000 + 19 * API_SPACING_S - 1e-6
    assert len(sent) == 20


def test_trouble_that_is_tried_again_is_noted() -> None:
    world = World()
    world.wire.on("/models/5", answer(500), json_answer(_model(5)))
    world.models(AskModel(5))
    assert [event.code for event in world.events if isinstance(event, Noted)] == ["api-retry"]


# --- the token ----------------------------------------------------------------------------


def test_every_request_to_the_api_carries_the_token_and_an_honest_name() -> None:
    world = World(token=Token(KEY))
    world.wire.on("/models/5", json_answer(_model(5)))
    world.wire.on("/download/", redirect(STORAGE + "1"))
    world.models(AskModel(5))
    world.locate()
    for request in world.wire.requests:
        assert request.url.startswith(f"{API}/")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["user-agent"].startswith("civsync/")
        assert KEY not in request.url


def test_the_name_holds_no_word_of_a_browser() -> None:
    world = World()
    world.wire.on("/models/5", json_answer(_model(5)))
    world.models(AskModel(5))
    agent = world.wire.requests[0].headers["user-agent"].lower()
    browsers = ("mozilla", "chrome", "safari", "firefox", "opera", "edge")
    assert not any(word in agent for word in browsers)


@pytest.mark.parametrize("api", ["http://civitai.com", "http://10.0.0.1:8080"])
def test_over_plain_http_the_token_stays_at_home_and_that_is_said(api: str) -> None:
    world = World(api_url=api, token=Token(KEY))
    world.wire.on("/models/5", json_answer(_model(5)))
    world.models(AskModel(5))
    assert anyio.run(world.source.check_login) is None
    assert all("authorization" not in request.headers for request in world.wire.requests)
    assert [event.code for event in world.events if isinstance(event, Noted)] == ["token-withheld"]


def test_on_loopback_plain_http_is_good_enough() -> None:
    world = World(api_url="http://127.0.0.1:8080", token=Token(KEY))
    world.wire.on("/me", json_answer({"id": 1, "username": "alex"}))
    assert anyio.run(world.source.check_login) == "alex"
    assert world.wire.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_a_token_nobody_is_asked_who_it_is() -> None:
    world = World()
    assert anyio.run(world.source.check_login) is None
    assert world.wire.urls == []


def test_the_login_is_checked_once() -> None:
    world = World(token=Token(KEY))
    world.wire.on("/api/v1/me", json_answer({"id": 1, "username": "alex"}))

    async def go() -> list[str | None]:
        return [await world.source.check_login() for _ in range(3)]

    assert anyio.run(go) == ["alex"] * 3
    assert len(world.wire.urls) == 1


def test_an_unknown_token_is_refused() -> None:
    world = World(token=Token(KEY))
    world.wire.on("/api/v1/me", json_answer({"error": "Unauthorized"}, 401))
    assert world.failure(lambda: anyio.run(world.source.check_login)).code is Code.TOKEN_REFUSED


def test_a_server_that_repeats_the_token_does_not_get_it_into_an_error() -> None:
    world = World(token=Token(KEY))
    world.wire.on("/models/5", json_answer({"error": f"bad header: Bearer {KEY}"}, 403))
    world.wire.on("/download/", json_answer({"error": "x", "message": f"not {KEY}"}, 401))
    for call in (lambda: world.models(AskModel(5)), world.locate):
        error = world.failure(call)
        assert KEY not in error.message
        assert "***" in error.message


@pytest.mark.parametrize("where", [f"?token={KEY}", "?t=%30" + KEY[1:], f"/{KEY}/x"])
def test_a_redirect_that_would_carry_the_token_away_is_refused(where: str) -> None:
    world = World(token=Token(KEY))
    world.wire.on("/download/", redirect(f"https://storage.test/x{where}"))
    error = world.failure(world.locate)
    assert error.code is Code.BAD_REDIRECT
    assert KEY not in error.message


# --- where the bytes are ------------------------------------------------------------------


def test_a_file_is_asked_for_by_its_id() -> None:
    world = World()
    world.wire.on("/download/", redirect(STORAGE + "1"))
    assert world.locate() == STORAGE + "1"
    assert world.wire.urls == [f"{API}/api/download/models/7?fileId=9"]


def test_an_address_is_used_again_until_it_is_refused() -> None:
    world = World()
    world.wire.on("/download/", redirect(STORAGE + "1"), redirect(STORAGE + "2"))
    assert [world.locate() for _ in range(3)] == [STORAGE + "1"] * 3
    assert world.locate(refused=SignedUrl(url=STORAGE + "1")) == STORAGE + "2"
    # A task that is late with the old address gets the new one, not a third.
    assert world.locate(refused=SignedUrl(url=STORAGE + "1")) == STORAGE + "2"
    assert len(world.wire.urls) == 2


def test_tasks_that_want_one_file_cost_one_request() -> None:
    world = World()
    world.wire.on("/download/", redirect(STORAGE + "1"))
    found: list[str] = []

    async def one() -> None:
        found.append((await world.source.locate(FILE)).url)

    async def go() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)

    anyio.run(go)
    assert found == [STORAGE + "1"] * 5
    assert len(world.wire.urls) == 1


def test_hops_on_the_api_are_followed_by_hand_and_counted() -> None:
    world = World()
    world.wire.on("/models/7?", redirect("/api/download/models/8?fileId=9"))
    world.wire.on("/models/8?", redirect(STORAGE + "1"))
    assert world.locate() == STORAGE + "1"

    many = World()
    for hop in range(REDIRECTS):
        many.wire.on(f"fileId={9 + hop}", redirect(f"/api/download/models/7?fileId={10 + hop}"))
    many.wire.on(f"fileId={9 + REDIRECTS}", redirect(STORAGE + "1"))
    assert many.failure(many.locate).code is Code.BAD_REDIRECT
    many.wire.on(f"fileId={8 + REDIRECTS}", redirect(STORAGE + "1"))
    assert many.locate() == STORAGE + "1"

    loop = World()
    loop.wire.on("/download/", redirect("/api/download/models/7?fileId=9"))
    assert loop.failure(loop.locate).code is Code.BAD_REDIRECT
    assert len(loop.wire.urls) == REDIRECTS + 1


def test_a_404_for_a_listed_file_is_a_failing_storage() -> None:
    world = World()
    world.wire.on("/download/", NOT_FOUND)
    world.wire.on("/model-versions/7", json_answer(_version(7, 8, 9)))
    world.wire.on("/api/v1/models/", json_answer({"id": 5}))
    error = world.failure(world.locate)
    assert error.code is Code.STORAGE_MISSING
    assert error.retry


def test_a_404_for_a_listed_file_of_a_model_taken_offline_is_no_passing_failure() -> None:
    world = World()
    world.wire.on("/download/", NOT_FOUND)
    world.wire.on("/model-versions/7", json_answer(_version(7, 8, 9)))
    world.wire.on("/api/v1/models/", json_answer({"error": "No model with id 5"}, 404))
    assert world.failure(world.locate).code is Code.GONE


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(json_answer(_version(7, 8)), id="other files"),
        pytest.param(json_answer(_version(7)), id="no files"),
        pytest.param(json_answer({"error": "Model not found"}, 404), id="no version"),
    ],
)
def test_a_404_for_a_file_that_is_listed_no_more_is_gone(version: HttpAnswer) -> None:
    world = World()
    world.wire.on("/download/", NOT_FOUND)
    world.wire.on("/model-versions/7", version)
    error = world.failure(world.locate)
    assert error.code is Code.GONE
    assert "version 7 of model 5" in error.message


def test_nothing_is_called_gone_while_the_api_is_down() -> None:
    world = World()
    world.wire.on("/download/", NOT_FOUND)
    world.wire.on("/model-versions/7", answer(503, PAGE))
    assert world.failure(world.locate).code is Code.SERVER_ERROR


def test_a_linked_vae_of_unknown_owner_is_asked_for_by_type() -> None:
    world = World()
    world.wire.on("?fileId=10", NOT_FOUND)
    world.wire.on("?type=VAE", redirect(STORAGE + "1"))
    assert world.locate(VAE) == STORAGE + "1"
    assert [urlsplit(url).query for url in world.wire.urls] == ["fileId=10", "type=VAE"]


def test_a_file_of_another_version_is_asked_for_there() -> None:
    world = World()
    owned = LockedFile(
        path=VAE.path, size=1, sha256=SHA, model_id=5, version_id=7, file_id=10,
        name="x", type="VAE", owner_version_id=77,
    )  # fmt: skip
    world.wire.on("/models/77?fileId=10", NOT_FOUND)
    world.wire.on("/model-versions/77", json_answer({"error": "Model not found"}, 404))
    assert world.failure(lambda: world.locate(owned)).code is Code.GONE


def test_a_used_up_quota_stops_all_further_questions_but_not_known_addresses() -> None:
    world = World()
    world.wire.on("fileId=9", redirect(STORAGE + "1"))
    world.wire.on("fileId=10", QUOTA)
    world.locate()
    errors = [world.failure(lambda: world.locate(VAE)) for _ in range(3)]
    assert {error.code for error in errors} == {Code.QUOTA}
    assert len({id(error) for error in errors}) == 3
    assert len(world.wire.urls) == 2
    assert world.locate() == STORAGE + "1"
    refused = SignedUrl(url=STORAGE + "1")
    assert world.failure(lambda: world.locate(refused=refused)).code is Code.QUOTA
    assert len(world.wire.urls) == 2


def test_a_login_that_is_missing_for_one_file_says_nothing_about_the_next() -> None:
    world = World()
    needs_login = json_answer({"error": "Unauthorized", "message": "log in"}, 401)
    world.wire.on("fileId=9", redirect(STORAGE + "1"))
    world.wire.on("fileId=10", needs_login)
    error = world.failure(lambda: world.locate(VAE))
    assert isinstance(error, RegistryError)
    assert error.code is Code.LOGIN_NEEDED
    assert world.locate() == STORAGE + "1"


def test_a_busy_download_route_makes_the_api_rest_and_is_not_asked_again_here() -> None:
    world = World()
    busy = answer(429, PAGE, headers={"Retry-After": "20"})
    world.wire.on("/download/", busy, redirect(STORAGE + "1"))
    assert world.failure(world.locate).code is Code.RATE_LIMITED
    assert len(world.wire.urls) == 1
    assert world.locate() == STORAGE + "1"
    assert world.clock.slept == [pytest.approx(20.0)]


def test_a_pause_above_the_cap_is_told_with_its_time() -> None:
    world = World()
    world.wire.on("/download/", answer(503, PAGE, headers={"Retry-After": "7200"}))
    assert "2 h" in world.failure(world.locate).message


def test_a_route_that_sends_megabytes_is_no_redirect() -> None:
    world = World()
    body = answer(200, b"\0" * (2 * 1024 * 1024), kind="application/octet-stream")
    world.wire.on("/download/", body)
    assert world.failure(world.locate).code is Code.BAD_REDIRECT


def test_an_api_address_that_is_no_origin_is_refused_at_once() -> None:
    error = World().failure(lambda: World(api_url="https://civitai.com/api/v1"))
    assert error.code is Code.CONFIG_INVALID
