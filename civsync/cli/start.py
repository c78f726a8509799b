"""Where the process begins: the plainest runs with nothing to do end here, before click is loaded.

`civsync sync` and `civsync status`, with no more flags than are named here and no variable of
civsync's set, say what the command itself would say if all is in place (`civsync.cli.in_step`).
Half of such a run would be the import of the command line. Everything else, and whatever is
odd, is left to the commands: this decides nothing, and has no words of its own.
"""

import gc
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from civsync.cli.output import NobodyReadsError, Output, OutputChoice, discard
from civsync.core.errors import CivsyncError
from civsync.core.exits import ExitCode

QUIET: Final = frozenset({"-q", "--quiet"})
MODES: Final = frozenset({"--locked", "--frozen"})
"""They exclude each other, which the command says."""

FLAGS: Final = {"sync": QUIET | MODES, "status": QUIET}
"""The commands that may end here, with the flags that do not keep them from it."""

WITHOUT_INFLUENCE: Final = frozenset({"CIVSYNC_API_URL"})
"""Who asks nothing has no use for it."""

GC_THRESHOLD: Final = 1_000_000
"""Tens of thousands of lock values are made at once and none is garbage: collect rarely."""


def run() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(GC_THRESHOLD, 50, 50)
    looked, status = _short_way(sys.argv[1:])
    if status is None:
        from civsync.cli.main import main

        status = int(main(looked=looked))
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            # Said before, if it could be; the interpreter would say it again, with 120.
            discard(stream)
            status = status or ExitCode.UNEXPECTED
    # The interpreter ends with a search for garbage, of which the process frees all at once.
    gc.freeze()
    sys.exit(status)


def _short_way(args: Sequence[str]) -> tuple[bool, int | None]:
    """Return whether it was found that there may be work, and else the status of the run.

    The status is None where the command itself must be run.
    """
    if not is_plain(args, os.environ):
        return False, None
    from civsync.cli.in_step import find_in_step, tell_in_step, tell_status
    from civsync.cli.settings import Settings
    from civsync.core.groups import GroupWishes

    output = Output(OutputChoice(quiet=not QUIET.isdisjoint(args)))
    try:
        settled = find_in_step(Settings(), GroupWishes(), frozen="--frozen" in args)
    except CivsyncError:
        return False, None  # the command finds the same, and knows how to say it
    except KeyboardInterrupt:
        output.talk("interrupted")
        return False, ExitCode.INTERRUPTED
    if settled is None:
        return True, None
    tell = tell_in_step if args[0] == "sync" else tell_status
    try:
        return False, tell(output, settled.files, settled.unselected)
    except NobodyReadsError:
        return False, ExitCode.UNEXPECTED
    except CivsyncError as error:
        output.error(error)
        return False, error.exit


def is_plain(args: Sequence[str], variables: Iterable[str]) -> bool:
    """Tell whether these words mean the same whatever else the command line may know."""
    if not args or args[0] not in FLAGS:
        return False
    flags = args[1:]
    return (
        FLAGS[args[0]].issuperset(flags)
        and len(MODES.intersection(flags)) < 2
        and not any("CIVSYNC" in name.upper() for name in set(variables) - WITHOUT_INFLUENCE)
    )
