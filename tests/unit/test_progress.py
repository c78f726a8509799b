"""Events as lines of a log, as lines of JSON, and as sums."""

import json
from dataclasses import replace
from typing import Any

import pytest

from civsync.cli.bars import name_width, shorten
from civsync.cli.output import Output, OutputChoice
from civsync.cli.progress import LOG_EVERY_S, JsonLines, LogLines, event_document
from civsync.cli.tally import Tally
from civsync.core.codes import Code
from civsync.core.errors import WireError
from civsync.core.events import (
    Asked,
    Event,
    FileDone,
    FileFailed,
    FileProgress,
    FileRetrying,
    FileStarted,
    Hashing,
    Noted,
    Paused,
    Planned,
    Recording,
)
from civsync.core.limits import MIB
from civsync.core.names import parse_path
from civsync.core.plan import Fetch, Plan, Want
from support.lock_values import locked_entry, locked_file
from support.published import faults

A, B = parse_path("loras/a.safetensors"), parse_path("loras/b.safetensors")
LOST = WireError(Code.CONNECTION_LOST, "the connection broke")


def plan(**sizes: int) -> Planned:
    """A plan that fetches files of these sizes in MiB."""
    actions = []
    for name, size in sizes.items():
        file = replace(locked_file(f"loras/{name}.safetensors", name), size=size * MIB)
        actions.append(Fetch(want=Want(entry=locked_entry(file), file=file)))
    return Planned(plan=Plan(actions=tuple(actions)))


EVENTS: list[Event] = [
    Asked(requests=3, entries=200),
    Hashing(done=1, total=2, bytes_done=5),
    plan(a=10, b=30),
    Recording(files=2, size=40 * MIB),
    FileStarted(path=A, size=10 * MIB, held=0),
    FileProgress(path=A, size=10 * MIB, held=5 * MIB),
    FileRetrying(path=A, error=LOST, delay=0.5),
    FileDone(path=A, how="fetched", size=10 * MIB, received=10 * MIB),
    FileFailed(path=B, error=LOST),
    Paused(host="civitai.com", seconds=30.0, error=LOST),
    Noted(code="kept", message="the locked files stay as they are", path=A),
]


def tally_of(*events: Event) -> Tally:
    tally = Tally()
    for event in events:
        tally.take(event)
    return tally


# --- sums ---------------------------------------------------------------------------------


def test_bytes_are_summed_over_all_files() -> None:
    tally = tally_of(
        plan(a=10, b=30),
        FileStarted(path=A, size=10 * MIB, held=0),
        FileStarted(path=B, size=30 * MIB, held=0),
        FileProgress(path=A, size=10 * MIB, held=4 * MIB),
        FileProgress(path=A, size=10 * MIB, held=8 * MIB),
        FileProgress(path=B, size=30 * MIB, held=2 * MIB),
    )
    assert tally.bytes_in_place == tally.bytes_received == 10 * MIB
    assert tally.line(5.0) == "25% 10.0 MiB of 40.0 MiB, 0 of 2 files, 2.0 MiB/s, 15.0 s left"


def test_what_an_earlier_run_left_is_progress_but_no_speed() -> None:
    tally = tally_of(
        plan(a=10, b=30),
        FileStarted(path=B, size=30 * MIB, held=20 * MIB),
        FileProgress(path=B, size=30 * MIB, held=25 * MIB),
    )
    assert (tally.bytes_in_place, tally.bytes_received) == (25 * MIB, 5 * MIB)
    assert tally.line(5.0) == "62% 25.0 MiB of 40.0 MiB, 0 of 2 files, 1.0 MiB/s, 15.0 s left"
    tally.take(FileDone(path=B, how="fetched", size=30 * MIB, received=10 * MIB))
    tally.take(FileDone(path=A, how="restored", size=10 * MIB, received=0))
    assert (tally.bytes_in_place, tally.bytes_received) == (40 * MIB, 10 * MIB)
    assert tally.files_done == 2


