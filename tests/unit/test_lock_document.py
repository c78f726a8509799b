"""The lock as input: every way to spoil it is refused with its place, or changes nothing unsafe."""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from civsync.core.codes import Code
from civsync.core.limits import MAX_ID
from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import parse_path
from civsync.core.problems import DocumentError
from civsync.documents.lock import read_lock, write_lock
from support.lock_values import digest, lock_of, locked_entry, locked_file

Json = dict[str, Any]

TWO = lock_of(
    locked_entry(locked_file("loras/a.safetensors", "a", model_id=1)),
    locked_entry(locked_file("vae/b.safetensors", "b", model_id=2)),
)


def spoiled(edit: Callable[[Json], object]) -> bytes:
    """The text of a good lock after `edit` of its JSON."""
    document = json.loads(write_lock(TWO))
    edit(document)
    return json.dumps(document, indent=2).encode()


def first_file(edit: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda document: edit(document["entries"][0]["files"][0])


def setting(**values: object) -> bytes:
    """A lock whose first file says something else."""
    return spoiled(first_file(lambda file: file.update(values)))


def refusal(data: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_lock(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        pytest.param(b"", Code.LOCK_INVALID, "truncated", id="empty"),
        pytest.param(b"null", Code.LOCK_INVALID, "null", id="null"),
        pytest.param(b"[]", Code.LOCK_INVALID, "array", id="a list"),
        pytest.param(b"{}", Code.LOCK_INVALID, "not a lock", id="an empty object"),
        pytest.param(b"\x1f\x8b\x08", Code.LOCK_INVALID, "", id="gzip"),
        pytest.param(b"<!doctype html>", Code.LOCK_INVALID, "", id="html"),
        pytest.param(b"\xef\xbb\xbf{}", Code.LOCK_INVALID, "", id="a byte order mark"),
        pytest.param(b"[" * 100_000, Code.LOCK_INVALID, "", id="deep nesting"),
        pytest.param(
            spoiled(lambda lock: lock.update(schema_version=4)), Code.LOCK_NEWER, "4", id="newer"
        ),
        pytest.param(
            b'{"schema": "civsync.lock", "schema_version": 9, "entries": {"other": "shape"}}',
            Code.LOCK_NEWER,
            "9",
            id="newer, of another shape",
        ),
        pytest.param(
            spoiled(lambda lock: lock.update(schema_version=0)), Code.LOCK_INVALID, "0", id="older"
        ),
        pytest.param(
            spoiled(lambda lock: lock.update(schema="poetry")),
            Code.LOCK_INVALID,
            "poetry",
            id="a lock of something else",
        ),
        pytest.param(
            spoiled(lambda lock: lock.update(schema=5)), Code.LOCK_INVALID, "int", id="no schema"
        ),
        pytest.param(
            spoiled(lambda lock: lock.update(entries={})), Code.LOCK_INVALID, "array", id="no list"
        ),
        pytest.param(
            spoiled(lambda lock: lock["entries"].append(lock["entries"][0])),
            Code.LOCK_INVALID,
            "two entries",
            id="an entry twice",
        ),
        pytest.param(setting(model_id=0), Code.LOCK_INVALID, "out of range", id="no model id"),
        pytest.param(setting(version_id=0), Code.LOCK_INVALID, "out of range", id="no version"),
        pytest.param(setting(path=7), Code.LOCK_INVALID, "str", id="a path that is a number"),
        pytest.param(setting(size="7"), Code.LOCK_INVALID, "int", id="a size that is text"),
        pytest.param(setting(size=1.5), Code.LOCK_INVALID, "int", id="a size that is a fraction"),
        pytest.param(setting(size=True), Code.LOCK_INVALID, "int", id="a size that is true"),
        pytest.param(setting(size=-1), Code.LOCK_INVALID, "range", id="a negative size"),
        pytest.param(setting(size=2**63), Code.LOCK_INVALID, "range", id="a size beyond 63 bits"),
        pytest.param(setting(size=10**400), Code.LOCK_INVALID, "", id="a huge size"),
        pytest.param(setting(size=float("nan")), Code.LOCK_INVALID, "", id="NaN"),
        pytest.param(setting(size=float("inf")), Code.LOCK_INVALID, "", id="Infinity"),
        pytest.param(setting(size=None), Code.LOCK_INVALID, "null", id="no size"),
        pytest.param(setting(file_id=0), Code.LOCK_INVALID, "range", id="file id 0"),
        pytest.param(setting(file_id=MAX_ID + 1), Code.LOCK_INVALID, "range", id="a large id"),
        pytest.param(
            setting(owner_version_id=-3), Code.LOCK_INVALID, "range", id="a negative owner"
        ),
        pytest.param(setting(sha256="abc"), Code.LOCK_INVALID, "64", id="a short hash"),
        pytest.param(
            setting(sha256=digest("a").upper()), Code.LOCK_INVALID, "64", id="an upper-case hash"
        ),
        pytest.param(setting(sha256="g" * 64), Code.LOCK_INVALID, "64", id="a hash not in hex"),
        pytest.param(
            setting(sha256="0" * 62 + "  "), Code.LOCK_INVALID, "64", id="a hash with blanks"
        ),
        pytest.param(
            setting(sha256=digest("a") + "\n"), Code.LOCK_INVALID, "64", id="a hash and a newline"
        ),
        pytest.param(setting(sha256="٣" * 64), Code.LOCK_INVALID, "64", id="digits of a script"),
        pytest.param(
            setting(path="VAE/B.safetensors"), Code.LOCK_INVALID, "one path", id="paths that fold"
        ),
        pytest.param(
            setting(path="vae/b.safetensors"), Code.LOCK_INVALID, "one path", id="one path twice"
        ),
        pytest.param(
            setting(path="vae"), Code.LOCK_INVALID, "a directory", id="a file that is a directory"
        ),
        pytest.param(
            setting(path="vae/B.safetensors/x/y"),
            Code.LOCK_INVALID,
            "a directory",
            id="a directory that is a file",
        ),
    ],
)
def test_a_spoiled_lock_is_refused_with_what_is_wrong(data: bytes, code: Code, says: str) -> None:
    error = refusal(data)
    assert error.code is code
    assert says in error.message


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./a",
        "a/.",
        ".civsync/receipt.json",
        "loras/.hidden",
        "a\\b",
        "C:/x",
        "C:x",
        "a\x00b",
        "a\nb",
        "a\x1b[2Jb",
        "CON",
        "loras/con.safetensors",
        "loras/nul .txt",
        "a ",
        "a.",
        "a?",
        "\u202egpj.exe",
        "e\u0301",
        "x" * 201,
        "/".join("abcdefghijklmnopqrstuvwxyz"),
        "/".join(["d" * 190] * 6),
    ],
    ids=ascii,
)
def test_a_path_that_civsync_would_not_make_is_refused(path: str) -> None:
    error = refusal(setting(path=path))
    assert error.code is Code.LOCK_INVALID
    assert "unsafe path" in error.message
    assert error.problems[0].place.key == "file 100"


