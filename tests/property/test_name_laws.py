"""Laws of names: whatever the text, what comes out is one safe component, or is refused."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from civsync.core.limits import NAME_BYTES, PATH_BYTES, PATH_DEPTH
from civsync.core.names import (
    FORBIDDEN,
    RESERVED,
    SafeName,
    UnsafePathError,
    collision_key,
    is_safe_name,
    join,
    marked,
    parse_path,
    safe_name,
    split_suffix,
)

DEVICES = sorted(RESERVED)
HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(categories=["Mn", "Mc", "Cf", "Cs", "Co", "Zs"])),
    st.text(alphabet=st.sampled_from("./\\ ~:*?<>|\"'_-aA\x00\x1b\x7f\u202e\u200b\ufeffé\u0301")),
    st.text(min_size=150, max_size=400),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(DEVICES + [device.upper() for device in DEVICES]),
        st.text(alphabet=" .", max_size=300),
        st.text(max_size=3),
        st.sampled_from(["", ".txt", ".safetensors", ".tar.gz"]),
    ),
)
MARKS = st.none() | st.integers(min_value=0, max_value=2**31 - 1)


@given(HOSTILE, MARKS, st.booleans(), st.integers(min_value=32, max_value=NAME_BYTES))
@example("CON" + " " * 300 + "x.safetensors", None, True, NAME_BYTES)
@example("con.a" + "b" * 300 + ".safetensors", 7, True, NAME_BYTES)
@example("../../x", 1, True, NAME_BYTES)
@example("\ud800", None, True, NAME_BYTES)
def test_a_safe_name_of_any_text_is_one_safe_component(
    text: str, mark: int | None, keep_suffix: bool, room: int
) -> None:
    name = safe_name(text, mark=mark, keep_suffix=keep_suffix, room=room)
    assert is_safe_name(name)
    assert len(name.encode()) <= room
    assert parse_path(name) == str(name)
    assert FORBIDDEN.isdisjoint(name)
    assert name not in ("", ".", "..")


@given(HOSTILE, MARKS)
def test_making_a_name_safe_is_idempotent(text: str, mark: int | None) -> None:
    name = safe_name(text, mark=mark)
    assert safe_name(name, mark=mark) == name
    assert safe_name(name) == name


@given(HOSTILE)
def test_a_safe_name_comes_back_as_it_is_and_no_other_does(text: str) -> None:
    assert (safe_name(text, mark=5) == text) == is_safe_name(text)


@given(HOSTILE, HOSTILE, st.integers(0, 10**9), st.integers(0, 10**9))
def test_changed_names_with_other_marks_stay_apart(
    one: str, two: str, mark: int, other: int
) -> None:
    if mark != other and not is_safe_name(one) and not is_safe_name(two):
        assert safe_name(one, mark=mark, keep_suffix=False) != safe_name(
            two, mark=other, keep_suffix=False
        )


@given(HOSTILE, st.integers(0, 2**31 - 1))
def test_a_marked_name_is_safe_keeps_its_extension_and_is_marked_once(text: str, mark: int) -> None:
    name = safe_name(text)
    result = marked(name, mark)
    assert is_safe_name(result)
    stem, suffix = split_suffix(result)
    assert suffix == split_suffix(name)[1]
    assert stem.endswith(f"~{mark}")
    assert marked(result, mark) == result


@pytest.mark.fault("4.5/hostile-names", "..", "absolute", "drive", ".")
@given(st.lists(HOSTILE | st.sampled_from(["..", ".", "/etc", "a/b", "C:", "~"]), max_size=30))
def test_join_stays_inside_or_refuses(parts: list[str]) -> None:
    try:
        path = join(*parts)
    except UnsafePathError:
        return
    components = path.split("/")
    assert all(is_safe_name(component) for component in components)
    assert len(components) <= PATH_DEPTH
    assert len(path.encode()) <= PATH_BYTES


@given(st.lists(st.text(alphabet="aA1. ~-_con/", max_size=12), min_size=1, max_size=40))
def test_the_fast_way_of_parsing_agrees_with_the_rules(parts: list[str]) -> None:
    text = "/".join(parts)
    components = text.split("/")
    lawful = all(map(is_safe_name, components)) and len(components) <= PATH_DEPTH
    if lawful and len(text.encode()) <= PATH_BYTES:
        assert parse_path(text) == text
    else:
        with pytest.raises(UnsafePathError):
            parse_path(text)


@pytest.mark.fault("4.5/collisions", "normal form")
@given(st.text())
def test_names_that_a_normalizing_disk_takes_for_one_share_a_key(text: str) -> None:
    keys = {
        collision_key(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")
    }
    assert keys == {collision_key(text)}


@pytest.mark.fault("4.5/collisions", "case", "ß and ss")
@given(st.text())
@example("Stra\u00dfe")
@example("STRASSE")
def test_names_that_a_case_folding_disk_takes_for_one_share_a_key(text: str) -> None:
    folded = unicodedata.normalize("NFD", text).casefold()
    assert collision_key(folded) == collision_key(text)


@given(st.text())
def test_the_key_of_a_key_is_itself(text: str) -> None:
    assert collision_key(collision_key(text)) == collision_key(text)


@pytest.mark.fault("4.5/odd-names", "CON", "trailing dot", "trailing space", "more than 255 bytes")
@pytest.mark.fault("4.5/hostile-names", "..", "empty")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<winnie-the-pooh>.pt", "_winnie-the-pooh_~9.pt", id="angle brackets"),
        pytest.param("../../x", "_._.._x~9", id="climbs"),
        pytest.param("CON.safetensors", "CON_~9.safetensors", id="device"),
        pytest.param("con.tar.gz", "con_.tar~9.gz", id="device with two extensions"),
        pytest.param("a\x1b]52;c.pt", "a_]52;c~9.pt", id="terminal escape"),
        pytest.param("x" * 300 + ".pt", "x" * 195 + "~9.pt", id="300 characters"),
        pytest.param(" trailing. ", "trailing~9", id="blanks and dots around"),
        pytest.param(".hidden", "_hidden~9", id="hidden"),
        pytest.param("", "unnamed~9", id="empty"),
        pytest.param("fine name.v2.pt", "fine name.v2.pt", id="safe"),
        pytest.param("e\u0301.pt", "é~9.pt", id="not in normal form"),
    ],
)
def test_an_unsafe_name_is_changed_visibly_and_keeps_its_extension(
    text: str, expected: str
) -> None:
    assert safe_name(text, mark=9) == SafeName(expected)


@pytest.mark.fault(
    "4.5/hostile-names", "..", "absolute", "backslash", "drive", "UNC", "NUL", "empty", "."
)
@pytest.mark.fault(
    "4.5/odd-names",
    "NUL the device",
    "COM¹",
    "trailing dot",
    "trailing space",
    "colon",
    "a path too long",
)
@pytest.mark.fault("4.5/no-text", "lone surrogate")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/../b",
        "./a",
        "a/\0b",
        "\\\\server\\share\\a",
        "a/.civsync/b",
        "a\\b",
        "C:/a",
        "a/NUL",
        "a/com¹.txt",
        "a/b.",
        "a/b ",
        "a/e\u0301",
        "a/\u202eb",
        "a/\udcff",
        "/".join("a" * (PATH_DEPTH + 1)),
        "/".join(["b" * 199] * 6),
    ],
)
def test_a_path_that_civsync_would_not_have_made_is_refused(path: str) -> None:
    with pytest.raises(UnsafePathError):
        parse_path(path)
