import math

import pytest

from civsync.core.codes import Code
from civsync.core.limits import DOCUMENT_DEPTH
from civsync.documents.nodes import Mapping, Pair, Scalar, Sequence, Value
from civsync.documents.yaml_text import parse_yaml


def value_of(text: str) -> Value:
    read = parse_yaml(f"key: {text}\n", name="x")
    assert read.problems == ()
    assert isinstance(read.root, Mapping)
    node = read.root.get("key")
    assert isinstance(node, Scalar)
    return node.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        ("12", 12),
        ("-7", -7),
        ("010", 10),
        ("0o17", 15),
        ("0xFf", 255),
        ("1.10", 1.1),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("'12'", "12"),
        ('"true"', "true"),
        ("''", ""),
        ("V5.1", "V5.1"),
        ("+", "+"),
        ("-.", "-."),
    ],
)
def test_a_scalar_is_what_the_core_schema_of_1_2_says(text: str, expected: Value) -> None:
    value = value_of(text)
    assert value == expected
    assert type(value) is type(expected)


def test_what_is_written_is_kept_beside_the_value() -> None:
    read = parse_yaml("- 1.10\n- '1.10'\n", name="x")
    assert read.root == Sequence(
        items=(
            Scalar(value=1.1, text="1.10", plain=True, line=1, column=3),
            Scalar(value="1.10", text="1.10", plain=False, line=2, column=3),
        ),
        line=1,
        column=1,
    )


def test_columns_count_characters_not_bytes() -> None:
    read = parse_yaml('é: ü\r\n"ñ": {ö: 1}\r\n', name="x")
    assert isinstance(read.root, Mapping)
    inner = read.root.get("ñ")
    assert inner == Mapping(
        pairs=(
            Pair(
                key="ö",
                line=2,
                column=7,
                value=Scalar(value=1, text="1", plain=True, line=2, column=10),
            ),
        ),
        line=2,
        column=6,
    )