def test_all_problems_are_reported_at_once() -> None:
    error = refusal(setting(path="../x", sha256="abc", size=-1))
    assert len(error.problems) == 3


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_conflict_markers_are_named_with_their_line(newline: bytes) -> None:
    lines = write_lock(TWO).splitlines()
    marked = [*lines[:5], b"<<<<<<< HEAD", lines[5], b"=======", lines[5], b">>>>>>> other"]
    error = refusal(newline.join([*marked, *lines[6:]]))
    assert error.code is Code.LOCK_CONFLICT
    assert str(error.place) == "civsync.lock:6"


def test_broken_json_is_named_with_its_line() -> None:
    lines = write_lock(TWO).splitlines()
    error = refusal(b"\n".join([*lines[:7], b"!", *lines[7:]]))
    assert error.code is Code.LOCK_INVALID
    assert str(error.place) == "civsync.lock:8"


def test_a_value_of_the_wrong_type_is_named_with_its_key() -> None:
    error = refusal(setting(size="7"))
    assert error.place is not None
    assert error.place.key.endswith(".size")


def test_the_error_carries_the_name_of_the_file() -> None:
    with pytest.raises(DocumentError) as caught:
        read_lock(b"{", name="other.lock")
    assert caught.value.subject == "other.lock"


@pytest.mark.parametrize(
    "noise", [b" ", b"\n", b"\t\r\n"], ids=["blank", "newline", "tab and crlf"]
)
def test_white_space_around_a_lock_means_nothing(noise: bytes) -> None:
    assert read_lock(noise + write_lock(TWO) + noise) == TWO


def test_a_file_that_two_entries_lead_to_may_stand_twice() -> None:
    file = locked_file("loras/a.safetensors", "a")
    lock = lock_of(locked_entry(file, key="1@10"), locked_entry(file, key="1@latest"))
    assert read_lock(write_lock(lock)) == lock


