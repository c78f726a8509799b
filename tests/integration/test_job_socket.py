"""`civsync job` and a run that can be steered, each in its own process or thread, over a socket."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from civsync.cli.controls import open_controls
from civsync.cli.job_folder import HAS_SOCKETS, place_for, places
from civsync.cli.output import OutputChoice
from civsync.cli.progress import JsonLines
from civsync.core.codes import Code
from civsync.core.control import Cancel, Limit, Order, Pause, Prioritize, Resume
from civsync.core.errors import UserError
from civsync.core.limits import JOB_CONNECTIONS, JOB_REQUEST_BYTES, SOCKET_PATH_BYTES, WAITING_SHOWN
from civsync.core.plan import Plan
from civsync.disk.root import Root
from support.cli import Project, Ran
from support.lock_values import locked_entry, locked_file
from support.published import faults
from support.steered import (
    A,
    B,
    C,
    context_of,
    established,
    fake_control,
    plan_of,
    steered,
)

if not HAS_SOCKETS:
    pytest.skip("there are no sockets of this kind", allow_module_level=True)

pytestmark = pytest.mark.slow  # whole processes, one after another

NO_JOB = 8
USAGE = 64
LIST = b'{"version":1,"request":"list"}\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder to call from; this process and those it starts have one runtime directory."""
    project = Project(tmp_path / "desk")
    short = Path(tempfile.mkdtemp(dir=project.environment["XDG_RUNTIME_DIR"]))
    for name, folder in (("XDG_RUNTIME_DIR", short / "run"), ("TMPDIR", short / "tmp")):
        folder.mkdir()
        project.environment[name] = str(folder)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, project.environment[name])
    monkeypatch.setattr("tempfile.tempdir", None)
    return project


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return established(tmp_path / "models")


def job(project: Project, *words: str) -> Ran:
    return project.run("job", *words)


def runtime(project: Project) -> Path:
    return Path(project.environment["XDG_RUNTIME_DIR"]) / "civsync"


