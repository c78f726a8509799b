import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.catalog import License, RemoteModel, RemoteVersion, Scan
from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.sources.civitai_fields import date, days_after, hashes_of, size_of, text
from civsync.sources.civitai_json import (
    read_account,
    read_model,
    read_models,
    read_owners,
    read_version,
)

DATA = Path(__file__).parent.parent / "data" / "civitai"
SHA = "ab" * 32


def _recorded(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((DATA / f"{name}.json").read_bytes())


def _read(name: str) -> RemoteModel:
    value = _recorded(name)
    if "items" in value:
        (model,) = read_models(value, whole=True)
        return model
    return read_model(value) if "modelVersions" in value else read_version(value)


def _versions(name: str) -> list[Any]:
    value = _recorded(name)
    value = value["items"][0] if "items" in value else value
    found: list[Any] = value.get("modelVersions", [value])
    return found


RECORDED = sorted(path.stem for path in DATA.glob("*.json") if not path.stem.startswith("enums"))


# --- recorded answers ---------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_answer_keeps_every_id_name_size_and_hash(name: str) -> None:
    model, recorded = _read(name), _versions(name)
    assert [version.id for version in model.versions] == [each["id"] for each in recorded]
    for version, each in zip(model.versions, recorded, strict=True):
        assert version.name == each["name"]
        assert version.model_id == model.id
        assert version.base_model == each["baseModel"]
        listed = each.get("files") or []
        assert [(f.id, f.name, f.type) for f in version.files] == [
            (f["id"], f["name"], f["type"]) for f in listed
        ]
        for file, raw in zip(version.files, listed, strict=True):
            assert file.size is not None
            assert abs(file.size - raw["sizeKB"] * 1024) < 1
            assert file.hashes == {
                kind.upper(): digits.lower() for kind, digits in raw["hashes"].items()
            }
            assert file.format == (raw["metadata"].get("format") or "")
            assert file.pickle_scan.value == raw["pickleScanResult"]
            assert not file.linked


@pytest.mark.parametrize(
    ("name", "model_id", "kind", "versions", "files"),
    [
        ("model-4384.dreamshaper.2023-07", 4384, "Checkpoint", 26, 50),
        ("model-4201.realistic-vision.2023-07", 4201, "Checkpoint", 9, 36),
        ("model-38784.controlnet-1-1.2023-07", 38784, "Controlnet", 14, 28),
        ("model-20865.versamix-archived.2023-07", 20865, "Checkpoint", 3, 0),
        ("model-96216.no-versions.2023-07", 96216, "Checkpoint", 0, 0),
        ("model-215485.by-id.2023-12", 215485, "LORA", 3, 4),
        ("models-list-11821.2025-05", 11821, "LORA", 2, 2),
        ("version-1805971.by-id.2025", 1595884, "Checkpoint", 1, 1),
        ("version-399893.by-id.2024-03", 357756, "LORA", 1, 1),
    ],
)
def test_recorded_models_have_the_size_they_had(
    name: str, model_id: int, kind: str, versions: int, files: int
) -> None:
    model = _read(name)
    assert (model.id, model.type) == (model_id, kind)
    assert len(model.versions) == versions
    assert sum(len(version.files) for version in model.versions) == files


@pytest.mark.parametrize("name", RECORDED)
def test_answers_about_a_model_are_whole_and_those_about_a_version_are_not(name: str) -> None:
    model = _read(name)
    assert model.whole is name.startswith("model")
    if model.whole:
        assert [version.index for version in model.versions] == list(range(len(model.versions)))
    else:
        assert model.versions[0].index is None


def test_one_version_read_through_two_endpoints_is_the_same() -> None:
    (through_model,) = _read("model-1231067.by-id.2025").versions
    (through_version,) = _read("version-1387174.by-id.2025-03").versions
    for key in ("id", "model_id", "name", "base_model", "published_at"):
        assert getattr(through_model, key) == getattr(through_version, key)
    (one,), (other,) = through_model.files, through_version.files
    assert (one.id, one.name, one.size, one.hashes) == (
        other.id,
        other.name,
        other.size,
        other.hashes,
    )


def test_modes_scans_and_licenses_of_recorded_models() -> None:
    assert _read("model-20865.versamix-archived.2023-07").mode == "Archived"
    assert _read("model-12035.takendown.2023-07").mode == "TakenDown"
    assert _read("model-23.arcane-diffusion.2023-07").mode is None
    scans = {
        file.pickle_scan
        for version in _read("model-23.arcane-diffusion.2023-07").versions
        for file in version.files
    }
    assert Scan.DANGER in scans
    assert _read("model-7984.by-id.2024-03").license.commercial == ()
    assert _read("model-4384.dreamshaper.2023-07").license.commercial == ("Rent",)


def test_a_file_that_was_not_scanned_has_no_hash_and_pending_scans() -> None:
    files = [
        file
        for version in _read("model-65283.unscanned-file.2023-07").versions
        for file in version.files
        if not file.hashes
    ]
    assert [(file.sha256, file.pickle_scan, file.virus_scan) for file in files] == [
        (None, Scan.PENDING, Scan.PENDING)
    ]


def test_dates_without_a_zone_are_utc() -> None:
    (version,) = _read("model-7984.by-id.2024-03").versions
    assert version.published_at == "2023-02-11T07:55:58Z"


# --- shapes of other years ----------------------------------------------------------------


def _file(**more: object) -> dict[str, object]:
    return {
        "id": 9,
        "name": "x.safetensors",
        "type": "Model",
        "sizeKB": 2.0,
        "hashes": {"SHA256": SHA.upper()},
    } | more


def _version(**more: object) -> dict[str, object]:
    return {"id": 7, "name": "v1", "files": [_file()]} | more


def _model(**more: object) -> dict[str, object]:
    return {"id": 5, "name": "M", "type": "LORA", "modelVersions": [_version()]} | more


def _only(**more: object) -> RemoteVersion:
    (version,) = read_model(_model(modelVersions=[_version(**more)])).versions
    return version


def _linked(*files: dict[str, object], **more: object) -> list[bool]:
    return [file.linked for file in _only(files=list(files), **more).files]


def test_a_record_of_the_least_is_read_with_careful_defaults() -> None:
    model = read_model({"id": 5, "name": "M", "type": "LORA"})
    assert model == RemoteModel(id=5, name="M", type="LORA", license=License())
    assert not model.license.derivatives


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ([], ()),
        ("None", ()),
        ("", ()),
        ("{}", ()),
        ("Sell", ("Sell",)),
        ("{Image,RentCivit}", ("Image", "RentCivit")),
        ("{ Rent , Image }", ("Image", "Rent")),
        (["Sell", "Image", "Sell"], ("Image", "Sell")),
        (["None"], ()),
        ([5, None, "Image"], ("Image",)),
        (7, ()),
        ({"Image": True}, ()),
    ],
)
def test_commercial_use_is_read_in_every_form_it_had(
    value: object, expected: tuple[str, ...]
) -> None:
    assert read_model(_model(allowCommercialUse=value)).license.commercial == expected