def test_a_file_that_begins_anew_takes_its_bytes_back() -> None:
    tally = tally_of(
        plan(a=10),
        FileStarted(path=A, size=10 * MIB, held=6 * MIB),
        FileStarted(path=A, size=10 * MIB, held=0),
    )
    assert (tally.bytes_in_place, tally.bytes_received) == (0, 0)


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_without_bytes_nothing_is_foretold(seconds: float) -> None:
    assert tally_of(plan(a=10)).line(seconds) == "0% 0 B of 10.0 MiB, 0 of 1 file, 0 B/s"
    assert tally_of().line(seconds).startswith("100%")


# --- a log --------------------------------------------------------------------------------


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_now_and_then_and_not_for_every_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch = Watch()
    log = LogLines(Output(OutputChoice()), watch)
    log(plan(a=10))
    log(FileStarted(path=A, size=10 * MIB, held=0))
    assert capsys.readouterr().err.splitlines()[-1] == "1 to download (10.0 MiB); 0 in place"
    for second in range(1, 36):
        watch.now = 100.0 + second
        log(FileProgress(path=A, size=10 * MIB, held=second * MIB // 5))
    lines = capsys.readouterr().err.splitlines()
    assert LOG_EVERY_S == 10.0
    assert [line.split(" of ")[0] for line in lines] == [
        "20% 2.0 MiB",
        "40% 4.0 MiB",
        "60% 6.0 MiB",
    ]


def test_a_quiet_log_is_silent_but_for_what_should_not_be_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = LogLines(Output(OutputChoice(quiet=True)))
    for event in EVENTS:
        log(event)
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {A}: the locked files stay as they are"
    ]


def test_a_log_tells_now_and_then_how_much_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    log = LogLines(Output(OutputChoice()), watch)
    for second in range(1, 26):
        watch.now = 100.0 + second
        log(Hashing(done=1, total=2, bytes_done=second * MIB, bytes_total=100 * MIB))
    assert capsys.readouterr().err.splitlines() == [
        "read 10.0 MiB of 100.0 MiB, 1 of 2 files, 1.0 MiB/s",
        "read 20.0 MiB of 100.0 MiB, 1 of 2 files, 1.0 MiB/s",
    ]


def test_retries_and_pauses_are_told_with_their_time(capsys: pytest.CaptureFixture[str]) -> None:
    log = LogLines(Output(OutputChoice()))
    log(FileRetrying(path=A, error=LOST, delay=0.5))
    log(Paused(host="civitai.com", seconds=90.0))
    assert capsys.readouterr().err.splitlines() == [
        f"{A}: the connection broke; trying again in 0.5 s",
        "civitai.com asked for a pause of 1 min 30 s",
    ]


# --- JSON ---------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_fits_the_published_schema(event: Event) -> None:
    assert faults({"schema": "civsync.event", "schema_version": 1, **event_document(event)}) == []


def test_a_stream_is_one_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    stream = JsonLines(Output(OutputChoice(json=True)), stream=True)
    for event in EVENTS:
        stream(event)
    lines: list[Any] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == len(EVENTS)
    assert {line["schema"] for line in lines} == {"civsync.event"}


# --- names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short.safetensors", "short.safetensors"),
        ("x" * 32, "x" * 32),
        ("a" * 30 + "b" * 30, "a" * 15 + "…" + "b" * 16),
    ],
)
def test_a_long_name_loses_its_middle(text: str, expected: str) -> None:
    assert shorten(text) == expected
    assert len(shorten(text)) <= 32


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param(200, 32, id="room enough"),
        pytest.param(80, 32, id="usual"),
        pytest.param(60, 15, id="half a screen"),
        pytest.param(20, 12, id="too narrow for anything"),
    ],
)
def test_a_narrow_terminal_shortens_names_not_numbers(columns: int, expected: int) -> None:
    assert name_width(columns) == expected
