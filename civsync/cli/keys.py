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
from civsync.ports import Control

if TYPE_CHECKING:
    from civsync.cli.terminal import Terminal

KEYS: Final = "p pause, r resume, c cancel, q quit"

_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What arrow keys and their like send (ECMA-48, section 5.4): one key, whatever its letters."""


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
        self._asked: tuple[float, frozenset[SafePath]] | None = None
        hint(KEYS)

    @property
    def asking(self) -> bool:
        """Whether a question waits for its answer."""
        return self._asked is not None

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
            case "c" if asked is not None and self._clock() - asked[0] <= KEY_CONFIRM_S:
                cancelled = self._control.obey(Cancel(paths=asked[1]))
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

    def _ask(self) -> None:
        running = frozenset(
            each.path for each in self._control.view().transfers if each.stage is Stage.RUNNING
        )
        if not running:
            self._hint(f"nothing is running just now; {KEYS}")
            return
        self._asked = (self._clock(), running)
        what = count_text(len(running), "download")
        self._hint(f"cancel {what} that run just now, and drop what came? c again: yes")


def interrupt() -> None:
    """Do what the first Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


async def watch_keys(terminal: "Terminal", keys: Keys) -> None:
    """Hand every key to `keys` until cancelled, or the terminal is gone; put it back then."""
    from civsync.cli.terminal import LOST

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_take_keys_again, terminal)
            await _read_keys(terminal, keys)
            group.cancel_scope.cancel()
    except* LOST:
        keys.drop_question()
    finally:
        terminal.restore()


async def _read_keys(terminal: "Terminal", keys: Keys) -> None:
    terminal.forget_typed()
    while True:
        if not terminal.in_foreground:
            # Reading now would stop the process; what is typed is for somebody else.
            await anyio.sleep(BACKGROUND_LOOK_S)
            continue
        terminal.take_keys()
        with anyio.move_on_after(KEY_CONFIRM_S if keys.asking else None) as patience:
            await anyio.wait_readable(terminal.descriptor)
        if patience.cancelled_caught:
            keys.drop_question()
        elif terminal.in_foreground:
            typed = terminal.read()
            if not typed:
                return
            for key in _SEQUENCE.sub("\x1b", typed):
                keys.press(key)


async def _take_keys_again(terminal: "Terminal") -> None:
    """After a stop the shell has given the terminal another mode."""
    with anyio.open_signal_receiver(signal.SIGCONT) as signals:
        async for _ in signals:
            if terminal.in_foreground:
                terminal.take_keys()