@contextmanager
def speaking(place: Path) -> Iterator[socket.socket]:
    """A connection to a running sync, for what `civsync job` would never send."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(str(place))
        yield peer


def line_of(peer: socket.socket) -> bytes:
    """The next line, or what came before the end."""
    with peer.makefile("rb") as lines:
        return lines.readline()


# --- looking ------------------------------------------------------------------------------


def test_without_a_running_sync_the_list_is_empty_and_that_is_no_failure(project: Project) -> None:
    ran = job(project, "list")
    assert (ran.status, ran.out, ran.err) == (0, "", "no sync is downloading just now\n")
    document = job(project, "list", "--json").json
    assert (document["runs"], faults(document)) == ([], [])


def test_the_list_shows_every_download_and_how_far_it_is(project: Project, root: Root) -> None:
    control = fake_control()
    control.limit_rate = 2_000_000
    with steered(root, control):
        ran = job(project, "list")
    assert (ran.status, ran.err) == (0, "")
    head, sums, *table = ran.out.splitlines()
    assert head.startswith(f"{root.path}  process {os.getpid()}, since 20")
    assert head.endswith("  civsync sync")
    assert sums == "  50 B of 300 B there, 130 B received, at most 1.9 MiB/s"
    assert [line.split() for line in table] == [
        ["STAGE", "HELD", "SIZE", "PRIORITY", "CONNECTIONS", "ENTRY", "FILE"],
        ["running", "50%", "100", "B", "0", "2", "11@latest", A],
        ["waiting", "0%", "100", "B", "0", "0", "12@latest", B],
        ["waiting", "0%", "100", "B", "0", "0", "13@latest", C],
    ]


def test_the_list_as_data_fits_its_schema(project: Project, root: Root) -> None:
    with steered(root, fake_control()):
        document = job(project, "list", "--json").json
    assert faults(document) == []
    (run,) = document["runs"]
    assert (run["root"], run["pid"], run["limit_rate"]) == (str(root.path), os.getpid(), None)
    assert run["downloads"][0] == {
        "path": A,
        "entry": "11@latest",
        "model": "model11",
        "size": 100,
        "held": 50,
        "stage": "running",
        "priority": 0,
        "connections": 2,
    }


def test_of_many_that_wait_a_few_are_shown_and_the_others_counted(
    project: Project, root: Root
) -> None:
    files = [locked_file(f"f{number:03}.safetensors", "x") for number in range(300)]
    entries = (locked_entry(*files),)
    with steered(root, fake_control(entries), entries=entries):
        out = job(project, "list").out
    assert sum(line.startswith("  waiting") for line in out.splitlines()) == WAITING_SHOWN
    assert out.endswith(f"  … and {299 - WAITING_SHOWN} more waiting\n")


def test_what_is_over_is_counted(project: Project, root: Root) -> None:
    control = fake_control()
    control.obey(Cancel(paths=frozenset({A, B, C})))
    with steered(root, control):
        out = job(project, "list").out
    assert out.splitlines()[1].endswith("130 B received, 3 files cancelled")
    assert len(out.splitlines()) == 2


# --- orders -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "order", "said"),
    [
        (["pause"], Pause(), "3 downloads paused"),
        (["pause", "all"], Pause(), "3 downloads paused"),
        (["pause", "12@latest"], Pause(paths=frozenset({B})), "1 download paused"),
        (["pause", "model13"], Pause(paths=frozenset({C})), "1 download paused"),
        (["resume"], Resume(), "nothing there to resume"),
        (["resume", B], Resume(paths=frozenset({B})), "nothing there to resume"),
        (["cancel", "11"], Cancel(paths=frozenset({A})), "1 download cancelled; the next sync"),
        (["cancel", "all"], Cancel(), "3 downloads cancelled; the next sync offers them again"),
        (
            ["prioritize", "c.safetensors", "7"],
            Prioritize(paths=frozenset({C}), priority=7),
            "1 download given another priority",
        ),
        (
            ["prioritize", "all", "-7"],
            Prioritize(paths=frozenset({A, B, C}), priority=-7),
            "3 downloads given another priority",
        ),
        (["limit", "1.5M"], Limit(rate=1_500_000), "at most 1.4 MiB/s from now on"),
        (["limit", "none"], Limit(rate=None), "no limit any more"),
        (["limit", "0"], Limit(rate=None), "no limit any more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_order_arrives_as_it_was_meant(
    project: Project, root: Root, words: list[str], order: Order, said: str
) -> None:
    control = fake_control()
    with steered(root, control):
        ran = job(project, *words)
    assert (ran.status, ran.out) == (0, "")
    assert control.orders == [order]
    assert ran.err.startswith(f"{root.path}: {said}")


@pytest.mark.parametrize(
    ("words", "changed", "paths", "rate"),
    [
        (["pause"], 3, [A, B, C], None),
        (["cancel", "11"], 1, [A], None),
        (["prioritize", B, "3"], 1, [B], None),
        (["limit", "20M"], 0, [], 20_000_000),
    ],
    ids=["pause", "cancel", "prioritize", "limit"],
)
def test_what_an_order_changed_is_told_as_data(
    project: Project, root: Root, words: list[str], changed: int, paths: list[str], rate: int | None
) -> None:
    with steered(root, fake_control()):
        document = job(project, *words, "--json").json
    assert faults(document) == []
    assert (document["order"], document["root"]) == (words[0], str(root.path))
    assert (document["changed"], document["paths"]) == (changed, paths)
    assert document["limit_rate"] == rate


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["pause", "14@latest"], id="an unknown entry"),
        pytest.param(["cancel"], id="cancel without saying what"),
        pytest.param(["prioritize", A], id="no number"),
        pytest.param(["prioritize", A, "1000001"], id="too great a number"),
        pytest.param(["limit"], id="no rate"),
        pytest.param(["limit", "fast"], id="no rate at all"),
        pytest.param(["explode"], id="no such order"),
    ],
)
def test_a_slip_changes_nothing(project: Project, root: Root, words: list[str]) -> None:
    control = fake_control()
    with steered(root, control):
        ran = job(project, *words)
    assert (ran.status, control.orders) == (USAGE, [])


def test_an_unknown_entry_is_answered_with_those_that_are_running(
    project: Project, root: Root
) -> None:
    with steered(root, fake_control()):
        ran = job(project, "pause", "zzz")
    assert "this sync downloads nothing that is called 'zzz' [usage]" in ran.err
    assert "The entries are 11@latest, 12@latest, 13@latest." in ran.err


@pytest.mark.parametrize(
    "words", [["pause"], ["resume"], ["cancel", "all"], ["prioritize", "x", "1"], ["limit", "1M"]]
)
def test_an_order_to_nobody_says_so(project: Project, words: list[str]) -> None:
    ran = job(project, *words)
    assert ran.status == NO_JOB
    assert "no sync is downloading just now [no-job]" in ran.err
    told = job(project, *words, "--json").json
    assert (told["error"]["code"], faults(told)) == ("no-job", [])


# --- several ------------------------------------------------------------------------------


def test_of_two_running_syncs_one_must_be_named(
    project: Project, root: Root, tmp_path: Path
) -> None:
    other = established(tmp_path / "other")
    first, second = fake_control(), fake_control()
    project.write(head=f"root: {os.path.relpath(other.path, project.folder)}\n")
    with steered(root, first), steered(other, second):
        shown = job(project, "list", "--json").json
        both = job(project, "pause")
        one = job(project, "pause", "--root", str(root.path))
        another = job(project, "limit", "1M", "--root", os.path.relpath(other.path, project.folder))
        of_one = job(project, "list", "--json", "--root", str(other.path)).json
        nobody = job(project, "pause", "--root", str(tmp_path / "third"))
    assert [run["root"] for run in shown["runs"]] == [str(root.path), str(other.path)]
    assert both.status == USAGE
    assert "2 syncs are running [usage]" in both.err
    assert str(root.path) in both.err
    assert str(other.path) in both.err
    assert (one.status, another.status) == (0, 0)
    assert (first.orders, second.orders) == ([Pause()], [Limit(rate=1_000_000)])
    assert [run["root"] for run in of_one["runs"]] == [str(other.path)]
    assert nobody.status == NO_JOB
    assert f"no sync is downloading at {tmp_path / 'third'} just now [no-job]" in nobody.err


def test_a_manifest_names_the_sync_of_its_root(project: Project, tmp_path: Path) -> None:
    ours, other = established(project.folder / "library"), established(tmp_path / "other")
    first, second = fake_control(), fake_control()
    project.write(head="root: library\n")
    with steered(ours, first), steered(other, second):
        ran = job(project, "pause", "--manifest", "civsync.yaml")
    assert (ran.status, first.orders, second.orders) == (0, [Pause()], [])


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_root_whose_path_is_no_text_can_be_named(project: Project, tmp_path: Path) -> None:
    odd = established(Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff")))
    control = fake_control()
    with steered(odd, control), steered(established(tmp_path / "other"), fake_control()):
        paused = job(project, "pause", "--root", str(odd.path))
        shown = job(project, "list", "--json", "--root", str(odd.path)).json
    assert (paused.status, control.orders) == (0, [Pause()])
    assert [run["root"] for run in shown["runs"]] == [f"{tmp_path}/m\\udcff"]


def test_a_copied_root_runs_beside_the_first_and_leaves_its_socket_alone(
    project: Project, root: Root, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = established(tmp_path / "copy")
    marker = root.path / ".civsync" / "root.json"
    (copy.path / ".civsync" / "root.json").write_bytes(marker.read_bytes())
    twin = established(tmp_path / "copy2")
    (twin.path / ".civsync" / "root.json").write_bytes(marker.read_bytes())
    from civsync.disk.root import open_root

    same = open_root(twin.path, state_dir=tmp_path / "none")
    context = context_of(OutputChoice(verbose=True))
    with steered(root, fake_control()):
        with steered(same, fake_control(), context=context):
            shown = job(project, "list", "--json").json
        assert [run["root"] for run in shown["runs"]] == [str(root.path)]
        assert job(project, "pause").status == 0
    assert "`civsync job` will not find this sync" in capsys.readouterr().err


# --- the socket ---------------------------------------------------------------------------


def test_the_socket_is_this_users_alone_and_goes_with_the_run(project: Project, root: Root) -> None:
    with steered(root, fake_control()):
        (place,) = runtime(project).iterdir()
        assert place.name == f"{root.root_id}.sock"
        assert place.stat().st_mode & 0o777 == 0o600
        assert place.parent.stat().st_mode & 0o777 == 0o700
    assert list(runtime(project).iterdir()) == []


def test_a_run_that_cannot_load_what_answers_goes_on(
    project: Project, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where civsync was upgraded under a sync of hours."""
    with steered(root, fake_control()):
        (place,) = runtime(project).iterdir()
        with monkeypatch.context() as gone, speaking(place) as peer:
            gone.setitem(sys.modules, "civsync.cli.job_desk", None)
            peer.sendall(b"{}\n")
            with contextlib.suppress(ConnectionError):
                assert peer.recv(1) == b""
        with speaking(place) as peer:
            peer.sendall(b"{}\n")
            assert line_of(peer)


