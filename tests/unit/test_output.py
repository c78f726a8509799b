"""What reaches the terminal: nothing that a stranger wrote can steer it, and JSON is ASCII."""

import contextlib
import io
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.cli.output import (
    Output,
    OutputChoice,
    count_text,
    discard,
    duration_text,
    error_document,
    json_line,
    show,
    size_text,
)
from civsync.cli.plan_text import plan_lines, plan_sum
from civsync.core.codes import Code
from civsync.core.errors import SafetyError, UserError
from civsync.core.plan import Plan
from civsync.core.problems import DocumentError, Place, Problem
from civsync.decide.plan import make_plan
from support.lock_values import lock_at, receipt_of

HOSTILE = {
    "escape": "\x1b[2J\x1b[1;31mred",
    "osc 52 (clipboard)": "\x1b]52;c;cm0gLXJm\x07",
    "c1 csi": "\x9b2J",
    "carriage return": "good.safetensors\rbad",
    "backspace": "abc\x08\x08\x08xyz",
    "bell": "\x07",
    "null": "\x00",
    "delete": "\x7f",
    "bidi override": "\u202egnp.exe",
    "bidi isolate": "\u2066x\u2069",
    "zero width": "a\u200bb\u200d",
    "byte order mark": "\ufeffx",
    "line separator": "a\u2028b\u2029c\x85d\x0be",
    "lone surrogate": "a\ud800b",
    "tag characters": "\U000e0041",
    "private use": "\ue000",
    "tab": "a\tb",
    "a line of its own": "x\nerror: forged",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_escaped(text: str) -> None:
    shown = show(text)
    assert shown.isprintable()
    assert "\\" in shown
    assert show(shown) == shown


@given(st.text())
def test_whatever_is_shown_cannot_steer_a_terminal(text: str) -> None:
    shown = show(text)
    assert shown.isprintable()
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs"}


@pytest.mark.parametrize("text", ["plain", "é 漢字 😀", "a\\x1b", ""], ids=ascii)
def test_honest_text_is_shown_as_it_is(text: str) -> None:
    assert show(text) == text


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing about colors."""
    for name in ("NO_COLOR", "TERM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@contextlib.contextmanager
def terminal() -> Iterator[int]:
    """Make stderr a real terminal; yields the end that a person would look at."""
    if not hasattr(os, "openpty"):
        pytest.skip("this system has no pseudo-terminals")
    person, program = os.openpty()
    with (
        os.fdopen(program, "w", encoding="utf-8") as stream,
        contextlib.redirect_stderr(stream),
    ):
        try:
            yield person
        finally:
            stream.flush()
    os.close(person)


@pytest.mark.parametrize(
    ("color", "environment", "colored"),
    [
        pytest.param("auto", {}, True, id="a terminal"),
        pytest.param("auto", {"NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param("auto", {"NO_COLOR": ""}, True, id="an empty NO_COLOR counts as none"),
        pytest.param("auto", {"TERM": "dumb"}, False, id="a dumb terminal"),
        pytest.param("always", {"NO_COLOR": "1"}, True, id="the flag wins"),
        pytest.param("never", {}, False, id="never"),
    ],
)
def test_colors_on_a_terminal(
    plain: pytest.MonkeyPatch, color: str, environment: dict[str, str], colored: bool
) -> None:
    for name, value in environment.items():
        plain.setenv(name, value)
    with terminal():
        painted = Output(OutputChoice(color=color)).paint("x", "red")
    assert painted == ("\x1b[31mx\x1b[0m" if colored else "x")


def test_a_stream_that_cannot_be_led_into_nothing_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "devnull", str(tmp_path / "there is none"))
    with (tmp_path / "out").open("w") as stream:
        discard(stream)
        stream.write("more")
    assert (tmp_path / "out").read_text() == "more"


@pytest.mark.parametrize(("color", "colored"), [("auto", False), ("always", True)])
def test_colors_in_a_pipe(plain: pytest.MonkeyPatch, color: str, colored: bool) -> None:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        output = Output(OutputChoice(color=color))
        assert ("\x1b" in output.paint("x", "bold")) is colored
        assert ("\x1b" in output.paint("x", "bold", to_stdout=True)) is colored


@pytest.mark.parametrize(
    ("choice", "live"),
    [
        pytest.param(OutputChoice(), True, id="a terminal"),
        pytest.param(OutputChoice(quiet=True), False, id="quiet"),
        pytest.param(OutputChoice(json=True), False, id="json"),
        pytest.param(OutputChoice(progress=False), False, id="no progress"),
    ],
)
def test_a_display_that_redraws_is_for_terminals(
    plain: pytest.MonkeyPatch, choice: OutputChoice, live: bool
) -> None:
    assert not Output(choice).live or live
    with terminal():
        assert Output(choice).live is live
    plain.setenv("TERM", "dumb")
    with terminal():
        assert not Output(choice).live


def test_data_goes_to_stdout_and_talk_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(OutputChoice(color="never"))
    output.data("data")
    output.talk("talk")
    output.warn("careful")
    assert tuple(capsys.readouterr()) == ("data\n", "talk\nwarning: careful\n")


def test_quiet_silences_talk_but_not_data_warnings_and_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output(OutputChoice(color="never", quiet=True))
    output.data("data")
    output.talk("talk")
    output.warn("careful")
    output.error(UserError(Code.USAGE, "no such flag"))
    out, err = capsys.readouterr()
    assert out == "data\n"
    assert "talk" not in err
    assert "warning: careful" in err
    assert "error: no such flag [usage]" in err


def test_an_error_says_what_where_code_and_what_helps(capsys: pytest.CaptureFixture[str]) -> None:
    error = SafetyError(Code.FOREIGN_FILE, "in the way", subject="a.pt", hint="Move it.")
    Output(OutputChoice(color="never")).error(error)
    assert capsys.readouterr().err == "error: a.pt: in the way [foreign-file]\n\nhint: Move it.\n"


def test_a_document_prints_every_problem_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem(
            code=Code.UNKNOWN_KEY,
            message=f"unknown key {key!r}",
            place=Place(document="civsync.yaml", line=line, column=3, key=f"models[{line}]"),
            hint=hint,
        )
        for line, key, hint in ((2, "modle", "Did you mean `model`?"), (5, "x", ""))
    ]
    Output(OutputChoice(color="never")).error(DocumentError(problems))
    lines = capsys.readouterr().err.splitlines()
    assert "error: civsync.yaml:2:3: unknown key 'modle' (at models[2]) [unknown-key]" in lines
    assert "  hint: Did you mean `model`?" in lines
    assert "error: civsync.yaml:5:3: unknown key 'x' (at models[5]) [unknown-key]" in lines
    assert lines[-1].startswith("hint: ")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_part_of_an_error_steers_the_terminal(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    place = Place(document=text, line=1, key=text)
    problem = Problem(code=Code.UNKNOWN_KEY, message=text, place=place, hint=text)
    output = Output(OutputChoice(color="never"))
    output.error(SafetyError(Code.OBSTACLE, text, subject=text, hint=text))
    output.error(DocumentError([problem]))
    printed = capsys.readouterr().err
    assert all(line.isprintable() for line in printed.split("\n"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_is_ascii_and_keeps_the_text(capsys: pytest.CaptureFixture[str], text: str) -> None:
    error = SafetyError(Code.OBSTACLE, text, subject=text, data={"name": text})
    output = Output(OutputChoice(json=True))
    output.document("civsync.error", {"error": error_document(error)})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert all(char == "\n" or " " <= char <= "~" for char in printed.replace("\x7f", ""))
    assert json.loads(printed)["error"]["data"] == {"name": text}


def test_an_event_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    Output(OutputChoice(json=True)).event({"event": "noted", "message": "a\nb\u2028c\x85"})
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert len(printed.splitlines()) == 1
    assert json.loads(printed) == {
        "schema": "civsync.event",
        "schema_version": 1,
        "event": "noted",
        "message": "a\nb\u2028c\x85",
    }


def test_json_ends_in_a_newline() -> None:
    assert json_line({"a": "é"}) == '{"a": "\\u00e9"}\n'


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_narrow_terminal_gets_escapes_instead_of_a_traceback(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    with contextlib.redirect_stdout(stream):
        Output(OutputChoice()).data("漢 → é")
    assert raw.getvalue().decode(encoding).startswith("\\u6f22 \\u2192 ")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (2 * 1024**3, "2.0 GiB"),
        (3 * 1024**4, "3.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_sizes_are_told_in_powers_of_1024(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_times_are_told_as_people_read_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "file", "1 file"),
        (0, "file", "0 files"),
        (2, "entry", "2 entries"),
        (1234, "file", "1,234 files"),
    ],
)
def test_counts_agree_with_their_nouns(number: int, noun: str, text: str) -> None:
    assert count_text(number, noun) == text


def test_a_long_plan_is_cut_and_says_so() -> None:
    plan = make_plan(lock_at({f"f{n:03}": "x" for n in range(60)}), {}, receipt_of())
    short = list(plan_lines(plan, Output(OutputChoice(color="never"))))
    long = list(plan_lines(plan, Output(OutputChoice(color="never", verbose=True))))
    assert short[-2] == "  … and 20 more (--verbose shows all)"
    assert len(long) == 61
    assert short[-1] == long[-1] == "60 to download (60 B); 0 in place"


def test_a_plan_with_nothing_to_do_says_so() -> None:
    assert plan_sum(Plan()) == "0 files in place, nothing to do"
