"""`GET /models`, by-hash, `/me`, `/enums`: parameters, paging, errors, tokens."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from civsync.demo.registry import Registry, iso
from civsync.demo.served import Served, serve
from support.loopback import ask, send

SAFE = "=&%,|~"


@pytest.fixture
def served() -> Iterator[Served]:
    with serve(Registry(tokens={"good"})) as running:
        yield running


def fill(served: Served, count: int) -> list[int]:
    for number in range(count):
        model = served.registry.add_model(f"Model {number}", thumbs_up=number % 3)
        model.add_version().add_file()
    return list(served.registry.models)


def listed(served: Served, query: str = "", **headers: str) -> Any:  # noqa: ANN401  (whatever the server wrote)
    return ask(f"{served.api_url}/api/v1/models?{quote(query, safe=SAFE)}", **headers).json


def ids(answer: dict[str, Any]) -> list[int]:
    return [item["id"] for item in answer["items"]]


@pytest.mark.parametrize("sort", ["Highest Rated", "Newest", "Oldest", "Most Downloaded"])
def test_cursors_lead_through_all_models_once(served: Served, sort: str) -> None:
    expected = fill(served, 11)
    query = f"limit=4&sort={quote(sort)}"
    seen: list[int] = []
    cursor: str | None = None
    for _ in range(3):
        more = f"&cursor={quote(cursor)}" if cursor else ""
        answer = listed(served, query + more)
        seen += ids(answer)
        cursor = answer["metadata"].get("nextCursor")
    assert cursor is None
    assert sorted(seen) == expected
    if sort == "Oldest":
        assert seen == expected


SORTS = {
    "": ["b", "a", "c"],
    "Highest Rated": ["b", "a", "c"],
    "Most Liked": ["b", "a", "c"],
    "Most Downloaded": ["c", "b", "a"],
    "Most Discussed": ["a", "b", "c"],
    "Most Collected": ["c", "b", "a"],
    "Most Images": ["b", "a", "c"],
    "Newest": ["c", "b", "a"],
    "Oldest": ["a", "b", "c"],
}


@pytest.mark.parametrize(("sort", "expected"), SORTS.items(), ids=SORTS)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_each_sort_goes_by_its_own_figure(
    served: Served, sort: str, expected: list[str], limit: int
) -> None:
    add = served.registry.add_model
    add("a", comments=9).add_version().add_file()
    add("b", thumbs_up=50, pictures=7).add_version().add_file()
    add("c", downloads=900, thumbs_up=5, collected=3).add_version().add_file()
    assert names(served, f"sort={quote(sort)}" if sort else "", limit) == expected


def names(served: Served, query: str, limit: int, cursor: str = "") -> list[str]:
    found: list[str] = []
    for _ in range(20):
        answer = listed(served, f"{query}&limit={limit}&cursor={quote(cursor)}")
        found += [item["name"] for item in answer["items"]]
        cursor = answer["metadata"].get("nextCursor", "")
        if not cursor:
            break
    return found


@pytest.mark.parametrize(
    ("period", "expected"),
    [("Day", 1), ("Week", 2), ("Month", 3), ("Year", 4), ("AllTime", 5)],
)
def test_a_period_reaches_back_from_now(served: Served, period: str, expected: int) -> None:
    now = datetime(2025, 6, 1, tzinfo=UTC)
    served.registry.clock = now.timestamp
    for days in (0.5, 5, 20, 200, 900):
        version = served.registry.add_model().add_version(
            published_at=iso(now - timedelta(days=days))
        )
        version.add_file()
    assert len(listed(served, f"period={period}")["items"]) == expected
    assert len(listed(served, f"period={period}&periodMode=stats")["items"]) == 5


def test_base_models_narrow_models_and_their_versions(served: Served) -> None:
    model = served.registry.add_model()
    model.add_version(base_model="SDXL 1.0").add_file()
    model.add_version(base_model="Pony").add_file()
    [found] = listed(served, "baseModels=Pony")["items"]
    assert [(v["baseModel"], v["index"]) for v in found["modelVersions"]] == [("Pony", 1)]


def test_favorites_are_those_of_the_token(served: Served) -> None:
    first, second, _ = fill(served, 3)
    served.registry.tokens.add("other")
    served.registry.favorites = {"good": {first, second}}
    good, other = {"authorization": "Bearer good"}, {"authorization": "Bearer other"}
    assert sorted(ids(listed(served, "favorites=true", **good))) == [first, second]
    assert ids(listed(served, "favorites=true", **other)) == []
    assert len(ids(listed(served, "favorites=false", **good))) == 3


def test_filters_thin_out_the_pages_of_a_text_and_leave_empty_ones(served: Served) -> None:
    for number in range(6):
        creator = "ann" if number == 5 else "bob"
        made = served.registry.add_model(f"alpha {number}", creator=creator)
        made.add_version().add_file()
    sizes = []
    cursor = "0"
    while cursor:
        answer = listed(served, f"query=alpha&username=ann&limit=2&cursor={cursor}")
        sizes.append(len(answer["items"]))
        cursor = answer["metadata"].get("nextCursor")
    assert sizes == [0, 0, 1]


def test_a_listing_misbehaves_between_pages_on_demand(served: Served) -> None:
    fill(served, 7)
    registry = served.registry
    plain = names(served, "", 3)
    registry.empty_pages = 2
    first = listed(served, "limit=3")
    assert (first["items"], first["metadata"]["nextCursor"]) == ([], "~2")
    assert names(served, "", 3, "~2") == plain
    registry.page_overlap = 1
    assert names(served, "", 3) == [*plain[:3], *plain[2:6], *plain[5:]]
    registry.cursors_repeat = True
    once = listed(served, "limit=3")["metadata"]["nextCursor"]
    again = listed(served, f"limit=3&cursor={quote(once)}")["metadata"]["nextCursor"]
    assert again == once


def test_a_model_that_moves_up_between_two_pages_pushes_another_one_over(served: Served) -> None:
    fill(served, 4)
    first = listed(served, "limit=2&sort=Most Liked")
    last = served.registry.models[ids(listed(served, "sort=Most Liked"))[-1]]
    last.thumbs_up = 99
    second = listed(
        served, f"limit=9&sort=Most Liked&cursor={quote(first['metadata']['nextCursor'])}"
    )
    assert last.id not in ids(first) + ids(second)


def test_the_next_page_is_a_complete_url(served: Served) -> None:
    fill(served, 3)
    first = listed(served, "limit=2&nsfw=true")
    assert "|" in first["metadata"]["nextCursor"]
    second = ask(first["metadata"]["nextPage"]).json
    assert len(set(ids(first) + ids(second))) == 3


def test_page_is_accepted_and_does_not_page(served: Served) -> None:
    fill(served, 3)
    assert ids(listed(served, "limit=1&page=2")) == ids(listed(served, "limit=1&page=1"))


def test_limit_zero_gives_one_item(served: Served) -> None:
    fill(served, 2)
    assert len(listed(served, "limit=0")["items"]) == 1


def test_a_query_pages_by_a_numeric_cursor(served: Served) -> None:
    fill(served, 3)
    answer = listed(served, "query=model&limit=2")
    assert answer["metadata"]["nextCursor"] == "2"
    assert len(listed(served, "query=model&limit=2&cursor=2")["items"]) == 1


def test_a_batch_gives_what_exists_and_nothing_for_the_rest(served: Served) -> None:
    known = fill(served, 3)
    assert sorted(ids(listed(served, f"ids={known[0]},{known[2]},12345"))) == [known[0], known[2]]


def test_version_ids_narrow_models_and_their_versions(served: Served) -> None:
    model = served.registry.add_model()
    first, second = model.add_version(), model.add_version()
    first.add_file()
    second.add_file()
    [found] = listed(served, f"modelVersionIds={second.id}")["items"]
    assert [version["id"] for version in found["modelVersions"]] == [second.id]
    assert found["modelVersions"][0]["index"] == 1


REFUSED = {
    "limit above 100": ("limit=101", 400),
    "limit no number": ("limit=many", 400),
    "types with comma": ("types=LORA,VAE", 400),
    "base models with comma": ("baseModels=Pony,SDXL 1.0", 400),
    "unknown checkpoint type": ("checkpointType=Mixed", 400),
    "unknown sort": ("sort=Best", 400),
    "unknown period": ("period=Decade", 400),
    "nsfw no boolean": ("nsfw=maybe", 400),
    "one file format": ("fileFormats=GGUF", 400),
    "browsingLevel": ("browsingLevel=1", 400),
    "allowNoCredit": ("allowNoCredit=true", 400),
    "page with query": ("query=x&page=1", 400),
    "ids no numbers": ("ids=1,x", 400),
    "cursor not given out": ("cursor=zzz", 400),
    "too many pages": ("page=11&limit=100", 429),
    "unknown user": ("username=nobody", 404),
    "favorites without a token": ("favorites=false", 401),
}


@pytest.mark.parametrize(("query", "status"), REFUSED.values(), ids=REFUSED)
def test_bad_parameters_are_refused(served: Served, query: str, status: int) -> None:
    got = ask(f"{served.api_url}/api/v1/models?{quote(query, safe=SAFE)}")
    assert got.status == status
    assert isinstance(got.json["error"], dict if status == 400 else str)


FILTERS = {
    "types": ("types=LORA&types=VAE", {"a", "b"}),
    "tag": ("tag=style", {"a"}),
    "username": ("username=someone_else", {"b"}),
    "baseModels": ("baseModels=Pony", {"b"}),
    "query": ("query=ALPHA", {"a"}),
    "unknown ignored": ("fullDetails=1&foo=bar", {"a", "b", "c"}),
    "commercial use": ("allowCommercialUse=Sell", {"c"}),
    "checkpoint type": ("checkpointType=Merge&types=Checkpoint", {"c"}),
    "checkpoint type lets others be": ("checkpointType=Merge", {"a", "b", "c"}),
    "another checkpoint type": ("checkpointType=Trained&types=Checkpoint", set()),
    "checkpoint type of other types": ("checkpointType=Trained&types=VAE", {"b"}),
    "a tag that nobody uses": ("tag=unheard", {"a", "b", "c"}),
    "a tag in other case": ("tag=STYLE", {"a"}),
    "username in other case": ("username=Someone_Else", {"b"}),
    "username without its signs": ("username=some.one_else", {"b"}),
    "types and base models": ("types=VAE&types=LORA&baseModels=Pony&baseModels=SDXL 1.0", {"b"}),
    "formats": ("fileFormats=GGUF&fileFormats=ONNX", {"c"}),
}


@pytest.mark.parametrize(("query", "expected"), FILTERS.values(), ids=FILTERS)
def test_filters_narrow_the_listing(served: Served, query: str, expected: set[str]) -> None:
    add = served.registry.add_model
    add("a alpha", tags=["style"]).add_version().add_file()
    add("b", type="VAE", creator="someone_else").add_version(base_model="Pony").add_file()
    merge = add("c", type="Checkpoint", checkpoint_type="Merge", allow_commercial_use=["Sell"])
    merge.add_version().add_file("c.gguf")
    assert {item["name"][0] for item in listed(served, query)["items"]} == expected


def test_primary_file_only_hides_the_other_files(served: Served) -> None:
    version = served.registry.add_model().add_version()
    version.add_file("words.zip", type="Training Data")
    version.add_file("weights.safetensors")
    [found] = listed(served, "primaryFileOnly=true")["items"]
    names = [file["name"] for file in found["modelVersions"][0]["files"]]
    assert names == ["weights.safetensors"]


def test_bulk_hashes_answer_per_matching_file(served: Served) -> None:
    model = served.registry.add_model()
    first, second = model.add_version(), model.add_version()
    one = first.add_file("a.safetensors", b"same content")
    second.add_file("b.safetensors", b"same content")
    base = f"{served.api_url}/api/v1/model-versions/by-hash"
    body = json.dumps([one.sha256.lower(), "0" * 64]).encode()
    expected = [
        {"modelVersionId": version.id, "modelId": model.id, "hash": one.sha256}
        for version in (first, second)
    ]
    assert send("POST", f"{base}/ids", body).json == expected
    full = send("POST", base, body).json
    assert [version["id"] for version in full] == [first.id, second.id]
    assert ask(f"{base}/{one.shown_hashes['AutoV2']}").json["id"] == first.id


def test_ten_thousand_hashes_are_answered_at_once(served: Served) -> None:
    file = served.registry.add_model().add_version().add_file()
    hashes = [f"{number:064x}" for number in range(9_999)]
    body = json.dumps([*hashes, file.sha256]).encode()
    url = f"{served.api_url}/api/v1/model-versions/by-hash/ids"
    assert [hit["hash"] for hit in send("POST", url, body).json] == [file.sha256]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("by-hash", ["0" * 63]),
        ("by-hash", ["0" * 64] * 101),
        ("by-hash/ids", ["0" * 64] * 10_001),
        ("by-hash/ids", {"hash": "0" * 64}),
    ],
    ids=["63 digits", "101 hashes", "10,001 ids", "no array"],
)
def test_bulk_hashes_refuse_the_whole_request(served: Served, path: str, body: object) -> None:
    url = f"{served.api_url}/api/v1/model-versions/{path}"
    assert send("POST", url, json.dumps(body).encode()).status == 400


ERRORS = {
    "model unknown": ("models/7", 404, {"error": "No model with id 7"}),
    "version unknown": ("model-versions/7", 404, {"error": "Model not found"}),
    "hash unknown": ("model-versions/by-hash/ABC", 404, {"error": "Model not found"}),
    "me without token": ("me", 401, {"error": "Unauthorized"}),
}


@pytest.mark.parametrize(("path", "status", "body"), ERRORS.values(), ids=ERRORS)
def test_errors_have_their_bodies(
    served: Served, path: str, status: int, body: dict[str, str]
) -> None:
    got = ask(f"{served.api_url}/api/v1/{path}")
    assert (got.status, got.json) == (status, body)


@pytest.mark.parametrize("number", ["0", "x", "2147483648", "-1"])
def test_what_is_no_id_is_a_bad_request(served: Served, number: str) -> None:
    assert ask(f"{served.api_url}/api/v1/models/{number}").status == 400
    assert ask(f"{served.api_url}/api/v1/model-versions/{number}").status == 400


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"authorization": "Bearer good"}, "", 200),
        ({"authorization": "Bearer bad"}, "", 401),
        ({}, "?token=good", 200),
        ({"authorization": "Bearer bad"}, "?token=good", 401),
    ],
    ids=["header", "bad header", "query", "header beats query"],
)
def test_only_me_tells_a_bad_token(
    served: Served, headers: dict[str, str], query: str, status: int
) -> None:
    assert ask(f"{served.api_url}/api/v1/me{query}", **headers).status == status
    assert ask(f"{served.api_url}/api/v1/models{query}", **headers).status == 200


def test_caching_depends_on_the_token(served: Served) -> None:
    url = f"{served.api_url}/api/v1/models"
    assert ask(url).headers["Cache-Control"].startswith("public, s-maxage=300")
    assert "public" not in ask(url, authorization="Bearer good").headers["Cache-Control"]


def test_large_answers_are_compressed_for_those_who_accept_it(served: Served) -> None:
    fill(served, 3)
    url = f"{served.api_url}/api/v1/models"
    packed = ask(url, accept_encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json == ask(url).json
    served.registry.gzip_answers = False
    assert ask(url, accept_encoding="gzip").headers["Content-Encoding"] is None


def test_the_edge_refuses_the_agents_of_bare_libraries(served: Served) -> None:
    for agent in ("Python-urllib/3.11", "python-httpx/0.28.1"):
        got = ask(f"{served.api_url}/api/v1/enums", user_agent=agent)
        assert (got.status, got.headers["Content-Type"]) == (403, "text/html; charset=utf-8")


def test_enums_have_the_recorded_keys(served: Served) -> None:
    assert set(ask(f"{served.api_url}/api/v1/enums").json) == {
        "ModelType",
        "ModelFileType",
        "ActiveBaseModel",
        "BaseModel",
        "BaseModelType",
    }


def test_changes_of_the_objects_show_at_once(served: Served) -> None:
    [first] = fill(served, 1)
    model = served.registry.models[first]
    new = model.add_version("v2.0", at=0)
    new.add_file()
    shown = ask(f"{served.api_url}/api/v1/models/{first}").json["modelVersions"]
    assert [version["id"] for version in shown] == [new.id, model.versions[1].id]
    del served.registry.models[first]
    assert ask(f"{served.api_url}/api/v1/model-versions/{new.id}").status == 404