def test_a_run_without_downloads_listens_to_nobody(project: Project, root: Root) -> None:
    async def run() -> None:
        context = context_of()
        display = JsonLines(context.output, stream=False)
        async with open_controls(context, display, root, fake_control(), Plan()):
            assert not runtime(project).exists()

    anyio.run(run)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(UserError(Code.CANCELLED, "no"), id="an error of ours"),
        pytest.param(ValueError("no"), id="any other"),
    ],
)
def test_what_ends_the_run_comes_out_as_it_is_and_the_socket_goes(
    project: Project, root: Root, failure: Exception
) -> None:
    async def run() -> None:
        context = context_of()
        display = JsonLines(context.output, stream=False)
        async with open_controls(context, display, root, fake_control(), plan_of()):
            assert len(list(places())) == 1
            raise failure

    with pytest.raises(type(failure)) as caught:
        anyio.run(run)
    assert caught.value is failure
    assert list(places()) == []


def test_a_cancelled_run_removes_its_socket(project: Project, root: Root) -> None:
    async def run() -> None:
        context = context_of()
        display = JsonLines(context.output, stream=False)
        with anyio.CancelScope() as scope:
            async with open_controls(context, display, root, fake_control(), plan_of()):
                assert len(list(places())) == 1
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught

    anyio.run(run)
    assert list(places()) == []


