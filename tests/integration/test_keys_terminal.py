"""Keys on a real terminal: they arrive, and the terminal is always put back as it was."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civsync.cli.keys import KEYS
from support.cli import clean_environment

if sys.platform == "win32":
    pytest.skip("terminals are made with pty", allow_module_level=True)
else:
    from support.terminals import Watched, watched

pytestmark = pytest.mark.slow  # whole processes, one after another

TESTS = Path(__file__).parents[1]
PROGRAM = TESTS / "support" / "steered_on_terminal.py"
SHELL = TESTS / "support" / "job_shell.py"
CTRL_Z = "\x1a"
INTERRUPTED = 130
TERMINATED = 143


@contextmanager
def steered(
    tmp_path: Path, manner: str = "", *flags: str, in_shell: bool = False
) -> Iterator[Watched]:
    """The program on a terminal, ready for keys."""
    environment = clean_environment(tmp_path)
    others = environment.get("PYTHONPATH", "").split(os.pathsep)
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, others)])
    words = [sys.executable, str(PROGRAM), str(tmp_path / "models"), manner, *flags]
    if in_shell:
        words = [sys.executable, str(SHELL), *words]
    with watched(words, folder=tmp_path, environment=environment) as terminal:
        assert terminal.takes_lines
        terminal.await_text("ready")
        yield terminal


def test_keys_are_named_taken_one_by_one_and_not_echoed(tmp_path: Path) -> None:
    with steered(tmp_path) as terminal:
        terminal.await_text(KEYS)
        terminal.await_lines(False)
        assert terminal.has_signals
        terminal.type("p")
        terminal.await_text("order: Pause")
        terminal.type("r")
        terminal.await_text("order: Resume")
        terminal.type("c")
        terminal.await_text("nothing is running just now")
        terminal.type("q")
        assert terminal.end() == INTERRUPTED
        assert terminal.takes_lines
        assert "stopping; once more stops at once" in terminal.text
        assert "order: Cancel" not in terminal.text


def test_c_asks_first(tmp_path: Path) -> None:
    with steered(tmp_path) as terminal:
        terminal.await_lines(False)
        terminal.type("c")
        terminal.await_text("cancel 1 download that run just now")
        terminal.type("x")
        terminal.type("c")
        terminal.type("c")
        terminal.await_text("order: Cancel")
        terminal.type("q")
        assert terminal.end() == INTERRUPTED
        assert terminal.text.count("order: Cancel") == 1


def test_what_was_typed_ahead_and_what_arrow_keys_send_is_no_order(tmp_path: Path) -> None:
    with steered(tmp_path) as terminal:
        terminal.await_lines(False)
        terminal.type("\x1bOp")
        terminal.type("\x1b[C")
        terminal.type("r")
        terminal.await_text("order: Resume")
        terminal.type("q")
        terminal.end()
        assert "order: Pause" not in terminal.text
        assert "cancel 1" not in terminal.text


@pytest.mark.parametrize(
    ("typed", "number", "status"),
    [
        pytest.param("\x03", None, INTERRUPTED, id="Ctrl-C"),
        pytest.param("q", None, INTERRUPTED, id="q"),
        pytest.param("", signal.SIGTERM, TERMINATED, id="SIGTERM"),
        pytest.param("", signal.SIGINT, INTERRUPTED, id="SIGINT"),
    ],
)
def test_the_terminal_comes_back_when_the_run_is_told_to_stop(
    tmp_path: Path, typed: str, number: signal.Signals | None, status: int
) -> None:
    with steered(tmp_path) as terminal:
        terminal.await_lines(False)
        terminal.type(typed)
        if number is not None:
            terminal.process.send_signal(number)
        assert terminal.end() == status
        assert terminal.takes_lines


def test_the_terminal_comes_back_when_the_run_fails(tmp_path: Path) -> None:
    with steered(tmp_path, "failing") as terminal:
        terminal.await_lines(False)
        terminal.type("p")
        assert terminal.end() == 1
        assert terminal.takes_lines
        assert "failed: it failed" in terminal.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_the_terminal_comes_back_when_the_second_signal_ends_the_process_at_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    with steered(tmp_path, "stubborn") as terminal:
        terminal.await_lines(False)
        terminal.process.send_signal(number)
        terminal.await_text("stopping; once more stops at once")
        terminal.process.send_signal(number)
        assert terminal.end() == 128 + number
        assert terminal.takes_lines
        assert "over" not in terminal.text


def test_after_a_stop_keys_are_taken_again(tmp_path: Path) -> None:
    with steered(tmp_path) as terminal:
        terminal.await_lines(False)
        terminal.process.send_signal(signal.SIGSTOP)
        os.waitpid(terminal.process.pid, os.WUNTRACED)
        terminal.take_lines()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.await_lines(False)
        terminal.type("p")
        terminal.await_text("order: Pause")
        terminal.type("q")
        assert terminal.end() == INTERRUPTED
        assert terminal.takes_lines


def test_ctrl_z_gives_the_terminal_back_and_whoever_lets_the_run_go_on_lends_it_again(
    tmp_path: Path,
) -> None:
    with steered(tmp_path, in_shell=True) as terminal:
        terminal.await_lines(False)
        assert terminal.hides_cursor()
        terminal.type(CTRL_Z)
        terminal.await_text("stopped by SIGTSTP")
        assert terminal.takes_lines
        assert not terminal.hides_cursor()
        shown = len(terminal.seen)
        terminal.type("fg\n")
        terminal.await_lines(False)
        terminal.await_text("\x1b[?25l", after=shown)
        terminal.type("p")
        terminal.await_text("order: Pause")
        terminal.type(CTRL_Z)
        terminal.await_text("stopped by SIGTSTP", after=shown)
        terminal.type("fg\n")
        terminal.await_lines(False)
        terminal.type("\x03")
        assert terminal.end() == INTERRUPTED
        assert terminal.takes_lines
        assert not terminal.hides_cursor()


def test_a_run_in_the_background_leaves_the_cursor_to_the_shell(tmp_path: Path) -> None:
    with steered(tmp_path, in_shell=True) as terminal:
        terminal.await_lines(False)
        terminal.type(CTRL_Z)
        terminal.await_text("stopped by SIGTSTP")
        terminal.type("bg\n")
        terminal.await_text("in the background")
        terminal.await_text(KEYS, after=len(terminal.seen))
        assert terminal.takes_lines
        assert not terminal.hides_cursor()
        terminal.type("fg\n")
        terminal.await_lines(False)
        terminal.type("q")
        assert terminal.end() == INTERRUPTED


def test_where_no_shell_could_let_the_run_go_on_ctrl_z_stops_nothing(tmp_path: Path) -> None:
    with steered(tmp_path) as terminal:
        terminal.await_lines(False)
        terminal.type(CTRL_Z)
        terminal.await_text("\x1b[?25h")
        terminal.await_text("\x1b[?25l", after=terminal.seen.index(b"\x1b[?25h"))
        terminal.await_lines(False)
        terminal.type("p")
        terminal.await_text("order: Pause")
        terminal.type("q")
        assert terminal.end() == INTERRUPTED


def test_keys_are_taken_again_when_a_run_comes_back_from_the_background(tmp_path: Path) -> None:
    with steered(tmp_path, in_shell=True) as terminal:
        terminal.await_lines(False)
        terminal.type(CTRL_Z)
        terminal.await_text("stopped by SIGTSTP")
        terminal.take_lines()
        terminal.type("bg\n")
        terminal.await_text("in the background")
        terminal.type("fg\n")
        terminal.await_lines(False)
        terminal.type("p")
        terminal.await_text("order: Pause")
        terminal.type("q")
        assert terminal.end() == INTERRUPTED
        assert terminal.takes_lines


@pytest.mark.parametrize(
    ("manner", "flag"),
    [("", "--json"), ("", "--quiet"), ("", "--no-progress"), ("background", "")],
    ids=["--json", "--quiet", "--no-progress", "in the background"],
)
def test_where_nobody_looks_no_key_is_taken(tmp_path: Path, manner: str, flag: str) -> None:
    with steered(tmp_path, manner, flag) as terminal:
        terminal.type("pq")
        assert terminal.takes_lines
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == TERMINATED
        assert terminal.takes_lines
        assert "order:" not in terminal.text
        assert KEYS not in terminal.text
