"""A program: a run that can be steered, on whatever terminal it is started on.

It downloads nothing and says every order that it gets. `python steered_on_terminal.py FOLDER
MANNER [FLAG...]`; MANNER "stubborn" does not stop when it is told to, "failing" fails at the
first order, "background" leaves the foreground first.
"""

import os
import signal
import sys
from pathlib import Path

import anyio

from civsync.cli.acting import Interrupted, until_signal
from civsync.cli.controls import open_controls
from civsync.cli.output import OutputChoice
from civsync.cli.progress import choose_display
from civsync.cli.stopping import tend
from civsync.core.codes import Code
from civsync.core.control import Order
from civsync.core.errors import DiskError
from civsync.engine.run import Outcome
from support.steered import FakeControl, context_of, established, fake_control, plan_of


def say(text: str) -> None:
    """Tell the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Loud(FakeControl):
    """Says what it is told; `failed` is set by the first order."""

    def obey(self, order: Order) -> int:
        changed = super().obey(order)
        say(f"order: {type(order).__name__}")
        if "failing" in sys.argv:
            failed.set()
        return changed


failed = anyio.Event()


def run() -> int:
    """Run until told to stop; return the exit status."""
    folder, manner, *flags = sys.argv[1:]
    if manner == "background" and (child := os.fork()) != 0:
        signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if manner == "background":
        os.setpgid(0, 0)
    context = context_of(
        OutputChoice(
            json="--json" in flags,
            quiet="--quiet" in flags,
            progress="--no-progress" not in flags,
        )
    )
    control = Loud(fake_control().transfers)
    root = established(Path(folder))

    async def work() -> Outcome:
        with choose_display(context.output) as display:
            tend(context, display)
            async with open_controls(context, display, root, control, plan_of()):
                say("ready")
                with anyio.CancelScope(shield=manner == "stubborn"):
                    await failed.wait()
                raise DiskError(Code.DISK_FAILED, "it failed")

    ending = anyio.run(until_signal, context, work)
    assert isinstance(ending, Interrupted)
    return ending.status


if __name__ == "__main__":
    try:
        status = run()
    except DiskError as error:
        say(f"failed: {error.message}")
        status = 1
    say("over")
    sys.exit(status)
