"""What the keys of a terminal do to a running sync: p, r, c and q.

`Keys` decides; `watch_keys` reads, in the event loop, and is only for POSIX.
"""

import re
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import anyio

from civsync.cli.output import count_text
from civsync.core.control import Cancel, Pause, Resume, Stage
from civsync.core.limits import BACKGROUND_LOOK_S, KEY_CONFIRM_S
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.ports import Control

if TYPE_CHECKING:
    from civsync.cli.terminal import Terminal

KEYS: Final = "p pause, r resume, c cancel, q quit"

_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What arrow keys and their like send (ECMA-48, section 5.4): one key, whatever its letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """Whether to cancel these, asked at a time of the clock."""

    since: float
    paths: frozenset[SafePath]


class Keys:
    """Turns keys into orders. `hint` is told what the keys do next, `quit` ends the run."""

    def __init__(
        self,
        control: Control,
        *,
        hint: Callable[[str], None],
        quit: Callable[[], None],  # noqa: A002 - what the key is called
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._hint = hint
        self._quit = quit
        self._clock = clock
        self._asked: _Question | None = None
        hint(KEYS)

    def press(self, key: str) -> None:
        """Do what a key means."""
        asked, self._asked = self._asked, None
        match key.lower():
            case "p":
                paused = self._control.obey(Pause())
                self._hint(f"{count_text(paused, 'download')} paused; {KEYS}" if paused else KEYS)
            case "r":
                resumed = self._control.obey(Resume())
                self._hint(
                    f"{count_text(resumed, 'download')} resumed; {KEYS}" if resumed else KEYS
                )
            case "c" if asked is not None and not self._is_old(asked):
                cancelled = self._control.obey(Cancel(paths=asked.paths))
                self._hint(f"{count_text(cancelled, 'download')} cancelled; {KEYS}")
            case "c":
                self._ask()
            case "q":
                self._hint("")
                self._quit()
            case _:
                self._hint(KEYS)

    def drop_question(self) -> None:
        """Take a question back that nobody answered."""
        self._asked = None
        self._hint(KEYS)

    def drop_old_question(self) -> None:
        """Take a question back whose time is over."""
        if self._asked is not None and self._is_old(self._asked):
            self.drop_question()

    def _is_old(self, question: _Question) -> bool:
        return self._clock() - question.since > KEY_CONFIRM_S

    def _ask(self) -> None:
        running = frozenset(
            each.path for each in self._control.view().transfers if each.stage is Stage.RUNNING
        )
        if not running:
            self._hint(f"nothing is running just now; {KEYS}")
            return
        self._asked = _Question(since=self._clock(), paths=running)
        what = count_text(len(running), "download")
        self._hint(f"cancel {what} that run just now, and drop what came? c again: yes")


def interrupt() -> None:
    """Do what the first Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


async def watch_keys(terminal: "Terminal", keys: Keys) -> None:
    """Hand every key to `keys` until cancelled, or the terminal is gone; put it back then."""
    from civsync.cli.terminal import LOST

    try:
        await _read_keys(terminal, keys)
    except LOST:
        keys.drop_question()
    finally:
        terminal.restore()


async def _read_keys(terminal: "Terminal", keys: Keys) -> None:
    terminal.forget_typed()
    while True:
        keys.drop_old_question()
        if not terminal.in_foreground:
            # Reading now would stop the process; what is typed is for somebody else.
            await anyio.sleep(BACKGROUND_LOOK_S)
            continue
        # Whoever had the terminal meanwhile has given it another mode, and nothing tells when
        # it comes back from a shell that left this process running.
        terminal.take_keys()
        with anyio.move_on_after(BACKGROUND_LOOK_S):
            await anyio.wait_readable(terminal.descriptor)
        if terminal.has_typed:
            typed = terminal.read()
            if not typed:
                return
            for key in _SEQUENCE.sub("\x1b", typed):
                keys.press(key)
