"""Stop as Ctrl-Z asks for, and leave the terminal to the shell as it expects it. POSIX alone.

The signal by itself would stop the process with the cursor hidden and the keys taken.
"""

import os
import signal
from typing import Final

from civsync.cli.options import Context
from civsync.cli.progress import Display

_STDERR: Final = 2
"""Where displays draw; the stream of that name is a display's own while it draws."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return what `stop` answers to: nothing where whoever started this wants it never to stop."""
    default = signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    return (signal.SIGTSTP,) if default else ()


def tend(context: Context, display: Display) -> None:
    """Let `display` give the cursor back when the process stops, or ends at once."""
    context.before_exit.append(lambda: display.show_cursor(shown=True))
    context.after_stop.append(lambda: display.show_cursor(shown=False))


def stop(context: Context) -> None:
    """Stop this process, with the terminal put right; returns when somebody lets it go on."""
    for restore in context.before_exit:
        restore()
    ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, ours)
    if _in_foreground():
        for take in context.after_stop:
            take()


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(_STDERR) == os.getpgrp()
    except OSError:
        return False
