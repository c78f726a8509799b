"""The download route refuses in Civitai's order and with its words, and redirects."""

from collections.abc import Callable, Iterator

import pytest

from civsync.demo.registry import File, Model, PaidAccess, Registry, Version
from civsync.demo.served import Served, serve
from support.loopback import Got, ask, send

NOT_FOUND = {"error": "File not found"}
FORBIDDEN = {"error": "Forbidden"}
LOGIN = "The creator of this asset requires you to be logged in to download it"
DISABLED = "The creator of this asset has disabled downloads on this file"
DEADLINE = "2099-01-01T00:00:00.000Z"


class World:
    """One model, one version, two files, served."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.registry = served.registry
        self.model: Model = self.registry.add_model()
        self.version: Version = self.model.add_version()
        self.file: File = self.version.add_file("best.safetensors", size="pruned", fp="fp16")
        self.other: File = self.version.add_file("full.safetensors", size="full", fp="fp32")

    def get(self, query: str = "", **headers: str | None) -> Got:
        url = f"{self.served.api_url}/api/download/models/{self.version.id}?{query}"
        return ask(url, **headers)

    def sent(self, query: str = "") -> str:
        """Follow the redirect of a good call and name the file that came."""
        got = ask(self.get(query).headers["Location"])
        [name] = [f.name for f in self.version.files if f.body.size and _is(f, got.body)]
        return name


def _is(file: File, data: bytes) -> bool:
    return b"".join(bytes(piece) for piece in file.body.chunks(0, file.body.size)) == data


@pytest.fixture
def world() -> Iterator[World]:
    with serve(Registry(tokens={"good"})) as served:
        yield World(served)


def block_address(world: World) -> None:
    world.registry.address_blocked = True


def block_user(world: World) -> None:
    world.registry.blocked_tokens = {"good"}


def use_up_quota(world: World) -> None:
    world.registry.download_quota = 0


def real_person(world: World) -> None:
    world.model.poi = True


def archive(world: World) -> None:
    world.model.mode = "Archived"


def unpublish(world: World) -> None:
    world.version.status = "Unpublished"


def disable(world: World) -> None:
    world.version.usage_control = "Generation"


def members_only(world: World) -> None:
    world.version.require_auth = True


def early_access(world: World) -> None:
    world.version.paid_access = PaidAccess(ends_at=DEADLINE)


def private(world: World) -> None:
    world.model.availability = "Private"


def lose_file(world: World) -> None:
    world.version.files.remove(world.file)


def break_storage(world: World) -> None:
    world.file.lookup_failures = 1


# In the order of the checks: each is refused so although everything below it is wrong too.
CHECKS: list[tuple[Callable[[World], None], int, dict[str, str]]] = [
    (block_address, 403, FORBIDDEN),
    (use_up_quota, 429, {}),
    (real_person, 404, NOT_FOUND),
    (archive, 410, {"error": "Model archived, not available for download"}),
    (unpublish, 404, NOT_FOUND),
    (disable, 401, {"error": "Unauthorized", "message": DISABLED}),
    (members_only, 401, {"error": "Unauthorized", "message": LOGIN}),
    (early_access, 403, {"error": "Early Access", "deadline": DEADLINE}),
    (private, 401, {"error": "Unauthorized", "message": LOGIN}),
    (lose_file, 404, NOT_FOUND),
]


@pytest.mark.parametrize("place", range(len(CHECKS)), ids=[row[0].__name__ for row in CHECKS])
def test_the_first_check_that_fails_gives_the_answer(world: World, place: int) -> None:
    for change, _, _ in CHECKS[place:]:
        change(world)
    _, status, body = CHECKS[place]
    got = world.get(f"fileId={world.file.id}")
    assert got.status == status
    assert body.items() <= got.json.items()
    assert got.headers["Cache-Control"] == "no-store, max-age=0"


def test_the_quota_counts_redirects_per_user_and_comes_before_bad_parameters(
    world: World,
) -> None:
    world.registry.download_quota = 1
    assert world.get().status == 307
    refused = world.get("fileId=x")
    assert refused.status == 429
    assert "unusual amount of downloading" in refused.json["error"]
    assert refused.headers["Retry-After"] is None
    assert world.get(authorization="Bearer good").status == 307


@pytest.mark.parametrize(
    "query",
    ["fileId=x", "type=Weights", "format=zip", "size=large", "fp=" + "f" * 65],
)
def test_bad_parameters_are_400(world: World, query: str) -> None:
    assert world.get(query).status == 400


def test_a_failed_storage_lookup_differs_only_in_its_caching_header(world: World) -> None:
    break_storage(world)
    got = world.get(f"fileId={world.file.id}")
    assert (got.status, got.json) == (404, NOT_FOUND)
    assert got.headers["Cache-Control"] == "private, no-store"
    assert world.get(f"fileId={world.file.id}").status == 307


def test_a_blocked_user_is_forbidden_with_the_token_and_free_without(world: World) -> None:
    block_user(world)
    assert world.get(authorization="Bearer good").json == FORBIDDEN
    assert world.get().status == 307


def test_a_token_opens_what_needs_a_login_and_a_bad_one_does_not(world: World) -> None:
    world.registry.downloads_need_login = True
    assert world.get(authorization="Bearer bad").status == 401
    assert world.get(authorization="Bearer good").status == 307
    assert world.get("token=good").status == 307


def test_early_access_ends_at_its_deadline_and_opens_for_those_who_paid(world: World) -> None:
    early_access(world)
    assert world.get(authorization="Bearer good").status == 403
    world.version.entitled.add("good")
    assert world.get(authorization="Bearer good").status == 307
    world.registry.clock = lambda: 4.2e9
    assert world.get().status == 307


def test_permanent_paid_access_has_no_deadline(world: World) -> None:
    world.version.paid_access = PaidAccess(permanent=True)
    assert "deadline" not in world.get().json


SELECTORS = {
    "bare": ("", "best.safetensors"),
    "file id": ("fileId={other}&type=VAE", "full.safetensors"),
    "preference": ("size=full&fp=fp32", "full.safetensors"),
    "type": ("type=Model", "best.safetensors"),
}


@pytest.mark.parametrize(("query", "name"), SELECTORS.values(), ids=SELECTORS)
def test_selectors_choose_the_file(world: World, query: str, name: str) -> None:
    assert world.sent(query.format(other=world.other.id)) == name


@pytest.mark.parametrize("query", ["type=Config", "size=full&fp=bf16", "format=GGUF", "fileId=1"])
def test_a_selector_that_no_file_meets_is_404(world: World, query: str) -> None:
    assert world.get(query).json == NOT_FOUND


def test_a_private_file_is_404_even_by_id(world: World) -> None:
    world.file.visibility = "Private"
    assert world.get(f"fileId={world.file.id}").status == 404
    assert world.sent() == "full.safetensors"


def test_an_unknown_version_is_404(world: World) -> None:
    got = ask(f"{world.served.api_url}/api/download/models/1")
    assert (got.status, got.json) == (404, NOT_FOUND)


def test_a_linked_vae_stands_in_only_without_an_own_one(world: World) -> None:
    linked = world.registry.add_model(type="VAE").add_version()
    linked.add_file("linked.safetensors", b"linked")
    world.version.vae_id = linked.id
    assert ask(world.get("type=VAE").headers["Location"]).body == b"linked"
    world.version.add_file("own.safetensors", b"own", type="VAE")
    assert ask(world.get("type=VAE").headers["Location"]).body == b"own"


def test_a_browser_is_sent_to_a_login_page_that_says_200(world: World) -> None:
    members_only(world)
    got = world.get(user_agent="Mozilla/5.0")
    assert got.status == 307
    assert got.headers["Location"].startswith("/login?")
    page = ask(world.served.api_url + got.headers["Location"], user_agent="Mozilla/5.0")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    unknown = ask(f"{world.served.api_url}/api/download/models/1", user_agent="Mozilla/5.0")
    assert (unknown.status, unknown.body) == (404, b"File not found")


def test_the_redirect_goes_to_the_other_origin_and_is_never_the_same_url(world: World) -> None:
    first, second = world.get(), world.get()
    assert first.headers["Cache-Control"] == "no-store, max-age=0"
    assert first.headers["Location"].startswith(world.served.storage_url)
    assert first.headers["Location"] != second.headers["Location"]


def test_head_is_of_no_use(world: World) -> None:
    url = f"{world.served.api_url}/api/download/models/{world.version.id}"
    assert send("HEAD", url).status == 401
