"""Take single keys from the terminal that a process was started on, and put it back as it was.

POSIX alone. Ctrl-C and Ctrl-Z go on to mean what they mean. A process in the background
neither reads nor changes the terminal: it belongs to somebody else then.
"""

import os
import sys
from contextlib import suppress

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
            mode[3] &= ~(termios.ECHO | termios.ICANON)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            # TCSANOW, for the others wait for an output that Ctrl-S may have stopped.
            termios.tcsetattr(self.descriptor, termios.TCSANOW, mode)

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
