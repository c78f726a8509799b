"""Do the same for each root of a run, one after the other, and tell them apart in what is said.

What befalls one root keeps no other from being served; the worst of it is the run's status.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from civsync.cli.goal import Goal
from civsync.cli.options import Context
from civsync.cli.output import Output, error_document, show
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, united_exit
from civsync.core.exits import ExitCode

_ENDS: Final = frozenset({ExitCode.INTERRUPTED, ExitCode.TERMINATED})
"""What a signal to the process ends with: it is meant for all roots."""

_WORDS: Final[Mapping[int, str]] = {
    ExitCode.OK: "done",
    ExitCode.PENDING: "changes pending",
}
"""What to say of a root with which nothing is wrong."""


def serve(
    context: Context,
    goals: Sequence[Goal],
    work: Callable[[Goal], int],
    *,
    document: str = "",
    to_stdout: bool = False,
    fail_fast: bool = False,
) -> int:
    """Return the exit status of `work` on every goal, each for a root of its own.

    What `work` prints as a document of a root is printed as one `document` of all; without
    that it is a stream, in which each line names its root. Text on a root has its name above,
    on stdout where it is data. Where the manifest names no roots, nothing of all this is done.
    Raises UserError usage, whichever root finds it; any CivsyncError of the only root.
    """
    if not goals[0].at.name:
        return work(goals[0])
    output = context.output
    statuses: dict[str, int] = {}
    documents: list[Mapping[str, object]] = []
    try:
        for goal in goals:
            told: list[Mapping[str, object]] = []
            output.root, output.gathered = goal.at.name, told if document else None
            _tell_root(output, goal, to_stdout=to_stdout)
            status = statuses[goal.at.name] = _status_of(output, goal, work)
            facts = {key: value for each in told for key, value in each.items()}
            documents.append({"name": goal.at.name, "root": str(goal.root), **facts})
            if status in _ENDS or (fail_fast and status not in _WORDS):
                break
    finally:
        output.root, output.gathered = "", None
    if document and output.choice.json:
        output.document(document, {"roots": documents})
    elif any(status not in _WORDS for status in statuses.values()):
        for goal in goals:
            _tell_status(output, goal.at.name, statuses.get(goal.at.name))
    return _worst(statuses.values())


def _status_of(output: Output, goal: Goal, work: Callable[[Goal], int]) -> int:
    if goal.at.refused is not None:
        return _tell_error(output, goal.at.refused)
    try:
        return work(goal)
    except CivsyncError as error:
        if error.code is Code.USAGE:
            raise  # the command line is the same for all roots
        return _tell_error(output, error)


def _tell_root(output: Output, goal: Goal, *, to_stdout: bool) -> None:
    if output.choice.json:
        return
    line = f"{goal.at.name}  {show(_place(goal.root))}"
    if to_stdout:
        output.data(output.paint(line, "bold", to_stdout=True))
    else:
        output.talk(output.paint(line, "bold"))


def _place(root: Path) -> str:
    """Return where a root lies, from here if it lies below."""
    try:
        return str(root.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(root)


def _tell_error(output: Output, error: CivsyncError) -> ExitCode:
    if output.choice.json:
        streams = output.gathered is None
        output.document("civsync.error", {"error": error_document(error)}, in_stream=streams)
    output.error(error)
    return error.exit


def _tell_status(output: Output, name: str, status: int | None) -> None:
    if status is None:
        words = "not looked at any more"
    elif status in _ENDS:
        words = "interrupted"
    else:
        words = _WORDS.get(status) or f"failed, exit status {status}"
    output.warn_line(f"{name}: {words}")


def _worst(statuses: Collection[int]) -> int:
    """Return the status of a run with these: of a signal, of what failed, or else of the rest."""
    if ends := _ENDS.intersection(statuses):
        return min(ends)
    failed = [ExitCode(status) for status in statuses if status not in _WORDS]
    return united_exit(failed) if failed else max(statuses)