@pytest.mark.parametrize(
    ("creator", "expected"),
    [
        ({"username": "Lykon", "image": None}, "Lykon"),
        ({"username": 12345}, "12345"),
        ({"username": None}, ""),
        ({}, ""),
        (None, ""),
        ("Lykon", ""),
        ({"username": True}, ""),
        ({"username": 1.5}, ""),
    ],
)
def test_a_creator_may_be_a_number_or_nobody(creator: object, expected: str) -> None:
    assert read_model(_model(creator=creator)).creator == expected


@pytest.mark.parametrize(
    ("fields", "active", "until"),
    [
        pytest.param({}, False, None, id="nothing said"),
        pytest.param({"paidAccess": None}, False, None, id="2026, no gate"),
        pytest.param(
            {"paidAccess": {"permanent": False, "endsAt": "2026-10-01T00:00:00.000Z"}},
            True,
            "2026-10-01T00:00:00Z",
            id="2026, until",
        ),
        pytest.param(
            {"paidAccess": {"permanent": True, "endsAt": None}}, True, None, id="2026, for ever"
        ),
        pytest.param(
            {"paidAccess": None, "earlyAccessEndsAt": "2025-01-01T00:00:00Z"},
            False,
            None,
            id="the newest field wins",
        ),
        pytest.param(
            {"earlyAccessEndsAt": "2025-01-15T00:00:00.000Z"},
            False,
            "2025-01-15T00:00:00Z",
            id="2025",
        ),
        pytest.param(
            {"earlyAccessDeadline": "2024-05-01T00:00:00Z"},
            False,
            "2024-05-01T00:00:00Z",
            id="2024 list",
        ),
        pytest.param(
            {"earlyAccessConfig": {"timeframe": 5}, "publishedAt": "2025-01-01T00:00:00Z"},
            False,
            "2025-01-06T00:00:00Z",
            id="2025, days only",
        ),
        pytest.param(
            {"earlyAccessTimeFrame": 3, "publishedAt": "2023-03-01T00:00:00Z"},
            False,
            "2023-03-04T00:00:00Z",
            id="2023",
        ),
        pytest.param(
            {"earlyAccessTimeFrame": 3, "createdAt": "2023-03-01T00:00:00Z"},
            False,
            "2023-03-04T00:00:00Z",
            id="July 2023",
        ),
        pytest.param(
            {"earlyAccessTimeFrame": 0, "publishedAt": "2023-03-01T00:00:00Z"},
            False,
            None,
            id="no days",
        ),
        pytest.param({"availability": "EarlyAccess"}, True, None, id="availability"),
        pytest.param({"paidAccess": "yes"}, False, None, id="odd"),
        pytest.param(
            {"earlyAccessTimeFrame": 10**30, "publishedAt": "2023-03-01T00:00:00Z"},
            False,
            None,
            id="more days than time",
        ),
    ],
)
def test_early_access_is_read_in_the_fields_of_every_year(
    fields: dict[str, object], active: bool, until: str | None
) -> None:
    version = _only(**fields)
    assert (version.early_access, version.early_access_until) == (active, until)


