"""One page of Civitai's listing: how it is asked for, and every shape of its answer."""

import json

import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.questions import AskPage, Page
from civsync.core.request import Search
from civsync.core.wire import HttpAnswer
from civsync.sources.civitai_search import page_path, read_page
from support.scripted_transport import json_answer

CAP = 1_000_000


def answer(status: int, value: object) -> HttpAnswer:
    return json_answer(value, status=status)


@pytest.mark.parametrize(
    ("question", "path"),
    [
        (AskPage(Search(), "", 100), "limit=100"),
        (
            AskPage(Search(types=("LORA", "VAE"), base_models=("SDXL 1.0",)), "", 20),
            "types=LORA&types=VAE&baseModels=SDXL+1.0&limit=20",
        ),
        (
            AskPage(Search(tag="a&b", username="ü"), "12|3 4", 5),
            "username=%C3%BC&tag=a%26b&limit=5&cursor=12%7C3+4",
        ),
        (
            AskPage(Search(checkpoint_type="Merge"), "", 5),
            "types=Checkpoint&checkpointType=Merge&limit=5",
        ),
        (
            AskPage(Search(checkpoint_type="Merge", types=("Checkpoint", "LORA")), "", 5),
            "types=Checkpoint&types=LORA&checkpointType=Merge&limit=5",
        ),
        (
            AskPage(
                Search(query="x", sort="Newest", period="Day", nsfw=True, favorites=True), "", 1
            ),
            "query=x&sort=Newest&period=Day&nsfw=true&favorites=true&limit=1",
        ),
    ],
    ids=[
        *("no filters", "repeated words", "escaped", "a kind of checkpoint"),
        *("a kind of checkpoint, and others", "switches"),
    ],
)
def test_a_page_is_asked_for_by_its_cursor_and_never_by_a_number(
    question: AskPage, path: str
) -> None:
    assert page_path(question) == f"/api/v1/models?{path}"


@pytest.mark.parametrize(
    ("metadata", "cursor"),
    [
        ({}, ""),
        (None, ""),
        ({"nextCursor": "100|5"}, "100|5"),
        ({"nextCursor": 100}, "100"),
        ({"nextCursor": ""}, ""),
        ({"nextCursor": "0 | &=%é"}, "0 | &=%é"),
        ({"nextCursor": -5}, "-5"),
        ({"nextPage": "https://elsewhere.test/api/v1/models?tag=a&cursor=9%7C1"}, "9|1"),
        ({"nextCursor": None, "nextPage": "?cursor=7"}, "7"),
    ],
)
def test_the_cursor_is_found_in_every_form(metadata: object, cursor: str) -> None:
    page = read_page(answer(200, {"items": [], "metadata": metadata}), Search(), cap=CAP)
    assert page == Page((), cursor=cursor)


@pytest.mark.parametrize(
    "metadata",
    [
        {"nextCursor": True},
        {"nextCursor": 1.5},
        {"nextCursor": {"id": 1}},
        {"nextCursor": "x" * 5000},
        {"nextCursor": "half \ud800"},
        {"nextPage": "https://[broken?cursor=1"},
        {"nextPage": "https://civitai.com/api/v1/models?page=2"},
        {"nextPage": 5},
    ],
    ids=[
        *("boolean", "fraction", "object", "endless", "half a character", "broken address"),
        *("page without a cursor", "no address"),
    ],
)
def test_a_next_page_that_cannot_be_asked_for_does_not_end_the_search(metadata: object) -> None:
    with pytest.raises(CivsyncError) as caught:
        read_page(answer(200, {"items": [], "metadata": metadata}), Search(), cap=CAP)
    assert caught.value.code is Code.REPLY_MALFORMED


def _item(**facts: object) -> dict[str, object]:
    return {"id": 1, "name": "m", "type": "LORA", "modelVersions": [], **facts}


@pytest.mark.parametrize(
    ("username", "creator", "found"),
    [
        ("anna", {"username": "Anna"}, True),
        ("Anna B", {"username": "anna_b"}, True),
        ("77", {"username": 77}, True),
        ("an-na", {"username": "anna"}, False),
        ("anna", {"username": None}, True),
        ("anna", None, True),
    ],
    ids=["case", "blank", "number", "another name", "no name", "no creator"],
)
def test_models_of_another_creator_are_no_hits(username: str, creator: object, found: bool) -> None:
    body = {"items": [_item(creator=creator)]}
    page = read_page(answer(200, body), Search(username=username), cap=CAP)
    assert (page.found, len(page.models)) == (found, int(found))


def test_a_page_without_the_tag_that_was_asked_for_is_no_page_of_hits() -> None:
    body = {"items": [_item(tags=["other"]), _item(id=2)], "metadata": {"nextCursor": "1|2"}}
    with pytest.raises(CivsyncError) as caught:
        read_page(answer(200, body), Search(tag="stlye"), cap=CAP)
    assert caught.value.code is Code.SEARCH_REFUSED
    assert "'stlye'" in caught.value.message
    assert len(read_page(answer(200, body), Search(tag="OTHER"), cap=CAP).models) == 2
    assert read_page(answer(200, {"items": []}), Search(tag="stlye"), cap=CAP) == Page(())


def test_records_that_cannot_be_read_are_left_out() -> None:
    good = {"id": 1, "name": "m", "type": "LORA", "modelVersions": []}
    page = read_page(answer(200, {"items": [{"id": "x"}, good, None]}), Search(), cap=CAP)
    assert [model.id for model in page.models] == [1]


ISSUES = {
    "error": {"name": "ZodError", "issues": [{"path": ["sort"], "message": "Invalid option"}]}
}
NESTED = {
    "error": {
        "name": "ZodError",
        "message": json.dumps([{"path": ["types", 0], "message": "Invalid option"}]),
    }
}


@pytest.mark.parametrize(
    ("search", "status", "body", "code", "says"),
    [
        (Search(), 400, ISSUES, Code.SEARCH_REFUSED, "sort: Invalid option"),
        (Search(), 400, NESTED, Code.SEARCH_REFUSED, "types.0: Invalid option"),
        (Search(favorites=True), 401, {"error": "Unauthorized"}, Code.LOGIN_NEEDED, "favorites"),
        (Search(), 503, {"error": "down"}, Code.SERVER_ERROR, "down"),
        (Search(), 404, {"error": "no"}, None, ""),
        (Search(), 200, {"items": 7}, Code.REPLY_MALFORMED, "no items"),
    ],
    ids=["issues", "issues as text", "favorites", "down", "404 without a creator", "no list"],
)
def test_a_refusal_says_what_is_wrong(
    search: Search, status: int, body: object, code: Code | None, says: str
) -> None:
    with pytest.raises(CivsyncError) as caught:
        read_page(answer(status, body), search, cap=CAP)
    assert code in (None, caught.value.code)
    assert says in caught.value.message