def test_the_socket_of_a_dead_process_is_passed_over_and_replaced(
    project: Project, root: Root
) -> None:
    place = place_for(root.root_id)
    assert place is not None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
        dead.listen()
    assert place.is_socket()
    assert job(project, "list").err == "no sync is downloading just now\n"
    assert job(project, "pause").status == NO_JOB
    control = fake_control()
    with steered(root, control):
        assert job(project, "pause").status == 0
    assert control.orders == [Pause()]
    assert not place.exists()


def test_a_file_in_the_way_is_replaced_like_a_dead_socket(project: Project, root: Root) -> None:
    place = place_for(root.root_id)
    assert place is not None
    place.write_text("what a crash may leave")
    with steered(root, fake_control()):
        assert place.is_socket()


def test_a_sync_that_is_stopped_is_named_and_holds_nobody_up_for_ever(
    project: Project, root: Root
) -> None:
    place = place_for(root.root_id)
    assert place is not None
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(place))
        stopped.listen()
        ran = job(project, "pause")
        listed = job(project, "list")
    silent = f"a running sync does not answer ({place.name})"
    assert ran.status == NO_JOB
    assert f"no sync that answers is downloading just now; {silent}" in ran.err
    assert (listed.status, listed.out) == (0, "")
    assert listed.err == (f"warning: {silent}\nno sync that answers is downloading just now\n")


@pytest.mark.parametrize("damage", ["a link", "open to others", "a file", "somebody else's"])
def test_a_folder_that_is_not_ours_alone_is_passed_over(
    project: Project, root: Root, tmp_path: Path, damage: str
) -> None:
    folder = runtime(project)
    match damage:
        case "a link":
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "elsewhere")
        case "open to others":
            folder.mkdir(mode=0o755)
        case "a file":
            folder.write_text("")
        case _:
            folder.mkdir(mode=0o700)
            if os.geteuid() != 0:
                pytest.skip("only root can give a folder away")
            os.chown(folder, 12345, 12345)
    control = fake_control()
    with steered(root, control):
        place = place_for(root.root_id)
        assert place is not None
        assert folder not in place.parents
        assert list(places()) == [place]
        assert job(project, "pause").status == 0
    assert control.orders == [Pause()]


