"""A program on a terminal of its own: what it shows, what is typed, how the terminal is set."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 30


@dataclass
class Watched:
    """A program and the other side of its terminal."""

    process: "subprocess.Popen[bytes]"
    screen: int
    open_ends: list[int]
    seen: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        """Everything that was shown so far."""
        return self.seen.decode("utf-8", "backslashreplace")

    @property
    def takes_lines(self) -> bool:
        """Whether what is typed is echoed, and kept until Enter."""
        flags = termios.tcgetattr(self.screen)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def hides_cursor(self) -> bool:
        """Whether the cursor was hidden last, and not shown."""
        return self.text.rfind("\x1b[?25l") > self.text.rfind("\x1b[?25h")

    @property
    def has_signals(self) -> bool:
        """Whether Ctrl-C is a signal."""
        return bool(termios.tcgetattr(self.screen)[3] & termios.ISIG)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self.screen, text.encode())

    def take_lines(self) -> None:
        """Set the terminal as a shell does for its prompt."""
        mode = termios.tcgetattr(self.screen)
        mode[3] |= termios.ECHO | termios.ICANON
        termios.tcsetattr(self.screen, termios.TCSANOW, mode)

    def await_text(self, text: str, *, after: int = 0) -> None:
        """Read until this was shown, behind the first `after` bytes."""
        deadline = time.monotonic() + LIMIT_S
        while text.encode() not in self.seen[after:]:
            assert time.monotonic() < deadline, f"{text!r} never came: {self.text[-2000:]}"
            self._read_if_ready(0.1)

    def await_lines(self, wanted: bool) -> None:
        """Read until the terminal takes lines, or keys."""
        deadline = time.monotonic() + LIMIT_S
        while self.takes_lines is not wanted:
            assert time.monotonic() < deadline, f"takes_lines stays {not wanted}"
            self._read_if_ready(0.02)

    def end(self) -> int:
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + LIMIT_S
        while (status := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"it does not end: {self.text[-2000:]}"
            self._read_if_ready(0.02)
        while self._read_if_ready(0):
            pass
        return status

    def vanish(self) -> None:
        """Go away, as when the window is closed."""
        while self.open_ends:
            os.close(self.open_ends.pop())

    def _read_if_ready(self, seconds: float) -> bool:
        """Read what is there, or comes within so many seconds; tell whether there was any."""
        ready, _, _ = select.select([self.screen], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # how Linux says that the other end was closed
            return False
        self.seen += data
        return bool(data)


@contextlib.contextmanager
def watched(
    words: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    ignored: Sequence[signal.Signals] = (),
) -> Iterator[Watched]:
    """Start a program, which ignores these signals, in the foreground of a terminal of its own."""
    screen, end = pty.openpty()

    def begin() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    termios.tcsetwinsize(end, (24, 100))
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={**environment, "TERM": "xterm-256color"},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=begin,  # noqa: PLW1509 - it takes no lock
    )
    # This end stays open, so that the terminal outlives the program and can be looked at.
    watched = Watched(process, screen, [screen, end])
    try:
        yield watched
    finally:
        process.kill()
        process.wait()
        watched.vanish()