@pytest.mark.parametrize(
    ("source", "code", "line", "column"),
    [
        pytest.param("a: 1\na: 2\n", Code.DUPLICATE_KEY, 2, 1, id="duplicate key"),
        pytest.param('a: 1\n"a": 2\n', Code.DUPLICATE_KEY, 2, 1, id="duplicate key, quoted"),
        pytest.param("a: &x 1\n", Code.YAML_ALIAS, 1, 4, id="anchor"),
        pytest.param("a: *x\n", Code.YAML_ALIAS, 1, 4, id="alias"),
        pytest.param("a: {<<: {b: 1}}\n", Code.YAML_ALIAS, 1, 5, id="merge key"),
        pytest.param("a: !!str 1\n", Code.MANIFEST_SYNTAX, 1, 4, id="tag"),
        pytest.param("a: !!python/object:os.system x\n", Code.MANIFEST_SYNTAX, 1, 4, id="python"),
        pytest.param("a: ! x\n", Code.MANIFEST_SYNTAX, 1, 4, id="bare tag"),
        pytest.param("a: 1\n---\nb: 2\n", Code.MANIFEST_SYNTAX, 2, 1, id="two documents"),
        pytest.param("a:\n\tb: 1\n", Code.MANIFEST_SYNTAX, 2, 1, id="tab"),
        pytest.param("a: b: c\n", Code.MANIFEST_SYNTAX, 1, 5, id="colon in a value"),
        pytest.param("? [a, b]\n: c\n", Code.MANIFEST_SYNTAX, 1, 3, id="list as a key"),
        pytest.param("a: \0\n", Code.MANIFEST_SYNTAX, 1, 4, id="NUL"),
        pytest.param("a: \x1b[2J\n", Code.MANIFEST_SYNTAX, 1, 4, id="terminal escape"),
        pytest.param("ok: 1\nb: \ud800\n", Code.MANIFEST_SYNTAX, 2, 4, id="lone surrogate"),
        pytest.param('a: "\\ud800"\n', Code.MANIFEST_SYNTAX, 1, None, id="escaped surrogate"),
        pytest.param(b"ok: 1\nb: \xff\n", Code.MANIFEST_SYNTAX, 2, 4, id="not UTF-8"),
        pytest.param("a: " + "9" * 5000, Code.MANIFEST_SYNTAX, 1, 4, id="5000 digits"),
        # PyYAML 6.0.4 gives up at a depth of its own before we count.
        pytest.param("[" * 5000, Code.MANIFEST_SYNTAX, 1, None, id="5000 brackets"),
        pytest.param("{a: " * 5000, Code.MANIFEST_SYNTAX, 1, 161, id="5000 braces"),
        pytest.param("- " * 5000, Code.MANIFEST_SYNTAX, 1, 81, id="5000 dashes"),
        pytest.param("%YAML 3.0\n---\na: 1\n", Code.MANIFEST_SYNTAX, 1, 1, id="another YAML"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_at_its_place(
    source: str | bytes, code: Code, line: int, column: int | None
) -> None:
    problem = parse_yaml(source, name="x.yaml").problems[0]
    assert (problem.code, problem.place.line) == (code, line)
    assert column in (None, problem.place.column)
    assert problem.place.document == "x.yaml"


def test_a_bomb_of_aliases_is_never_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    read = parse_yaml("\n".join(lines), name="x")
    assert {problem.code for problem in read.problems} == {Code.YAML_ALIAS}
    assert len(read.problems) == 30 + 29 * 9


def test_a_bomb_of_merges_is_never_expanded() -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)]
    read = parse_yaml("\n".join(lines), name="x")
    assert {problem.code for problem in read.problems} == {Code.YAML_ALIAS}


def test_an_alias_to_itself_is_refused() -> None:
    assert parse_yaml("&a [*a]", name="x").problems[0].code is Code.YAML_ALIAS


def test_a_duplicate_key_names_both_lines() -> None:
    (problem,) = parse_yaml("a: 1\nb: 2\na: 3\n", name="x").problems
    assert "lines 1 and 3" in problem.message


def test_a_tab_is_called_a_tab() -> None:
    (problem,) = parse_yaml("a:\n\tb: 1\n", name="x").problems
    assert "tabs" in problem.hint


def test_all_faults_that_can_be_read_past_are_found() -> None:
    read = parse_yaml("a: &x 1\na: 2\nb: *x\nc: !t 3\n", name="x")
    assert [(p.code, p.place.line) for p in read.problems] == [
        (Code.YAML_ALIAS, 1),
        (Code.DUPLICATE_KEY, 2),
        (Code.YAML_ALIAS, 3),
        (Code.MANIFEST_SYNTAX, 4),
    ]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    for source in ("\ufeffa: 1\n", b"\xef\xbb\xbfa: 1\n"):
        read = parse_yaml(source, name="x")
        assert read.problems == ()
        assert isinstance(read.root, Mapping)
        assert (read.root.pairs[0].key, read.root.pairs[0].column) == ("a", 1)


def test_a_document_above_the_cap_is_refused_unread() -> None:
    read = parse_yaml("a" * 11, name="x", size=10)
    assert read.root is None
    assert "larger than 10 bytes" in read.problems[0].message


def test_depth_up_to_the_cap_is_read() -> None:
    text = "[" * DOCUMENT_DEPTH + "]" * DOCUMENT_DEPTH
    assert parse_yaml(text, name="x").problems == ()
    assert parse_yaml(f"[{text}]", name="x").root is None


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n"])
def test_a_text_that_holds_nothing_is_no_fault_of_yaml(text: str) -> None:
    read = parse_yaml(text, name="x.yaml")
    assert (read.root, read.problems) == (None, ())


def test_a_conflict_that_git_left_is_called_one_at_its_first_marker() -> None:
    text = "a: 1\nb:\n  - 1\n<<<<<<< HEAD\n  - 2\n=======\n  - 3\n>>>>>>> theirs\n"

    [problem] = parse_yaml(text, name="x.yaml").problems

    assert problem.message == "a merge conflict is not settled here: <<<<<<< HEAD"
    assert (problem.place.line, problem.place.column) == (4, 1)
    assert problem.hint == "Keep the lines that are right, and remove the three markers."