BARE = "https://civitai.com/api/download/models/7"
PINNED = f"{BARE}?fileId=9"
SELECTOR = f"{BARE}?type=VAE&format=SafeTensor"


@pytest.mark.parametrize(
    ("files", "more", "expected"),
    [
        pytest.param(
            [_file(downloadUrl=PINNED), _file(id=10, type="VAE", downloadUrl=SELECTOR)],
            {},
            [False, True],
            id="unpinned beside pinned",
        ),
        pytest.param(
            [_file(downloadUrl=PINNED), _file(id=10, type="VAE", downloadUrl=f"{BARE}?fileId=10")],
            {"vaeId": 3},
            [False, False],
            id="pinned is the version's own",
        ),
        pytest.param(
            [_file(downloadUrl=BARE), _file(id=10, type="VAE", downloadUrl=SELECTOR)],
            {"vaeId": 3},
            [False, True],
            id="list that names the link",
        ),
        pytest.param(
            [_file(downloadUrl=BARE), _file(id=10, type="VAE", downloadUrl=SELECTOR)],
            {"vaeId": None},
            [False, False],
            id="July 2023: selectors for all, no link",
        ),
        pytest.param(
            [_file(downloadUrl=PINNED), _file(id=10, type="Config", downloadUrl=BARE)],
            {"vaeId": 3},
            [False, False],
            id="only VAE files are linked",
        ),
        pytest.param([_file(type="VAE", downloadUrl=BARE)], {}, [False], id="a VAE model"),
        pytest.param(
            [_file(downloadUrl=PINNED), _file(id=10, type="VAE")],
            {},
            [False, True],
            id="no address",
        ),
        pytest.param(
            [_file(downloadUrl="https://[broken?fileId=9"), _file(id=10, type="VAE")],
            {},
            [False, False],
            id="broken address",
        ),
    ],
)
def test_a_vae_of_another_version_is_told_by_evidence(
    files: list[dict[str, object]], more: dict[str, object], expected: list[bool]
) -> None:
    assert _linked(*files, **more) == expected


def test_versions_stand_in_the_creators_order() -> None:
    first, second = _version(id=7, index=1), _version(id=8, index=0)
    model = read_model(_model(modelVersions=[first, second]))
    assert [(version.id, version.index) for version in model.versions] == [(8, 0), (7, 1)]


def test_without_index_the_place_in_the_list_is_the_order() -> None:
    for odd in ({}, {"index": None}, {"index": -1}, {"index": "0"}, {"index": True}):
        listed = [_version(id=9) | odd, _version(id=8, index=0)]
        model = read_model(_model(modelVersions=listed))
        assert [(version.id, version.index) for version in model.versions] == [(9, 0), (8, 1)]


def test_a_narrowed_list_without_index_tells_no_order() -> None:
    (model,) = read_models({"items": [_model()]}, whole=False)
    assert not model.whole
    assert model.versions[0].index is None


