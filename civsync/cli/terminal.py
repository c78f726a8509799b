"""Take single keys from the terminal that a process was started on, and put it back as it was.

POSIX alone. Ctrl-C and Ctrl-Z go on to mean what they mean. A process in the background
neither reads nor changes the terminal: it belongs to somebody else then.
"""

import os
import select
import sys
from contextlib import suppress
from copy import deepcopy

if sys.platform != "win32":
    import termios

    LOST = (OSError, termios.error)
    """What the calls raise where the terminal has gone."""

    class Terminal:
        """The terminal at a descriptor. Made by `terminal_of`."""

        def __init__(self, descriptor: int) -> None:
            self.descriptor = descriptor
            self._before = termios.tcgetattr(descriptor)

        @property
        def in_foreground(self) -> bool:
            """Whether the terminal listens to this process now."""
            try:
                return os.tcgetpgrp(self.descriptor) == os.getpgrp()
            except OSError:
                return False

        def take_keys(self) -> None:
            """Let keys arrive one by one and unseen, without waiting for Enter."""
            mode = termios.tcgetattr(self.descriptor)
            wanted = deepcopy(mode)
            wanted[3] &= ~(termios.ECHO | termios.ICANON)
            wanted[6][termios.VMIN], wanted[6][termios.VTIME] = 1, 0
            if wanted != mode:
                # TCSANOW, for the others wait for an output that Ctrl-S may have stopped.
                termios.tcsetattr(self.descriptor, termios.TCSANOW, wanted)

        @property
        def has_typed(self) -> bool:
            """Whether something was typed for this process, or the input is at its end."""
            # In this order: who had the terminal has read what was meant for him before.
            return self.in_foreground and bool(select.select([self.descriptor], [], [], 0)[0])

        def forget_typed(self) -> None:
            """Drop what was typed before keys meant something."""
            termios.tcflush(self.descriptor, termios.TCIFLUSH)

        def restore(self) -> None:
            """Put the terminal back as it was, unless somebody else has it."""
            if self.in_foreground:
                with suppress(*LOST):
                    termios.tcsetattr(self.descriptor, termios.TCSANOW, self._before)

        def read(self) -> str:
            """Return what was typed, "" at the end of input. Blocks if nothing was."""
            return os.read(self.descriptor, 256).decode("ascii", "replace")

    def find_terminal() -> Terminal | None:
        """Return the terminal on standard input, if this process is in its foreground."""
        try:
            descriptor = sys.stdin.fileno() if sys.stdin is not None else -1
            if descriptor < 0 or not os.isatty(descriptor):
                return None
            terminal = Terminal(descriptor)
        except (*LOST, ValueError):
            return None
        return terminal if terminal.in_foreground else None
