"""What `civsync job` and a running sync say to each other survives the way, and nothing else."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.cli.job_text import run_document, run_lines
from civsync.cli.output import Output, OutputChoice
from civsync.core.control import Cancel, Limit, Pause, Prioritize, Resume, Stage
from civsync.core.jobs import (
    Answer,
    Declined,
    Download,
    Look,
    Obeyed,
    Request,
    RunningSync,
    Seen,
)
from civsync.core.limits import JOB_REASON_CHARS, JOB_REQUEST_BYTES, MAX_PRIORITY
from civsync.core.names import parse_path
from civsync.documents.job_messages import (
    LATEST_START,
    MessageError,
    read_answer,
    read_request,
    write_answer,
    write_request,
)

A, B = parse_path("loras/a.safetensors"), parse_path("loras/b.safetensors")
REQUESTS: list[Request] = [
    Look(),
    Pause(),
    Pause(paths=frozenset({A, B})),
    Resume(),
    Resume(paths=frozenset({A})),
    Cancel(),
    Cancel(paths=frozenset({B})),
    Prioritize(paths=frozenset({A}), priority=-MAX_PRIORITY),
    Limit(rate=None),
    Limit(rate=1),
]
DOWNLOAD = Download(
    path=A,
    entry="4384@latest",
    model="Dream\x1b[31m",
    model_id=4384,
    version_id=128713,
    size=10,
    held=3,
    stage=Stage.RUNNING,
    priority=-7,
    connections=4,
)
RUN = RunningSync(
    root="/srv/models",
    pid=4711,
    started=1_764_000_000,
    command="civsync sync",
    received=3,
    limit_rate=20_000_000,
    downloads=(DOWNLOAD, replace(DOWNLOAD, path=B, stage=Stage.WAITING, connections=0)),
)
ANSWERS: list[Answer] = [
    Seen(run=RUN),
    Seen(run=replace(RUN, limit_rate=None, downloads=())),
    Obeyed(changed=0),
    Obeyed(changed=3),
    Declined(reason="it is no message"),
]


def _named(request: Request) -> str:
    """Name a request so that all processes agree: sets have no order."""
    paths = sorted(getattr(request, "paths", None) or ())
    return "-".join([type(request).__name__, *paths])


@pytest.mark.parametrize("request_", REQUESTS, ids=_named)
def test_every_request_arrives_as_it_was_sent_in_one_line(request_: Request) -> None:
    line = write_request(request_)
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert read_request(line[:-1]) == request_


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda each: type(each).__name__)
def test_every_answer_arrives_as_it_was_sent_in_one_line(answer: Answer) -> None:
    line = write_answer(answer)
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert read_answer(line[:-1]) == answer


def test_the_same_request_is_the_same_line_whatever_the_order_of_its_paths() -> None:
    assert write_request(Pause(paths=frozenset({A, B}))) == (
        b'{"paths":["loras/a.safetensors","loras/b.safetensors"],"request":"pause","version":1}\n'
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1", id="another protocol"),
        pytest.param(b"\x00\xff\xfe", id="bytes"),
        pytest.param(b"[" * 100_000, id="a deep nest"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no key"),
        pytest.param(b'{"request":"list"}', id="no version"),
        pytest.param(b'{"version":2,"request":"list"}', id="another version"),
        pytest.param(b'{"version":true,"request":"list"}', id="true for 1"),
        pytest.param(b'{"version":1.0,"request":"list"}', id="1.0 for 1"),
        pytest.param(b'{"version":1}', id="no request"),
        pytest.param(b'{"version":1,"request":"explode"}', id="an unknown request"),
        pytest.param(b'{"version":1,"request":["list"]}', id="a list of requests"),
        pytest.param(b'{"version":1,"request":"list","root":"/"}', id="a key too many"),
        pytest.param(b'{"version":1,"request":"pause"}', id="a key too few"),
        pytest.param(b'{"version":1,"request":"pause","paths":"all"}', id="a word for paths"),
        pytest.param(b'{"version":1,"request":"pause","paths":[]}', id="no paths"),
        pytest.param(b'{"version":1,"request":"cancel","paths":["../a"]}', id="a way out"),
        pytest.param(b'{"version":1,"request":"cancel","paths":["/etc/passwd"]}', id="absolute"),
        pytest.param(b'{"version":1,"request":"cancel","paths":[""]}', id="an empty path"),
        pytest.param(b'{"version":1,"request":"cancel","paths":[1]}', id="a number for a path"),
        pytest.param(
            b'{"version":1,"request":"prioritize","paths":null,"priority":1}', id="priority of all"
        ),
        pytest.param(
            b'{"version":1,"request":"prioritize","paths":["a"],"priority":1000001}',
            id="a priority too great",
        ),
        pytest.param(
            b'{"version":1,"request":"prioritize","paths":["a"],"priority":1.5}',
            id="half a priority",
        ),
        pytest.param(b'{"version":1,"request":"limit","rate":0}', id="a rate of nothing"),
        pytest.param(b'{"version":1,"request":"limit","rate":-1}', id="a negative rate"),
        pytest.param(b'{"version":1,"request":"limit","rate":"20M"}', id="a rate as text"),
        pytest.param(b'{"version":1,"request":"limit","rate":99999999999999999999}', id="too fast"),
        pytest.param(b'{"version":1,"request":"limit","rate":null} x', id="more behind it"),
        pytest.param(b" " * (JOB_REQUEST_BYTES + 1), id="too long"),
    ],
)
def test_what_is_no_request_is_refused_in_a_sentence(line: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        read_request(line)
    assert str(caught.value)


def spoiled(**keys: object) -> bytes:
    """The line of a seen run with other values in its one download."""
    message = json.loads(write_answer(Seen(run=replace(RUN, downloads=(DOWNLOAD,)))))
    message["run"]["downloads"][0].update(keys)
    return json.dumps(message).encode()


def begun(started: int) -> bytes:
    """The line of a run that began then."""
    return write_answer(Seen(run=replace(RUN, started=started)))[:-1]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"nonsense", id="no JSON"),
        pytest.param(b'{"version":1,"answer":"seen","run":null}', id="no run"),
        pytest.param(b'{"version":1,"answer":"obeyed","changed":-1}', id="fewer than none"),
        pytest.param(b'{"version":1,"answer":"obeyed"}', id="no count"),
        pytest.param(b'{"version":1,"answer":"declined","reason":7}', id="a number as reason"),
        pytest.param(b'{"version":2,"answer":"declined","reason":""}', id="another version"),
        pytest.param(spoiled(path="../../etc/passwd"), id="a way out"),
        pytest.param(spoiled(size=-1), id="a negative size"),
        pytest.param(spoiled(stage="exploded"), id="an unknown stage"),
        pytest.param(spoiled(priority=10**7), id="a priority too great"),
        pytest.param(spoiled(held=None), id="nothing held"),
        pytest.param(begun(-1), id="before 1970"),
        pytest.param(begun(2**63 - 1), id="in no year that a calendar has"),
    ],
)
def test_what_is_no_answer_is_refused_in_a_sentence(line: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        read_answer(line)
    assert str(caught.value)


@pytest.mark.parametrize("started", [0, LATEST_START], ids=["1970", "9999"])
def test_every_time_that_is_read_can_be_shown(started: int) -> None:
    answer = read_answer(begun(started))
    assert isinstance(answer, Seen)
    assert list(run_lines(answer.run, Output(OutputChoice())))
    assert run_document(answer.run)["root"] == RUN.root


def test_a_long_reason_is_cut() -> None:
    line = write_answer(Declined(reason="x" * 100_000))
    assert read_answer(line[:-1]) == Declined(reason="x" * JOB_REASON_CHARS)


def test_a_request_too_long_is_never_sent() -> None:
    paths = frozenset(parse_path(f"{'x' * 180}/{number}") for number in range(50_000))
    with pytest.raises(MessageError):
        write_request(Pause(paths=paths))


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_line_makes_the_reader_fail_in_another_way(line: bytes) -> None:
    for read in (read_request, read_answer):
        try:
            read(line)
        except MessageError:
            continue