# --- single fields ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2082642.474609375, 2132625894),
        (2.0, 2048),
        (1, 1024),
        (0.0625, 64),
        (0, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
        (10**39, None),
        ("2048", None),
        (True, None),
        (None, None),
        (0.0001, None),
    ],
)
def test_sizes_are_whole_bytes_or_unknown(value: object, expected: int | None) -> None:
    assert size_of({"sizeKB": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"SHA256": SHA.upper(), "AutoV2": "ABABABABAB"}, {"SHA256": SHA, "AUTOV2": "ababababab"}),
        ({"sha256": SHA}, {"SHA256": SHA}),
        ({"SHA256": SHA[:-1]}, {}),
        ({"SHA256": SHA + "ab"}, {}),
        ({"SHA256": "zz" * 32}, {}),
        ({"SHA256": None, "CRC32": 12345678}, {}),
        ({"BLAKE3": "ab"}, {}),
        ({"AutoV3": "ab" * 32}, {"AUTOV3": SHA}),
        ({"a b": "abcdef12", "x" * 40: "abcdef12", "": "abcdef12"}, {}),
        ({"NewTrainer": "ABCDEF12"}, {"NEWTRAINER": "abcdef12"}),
        ({}, {}),
        ([], {}),
        (None, {}),
        (SHA, {}),
    ],
)
def test_hashes_are_lower_case_digits_or_left_out(value: object, expected: dict[str, str]) -> None:
    assert hashes_of({"hashes": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-01-31T12:34:56.789Z", "2025-01-31T12:34:56Z"),
        ("2025-01-31T12:34:56Z", "2025-01-31T12:34:56Z"),
        ("2025-05-19T02:43:46.31", "2025-05-19T02:43:46Z"),
        ("2025-05-19T02:43:46.123456789Z", "2025-05-19T02:43:46Z"),
        ("2025-01-31T12:34:56+02:00", "2025-01-31T10:34:56Z"),
        ("2025-01-31T23:30:00-0130", "2025-02-01T01:00:00Z"),
        ("2025-01-31 12:34:56", "2025-01-31T12:34:56Z"),
        ("2025-01-31", "2025-01-31T00:00:00Z"),
        ("0999-01-31", "0999-01-31T00:00:00Z"),
        ("2025-13-01T00:00:00Z", None),
        ("2025-01-31T25:00:00Z", None),
        ("2025-01-31T12:34:56+99:00", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("yesterday", None),
        ("", None),
        (1738326896, None),
        (None, None),
    ],
)
def test_dates_have_one_form(value: object, expected: str | None) -> None:
    assert date({"at": value}, "at") == expected


@given(st.text(max_size=40), st.integers() | st.none() | st.text(max_size=3))
def test_no_date_text_breaks_the_reader(value: str, days: object) -> None:
    found = date({"at": value}, "at")
    assert found is None or date({"at": found}, "at") == found
    days_after(found, days)


def test_half_a_character_becomes_one_that_a_file_can_hold() -> None:
    assert text({"name": json.loads('"a\\ud800b"')}, "name") == "a\ufffdb"
    assert text({"name": json.loads('"\\ud83d\\ude00"')}, "name") == "\U0001f600"


# --- hostile answers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"id": None}, id="no id"),
        pytest.param({"id": "5"}, id="id as text"),
        pytest.param({"id": 5.0}, id="id as float"),
        pytest.param({"id": True}, id="id as bool"),
        pytest.param({"id": 0}, id="id 0"),
        pytest.param({"id": -3}, id="negative id"),
        pytest.param({"id": 2**31}, id="id too large"),
        pytest.param({"id": 10**39}, id="id of forty digits"),
        pytest.param({"name": None}, id="no name"),
        pytest.param({"name": ["x"]}, id="name as list"),
        pytest.param({"type": None}, id="no type"),
        pytest.param({"modelVersions": {}}, id="versions as object"),
        pytest.param({"modelVersions": [5]}, id="version as number"),
        pytest.param({"modelVersions": [{"id": 7}]}, id="version without name"),
        pytest.param({"modelVersions": [_version(), _version(id=0)]}, id="one bad version"),
        pytest.param({"modelVersions": [_version(files={})]}, id="files as object"),
        pytest.param({"modelVersions": [_version(files=["x"])]}, id="file as text"),
        pytest.param({"modelVersions": [_version(files=[_file(id=None)])]}, id="file without id"),
        pytest.param({"modelVersions": [_version(files=[_file(type=[])])]}, id="file of odd type"),
    ],
)
def test_a_record_that_cannot_be_read_spoils_itself_and_not_the_batch(
    change: dict[str, object],
) -> None:
    bad = _model() | change
    shown = read_models({"items": [_model(id=1), bad, _model(id=2)]}, whole=True)
    assert [model.id for model in shown] == [1, 2]
    with pytest.raises(WireError) as caught:
        read_model(bad)
    assert caught.value.code is Code.REPLY_MALFORMED


