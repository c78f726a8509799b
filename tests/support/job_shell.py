"""A program: the least of a shell with job control.

`python job_shell.py WORD...` runs the words in the foreground of its terminal, says what they
were stopped by, obeys the lines "bg" and "fg" then, and ends with their status. The mode of the
terminal is nothing to it.
"""

import os
import signal
import sys


def run(words: list[str]) -> int:
    """Run the words to their end, and return their exit status."""
    # Or it could not take the terminal back.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(words[0], words)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.tcsetpgrp(0, os.getpgrp())
        say(f"stopped by {signal.Signals(os.WSTOPSIG(status)).name}")
        if sys.stdin.readline() == "bg\n":
            os.killpg(child, signal.SIGCONT)
            say("in the background")
            sys.stdin.readline()
            os.tcsetpgrp(0, child)
        else:
            os.tcsetpgrp(0, child)
            os.killpg(child, signal.SIGCONT)


def say(text: str) -> None:
    """Tell the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