def test_a_path_too_long_for_a_socket_leads_to_the_next_folder(
    project: Project, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * SOCKET_PATH_BYTES)
    long.mkdir()
    short = Path(project.environment["XDG_RUNTIME_DIR"])
    for name, value in {
        "XDG_RUNTIME_DIR": long,
        "XDG_STATE_HOME": long,
        "TMPDIR": short,
    }.items():
        project.environment[name] = str(value)
        monkeypatch.setenv(name, str(value))
    control = fake_control()
    with steered(root, control):
        place = place_for(root.root_id)
        assert place is not None
        assert place.parent == short / f"civsync-{os.geteuid()}"
        assert job(project, "pause").status == 0
    assert control.orders == [Pause()]


def test_a_sync_of_a_session_is_found_without_the_environment_of_one(
    project: Project, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by cron, `su` or `ssh`; a sync itself does not go where a session's end takes it away."""
    sessions = Path(project.environment["XDG_RUNTIME_DIR"]) / "user"
    session = sessions / str(os.geteuid())
    session.mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    with steered(root, fake_control()):
        assert list(places(sessions)) == [session / "civsync" / f"{root.root_id}.sock"]
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert list(places(sessions)) == [session / "civsync" / f"{root.root_id}.sock"]
        session.chmod(0o755)
        assert list(places(sessions)) == []
        session.chmod(0o700)
    elsewhere = place_for(root.root_id)
    assert elsewhere is not None
    assert session not in elsewhere.parents


def test_a_runtime_directory_that_is_not_there_is_not_made(
    project: Project, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    with steered(root, fake_control()):
        assert len(list(places())) == 1
    assert not (tmp_path / "nowhere").exists()


def test_where_no_folder_will_do_the_run_goes_on_and_says_so_only_if_asked(
    project: Project,
    root: Root,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    with steered(root, fake_control()):
        assert list(places()) == []
    assert capsys.readouterr().err == ""
    with steered(root, fake_control(), context=context_of(OutputChoice(verbose=True))):
        pass
    assert "`civsync job` will not find this sync" in capsys.readouterr().err


@pytest.mark.parametrize("root_id", ["../../../tmp/x", "a/b", "", "A" * 32, "\x00", "é" * 500])
def test_no_marker_chooses_the_path_of_the_socket(project: Project, root_id: str) -> None:
    place = place_for(root_id)
    assert place is not None
    assert place.parent == runtime(project)
    assert len(place.name) == len("0" * 32 + ".sock")


# --- peers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="another protocol"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(b"\x00" * 5000 + b"\n", id="zeros"),
        pytest.param(b"[" * 200_000 + b"\n", id="a deep nest"),
        pytest.param(b'{"version":9,"request":"list"}\n', id="another version"),
        pytest.param(b'{"version":1,"request":"cancel","paths":["../x"]}\n', id="a way out"),
        pytest.param(
            b'{"version":1,"request":"cancel","paths":["x.safetensors"]}\n', id="nobody's path"
        ),
        pytest.param(
            b'{"version":1,"request":"prioritize","paths":["x"],"priority":1}\n', id="nobody's"
        ),
        pytest.param(b"x" * (JOB_REQUEST_BYTES + 1), id="no end"),
    ],
)
def test_garbage_is_declined_and_harms_nobody(project: Project, root: Root, sent: bytes) -> None:
    control = fake_control()
    with steered(root, control):
        (place,) = places()
        with speaking(place) as peer:
            peer.sendall(sent)
            answer = json.loads(line_of(peer))
        assert (answer["answer"], answer["version"]) == ("declined", 1)
        assert job(project, "list").status == 0
    assert control.orders == []


def test_one_conversation_may_have_many_requests(project: Project, root: Root) -> None:
    with steered(root, fake_control()):
        (place,) = places()
        with speaking(place) as peer, peer.makefile("rb") as lines:
            peer.sendall(b"nonsense\n" + LIST)
            answers = [json.loads(lines.readline())["answer"] for _ in range(2)]
            peer.sendall(LIST)
            answers.append(json.loads(lines.readline())["answer"])
    assert answers == ["declined", "seen", "seen"]


def test_peers_that_say_nothing_or_go_away_hold_nobody_up(project: Project, root: Root) -> None:
    with steered(root, fake_control()):
        (place,) = places()
        silent = []
        for _ in range(JOB_CONNECTIONS):
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(str(place))
            silent.append(peer)
        for _ in range(3):
            with speaking(place) as gone:
                gone.sendall(LIST[:10])
        # Their time runs out, and then it is our turn.
        assert job(project, "list").out.startswith(str(root.path))
        for peer in silent:
            peer.close()


def test_peers_that_never_stop_speaking_are_left_in_time(project: Project, root: Root) -> None:
    """Or as many as may speak at the same time would keep all others out."""
    with steered(root, fake_control()):
        (place,) = places()
        deadline = time.monotonic() + 30
        with speaking(place) as peer, peer.makefile("rb") as lines:
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < deadline:
                    peer.sendall(LIST)
                    if not lines.readline():
                        break
            assert time.monotonic() < deadline, "nobody ends this conversation"


def test_a_sync_that_dies_in_the_middle_of_an_order_is_told(project: Project, root: Root) -> None:
    place = place_for(root.root_id)
    assert place is not None
    with steered(root, fake_control()), speaking(next(iter(places()))) as peer:
        peer.sendall(LIST)
        seen = line_of(peer)

    def answer_once_and_die(listener: socket.socket) -> None:
        first, _ = listener.accept()
        with first:
            line_of(first)
            first.sendall(seen)
        second, _ = listener.accept()
        second.close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        listener.settimeout(30)
        thread = threading.Thread(target=answer_once_and_die, args=(listener,))
        thread.start()
        ran = job(project, "pause")
        thread.join(30)
    assert ran.status == NO_JOB
    assert "the sync has ended meanwhile [no-job]" in ran.err


@contextmanager
def answering(answer: bytes) -> Iterator[None]:
    """Somebody who answers one request with this, at a place of his own."""
    place = place_for("0" * 32)
    assert place is not None

    def answer_once(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            line_of(peer)
            peer.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        listener.settimeout(30)
        thread = threading.Thread(target=answer_once, args=(listener,))
        thread.start()
        yield
        thread.join(30)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(
            b'{"version":2,"answer":"seen","run":{}}\n',
            "this civsync speaks version 1 of the protocol and no other",
            id="another version",
        ),
        pytest.param(
            b'{"version":1,"answer":"seen","run":{"root":"/x","pid":1,"started":99999999999999,'
            b'"command":"civsync sync"}}\n',
            "a running sync: `started` is out of range",
            id="a time of no calendar",
        ),
    ],
)
def test_who_answers_what_cannot_be_is_named_beside_the_others(
    project: Project, root: Root, answer: bytes, said: str
) -> None:
    with steered(root, fake_control()), answering(answer):
        ran = job(project, "list")
    assert (ran.status, ran.out.startswith(str(root.path))) == (0, True)
    assert said in ran.err


@pytest.mark.skipif(sys.platform != "linux", reason="peers are told apart on Linux")
def test_another_user_is_not_listened_to(project: Project, root: Root) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    control = fake_control()
    with steered(root, control):
        (place,) = places()
        # Let the other one in as far as the file system goes: the peer's user still tells.
        for folder in place.parents[:4]:
            folder.chmod(0o755)
        place.chmod(0o666)
        program = (
            "import os, socket, sys\n"
            "os.setuid(12345)\n"
            "peer = socket.socket(socket.AF_UNIX)\n"
            "peer.settimeout(30)\n"
            "peer.connect(sys.argv[1])\n"
            "try:\n"
            '    peer.sendall(b\'{"version":1,"request":"pause","paths":null}\\n\')\n'
            "    print(peer.recv(100))\n"
            "except (BrokenPipeError, ConnectionResetError):\n"
            "    print(b'')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(place)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        place.parent.chmod(0o700)
    assert done.stdout == "b''\n"
    assert control.orders == []