@pytest.mark.parametrize("value", [None, [], {}, {"items": None}, {"items": {}}, "x", 5])
def test_a_list_without_items_is_malformed(value: object) -> None:
    with pytest.raises(WireError) as caught:
        read_models(value, whole=True)
    assert caught.value.code is Code.REPLY_MALFORMED


@pytest.mark.parametrize(
    "change",
    [{"model": None}, {"model": {}}, {"modelId": None}, {"modelId": 0}, {"id": None}, {"files": 1}],
    ids=str,
)
def test_a_version_that_does_not_say_what_it_is_is_malformed(change: dict[str, object]) -> None:
    good = _version(modelId=5, model={"name": "M", "type": "LORA"})
    assert read_version(good).versions[0].id == 7
    with pytest.raises(WireError):
        read_version(good | change)


@pytest.mark.parametrize("field", ["tags", "creator", "mode", "nsfw", "allowCommercialUse"])
@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [None], True, 1.5], ids=repr)
def test_odd_values_of_optional_fields_are_left_out(field: str, value: object) -> None:
    assert read_model(_model() | {field: value}).id == 5


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "name", "type", "files", "modelVersions", "items", "model", "hash"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_gives_values_or_the_one_error(value: Any) -> None:  # noqa: ANN401 - JSON
    for read in (read_model, read_version, read_owners, read_account):
        try:
            read(value)
        except WireError as error:
            if error.code is not Code.REPLY_MALFORMED:
                raise


@given(
    st.sampled_from(RECORDED),
    st.data(),
)
def test_a_recorded_answer_with_one_value_spoiled_is_read_or_refused(
    name: str, data: st.DataObject
) -> None:
    value = _recorded(name)
    holder: Any = value
    while True:
        keys = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        inner = holder[key]
        if not isinstance(inner, dict | list) or not data.draw(st.booleans()):
            holder[key] = data.draw(_JSON)
            break
        holder = inner
    try:
        if "items" in value:
            read_models(value, whole=True)
        elif "modelVersions" in value:
            read_model(value)
        else:
            read_version(value)
    except WireError as error:
        if error.code is not Code.REPLY_MALFORMED:
            raise


# --- other answers ------------------------------------------------------------------------


def test_owners_are_united_sorted_and_lower_case() -> None:
    answer = [
        {"modelVersionId": 8, "modelId": 5, "hash": SHA.upper()},
        {"modelVersionId": 7, "hash": SHA},
        {"modelVersionId": 8, "modelId": 5, "hash": SHA},
        None,
        {"modelVersionId": "x", "hash": SHA},
        {"modelVersionId": 9, "hash": "short"},
    ]
    assert read_owners(answer) == {SHA: ((0, 7), (5, 8))}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"id": 3, "username": "alex"}, "alex"),
        ({"id": 3, "username": 777}, "777"),
        ({"id": 3, "username": None}, "user 3"),
    ],
)
def test_an_account_has_a_name(answer: object, expected: str) -> None:
    assert read_account(answer) == expected


@pytest.mark.parametrize(
    ("own", "models", "rating"),
    [
        (1, 16, "PG"),
        (3, 1, "PG13"),
        (5, 1, "R"),
        (28, 1, "XXX"),
        (31, 1, "XXX"),
        (32, 1, "Blocked"),
        (64, 1, "Blocked"),
        (0, 4, "R"),
        (None, 4, "R"),
        (None, None, ""),
        (True, "2", ""),
        (-1, 0, ""),
    ],
)
def test_the_most_mature_rating_counts_and_the_models_where_a_version_has_none(
    own: object, models: object, rating: str
) -> None:
    version = {"id": 2, "name": "v", "nsfwLevel": own, "files": []}
    item = {"id": 1, "name": "m", "type": "LORA", "nsfwLevel": models, "modelVersions": [version]}
    (model,) = read_models({"items": [item]}, whole=True)
    assert model.versions[0].rating == rating