def test_unknown_keys_are_skipped_so_that_a_later_minor_format_can_be_read() -> None:
    assert read_lock(setting(invented=[1, {"x": None}])) == TWO


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_a_key_that_stands_twice_is_refused_with_its_line(newline: bytes) -> None:
    """The typed decoder keeps the last one, and a reviewer may have looked at the first."""
    lines = write_lock(TWO).splitlines()
    at = lines.index(b'          "size": 1,')
    twice = newline.join([*lines[:at], b'          "size": 5,', *lines[at:], b""])
    error = refusal(twice)
    assert error.code is Code.LOCK_INVALID
    assert "'size' stands twice" in error.message
    assert str(error.place) == f"civsync.lock:{at + 2}"


@pytest.mark.parametrize("side_by_side", [True, False], ids=["one path", "file and folder"])
def test_who_places_files_anew_may_read_a_lock_in_which_they_share_a_path(
    side_by_side: bool,
) -> None:
    first = locked_file("loras/a.safetensors", "a")
    path = first.path if side_by_side else f"{first.path}/b"
    second = locked_file(path, "b", model_id=2)
    data = write_lock(lock_of(locked_entry(first), locked_entry(second)))
    assert "`civsync lock`" in refusal(data).problems[0].hint
    assert [file for _, file in read_lock(data, apart=False).files()] == [first, second]


def test_the_text_is_plain_json_sorted_and_indented_with_a_newline_at_the_end() -> None:
    text = write_lock(Lock(entries=tuple(reversed(TWO.entries)))).decode()
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert [entry["key"] for entry in document["entries"]] == ["1@latest", "2@latest"]


def test_entries_are_sorted_by_model_id_as_a_number() -> None:
    lock = lock_of(*(locked_entry(key=f"{number}@latest") for number in (100, 20, 3)))
    keys = [entry.key for entry in read_lock(write_lock(lock)).entries]
    assert keys == ["3@latest", "20@latest", "100@latest"]


def test_every_entry_and_file_has_the_same_keys_in_the_same_order() -> None:
    document = json.loads(write_lock(TWO))
    entries = document["entries"]
    assert list(entries[0]) == list(entries[1])
    assert list(entries[0])[:2] == ["model_id", "key"]
    files = [file for entry in entries for file in entry["files"]]
    assert {tuple(file) for file in files} == {tuple(each.name for each in fields(LockedFile))}


FIRST_FORMAT = {
    "schema": "civsync.lock",
    "schema_version": 1,
    "entries": [
        {
            "key": "1@latest",
            "request": {"target": "1@latest", "policy.pickle": "deny"},
            "models": [
                {
                    "id": 1,
                    "name": "m",
                    "type": "LORA",
                    "creator": "c",
                    "license": ["derivatives", "no-credit"],
                }
            ],
            "versions": [{"id": 10, "model_id": 1, "name": "v", "base_model": "Pony"}],
            "files": [
                {
                    "path": "loras/a",
                    "size": 1,
                    "sha256": digest("a"),
                    "model_id": 1,
                    "version_id": 10,
                    "file_id": 100,
                    "name": "a",
                    "type": "Model",
                    "hashes": {"CRC32": "00"},
                }
            ],
            "priority": 3,
            "gone": True,
        }
    ],
}


def test_a_lock_of_the_first_format_is_read_as_what_it_says() -> None:
    [entry] = read_lock(json.dumps(FIRST_FORMAT).encode()).entries
    assert entry == LockedEntry(
        key="1@latest",
        request={"policy.pickle": "deny"},
        priority=3,
        gone=True,
        files=(
            LockedFile(
                path=parse_path("loras/a"),
                size=1,
                sha256=digest("a"),
                model_id=1,
                version_id=10,
                file_id=100,
                name="a",
                type="Model",
                hashes={"CRC32": "00"},
                model="m",
                model_type="LORA",
                creator="c",
                license="derivatives, no-credit",
                version="v",
                base_model="Pony",
            ),
        ),
    )


def test_a_spoiled_lock_of_the_first_format_is_refused() -> None:
    text = json.dumps(FIRST_FORMAT).replace("loras/a", "../a").encode()
    assert refusal(text).code is Code.LOCK_INVALID
    assert refusal(json.dumps(FIRST_FORMAT | {"entries": [{}]}).encode()).code is Code.LOCK_INVALID
