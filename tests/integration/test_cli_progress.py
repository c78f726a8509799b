"""What a run looks like: on a terminal, in a log, quiet, without color, with hostile names."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Registry
from civsync.demo.served import serve
from support.cli import Project, command

pytestmark = pytest.mark.slow  # whole processes, one after another

if sys.platform == "win32":
    pytest.skip("terminals are made with pty", allow_module_level=True)
else:
    import pty
    import termios

ESC = "\x1b"
COLOR = re.compile(r"\x1b\[(?!0m|m)[0-9;]*m")
CURSOR = re.compile(r"\x1b\[\??[0-9]*[A-JKhl]")
HOSTILE = f"a{ESC}]0;owned\x07{ESC}[31m[bold red]x[/nope]\u202e.safetensors"
SIZE = 600_000


@dataclass(frozen=True)
class Seen:
    """How a command on a terminal ended, and every byte that the terminal got."""

    status: int
    text: str


def on_terminal(project: Project, *words: str, **environment: str) -> Seen:
    """Run civsync with a terminal of 100 columns as its stdout and stderr."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 100))
    process = subprocess.Popen(
        command(*words),
        cwd=project.folder,
        env={**project.environment, "TERM": "xterm-256color", **environment},
        stdin=subprocess.DEVNULL,
        stdout=end,
        stderr=end,
    )
    os.close(end)
    seen = bytearray()
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end was closed
            break
        if not data:
            break
        seen += data
    os.close(terminal)
    return Seen(process.wait(timeout=30), seen.decode("utf-8", "backslashreplace"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A locked project of three files, slow enough to be watched, one of them hostile."""
    registry = Registry(storage_rate=2_000_000)
    for number, name in enumerate(("first", "second"), start=1):
        model = registry.add_model(name, id=number)
        model.add_version().add_file(f"{name}.safetensors", safetensors(name, SIZE))
    hostile = registry.add_model(HOSTILE, id=3)
    hostile.add_version(HOSTILE).add_file(HOSTILE, safetensors("hostile", SIZE))
    with serve(registry) as served:
        project = Project(tmp_path, served.api_url)
        project.write("model: 1", "model: 2", "model: 3")
        assert project.run("lock").status == 0
        yield project


def test_a_terminal_gets_a_line_for_the_whole_and_one_for_each_file_redrawn_in_place(
    project: Project,
) -> None:
    seen = on_terminal(project, "sync")
    assert seen.status == 0
    assert f"{ESC}[2K" in seen.text
    assert f"{ESC}[1A" in seen.text
    plain = COLOR.sub("", seen.text).replace(f"{ESC}[0m", "")
    assert "total " in plain
    assert re.search(r"first\.safetensors +━+ +[0-9.]+/[0-9.]+ [kKM]i?B", plain)
    assert re.search(r"[0-9.]+/1\.[78] MiB", plain)
    assert re.search(r"[0-9.]+ [KM]iB/s", plain)
    assert re.search(r"\d\d:\d\d", plain)
    # The cursor comes back, the bars are gone, and the sum is the last word.
    last = plain[plain.rindex(f"{ESC}[?25h") :]
    assert "3 downloaded in " in last
    assert "total" not in last


@pytest.mark.fault("4.5/shown", "ESC", "bidi")
def test_no_name_steers_the_terminal_or_the_bars(project: Project) -> None:
    for words in (["sync", "--verbose"], ["list"], ["lock", "--upgrade"], ["status"]):
        seen = on_terminal(project, *words)
        assert seen.status == 0, seen.text
        assert f"{ESC}]" not in seen.text
        assert "\x07" not in seen.text
        assert "\u202e" not in seen.text
        assert f"{ESC}[31m[bold" not in seen.text
    assert r"\x1b]0;owned\x07\x1b[31m[bold red]x[/nope]\u202e" in on_terminal(project, "list").text


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        pytest.param(["sync"], {"NO_COLOR": "1"}, id="NO_COLOR"),
        pytest.param(["sync", "--color", "never"], {}, id="--color never"),
        pytest.param(["sync"], {"CIVSYNC_COLOR": "never"}, id="CIVSYNC_COLOR"),
    ],
)
def test_without_color_the_bars_still_move(
    project: Project, words: list[str], environment: dict[str, str]
) -> None:
    seen = on_terminal(project, *words, **environment)
    assert seen.status == 0
    assert not COLOR.search(seen.text)
    assert f"{ESC}[2K" in seen.text


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        pytest.param(["sync", "--no-progress"], {}, id="--no-progress"),
        pytest.param(["sync"], {"CIVSYNC_NO_PROGRESS": "1"}, id="CIVSYNC_NO_PROGRESS"),
        pytest.param(["sync"], {"TERM": "dumb"}, id="a dumb terminal"),
    ],
)
def test_a_terminal_that_wants_no_bars_gets_plain_lines(
    project: Project, words: list[str], environment: dict[str, str]
) -> None:
    seen = on_terminal(project, *words, **environment)
    assert seen.status == 0
    assert not CURSOR.search(seen.text)
    assert "3 to download" in seen.text
    assert "3 downloaded in " in seen.text


def test_quiet_is_silent_also_on_a_terminal(project: Project) -> None:
    assert on_terminal(project, "sync", "--quiet") == Seen(0, "")


def test_json_on_a_terminal_is_json_alone(project: Project) -> None:
    seen = on_terminal(project, "sync", "--json")
    assert seen.status == 0
    assert all(line.startswith("{") for line in seen.text.splitlines() if line)
    assert ESC not in seen.text


def test_a_log_gets_plain_lines_without_color_or_cursor(project: Project) -> None:
    ran = project.run("sync")
    assert (ran.status, ran.out) == (0, "")
    lines = ran.err.splitlines()
    assert ESC not in ran.err
    assert "\r" not in ran.err
    assert lines[-2] == "3 to download (1.7 MiB); 0 in place"
    assert lines[-1].startswith("3 downloaded in ")
    assert len(lines) == 5


def test_color_can_be_forced_into_a_pipe(project: Project) -> None:
    ran = project.run("sync", "--color", "always", env={"NO_COLOR": "1"})
    assert f"{ESC}[32m+{ESC}[0m" in ran.err
    assert f"{ESC}[2K" not in ran.err


def test_a_terminal_without_unicode_is_no_crash(project: Project) -> None:
    seen = on_terminal(project, "sync", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (seen.status, seen.text.isascii()) == (0, True)
    assert "3 downloaded in " in seen.text


def test_a_terminal_shows_that_civitai_is_being_asked_and_nothing_of_it_stays(
    project: Project,
) -> None:
    seen = on_terminal(project, "lock", "--upgrade")

    assert seen.status == 0
    plain = COLOR.sub("", seen.text).replace(f"{ESC}[0m", "")
    assert "asking Civitai, " in plain
    assert " bytes" not in plain
    assert "asking" not in plain[plain.rindex(f"{ESC}[?25h") :]
