"""How a sync ended, as text and as data. Decides nothing."""

from typing import TYPE_CHECKING

from civsync.cli.output import Output, duration_text, error_document, show, size_text
from civsync.cli.progress import VERBS
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.groups import Unselected
from civsync.core.names import SafePath

if TYPE_CHECKING:
    from civsync.engine.run import Outcome


def tell_outcome(output: Output, outcome: "Outcome", unselected: Unselected, seconds: float) -> int:
    """Say what was done and what failed, and return the exit status for that."""
    if output.choice.json:
        failed = [
            {"path": path, "error": error_document(error)} for path, error in outcome.failures
        ]
        output.event(
            {
                "event": "finished",
                "exit": int(outcome.exit),
                "done": outcome.done,
                "received": outcome.received,
                "failed": failed,
                "unselected": unselected.files,
            }
        )
        return outcome.exit
    for path, error in outcome.failures:
        _tell_failure(output, path, error)
    words = [f"{count:,} {VERBS.get(how, how)}" for how, count in outcome.done.items()]
    cancelled = sum(error.code is Code.CANCELLED for _, error in outcome.failures)
    if cancelled:
        words.append(f"{cancelled:,} cancelled")
    if len(outcome.failures) > cancelled:
        words.append(output.paint(f"{len(outcome.failures) - cancelled:,} failed", "red"))
    speed = ""
    if outcome.received and seconds > 0:
        speed = f", {size_text(outcome.received)} at {size_text(int(outcome.received / seconds))}/s"
    if words:  # otherwise the plan has said that there is nothing to do
        output.talk(f"{', '.join(words)} in {duration_text(seconds)}{speed}")
    return outcome.exit


def _tell_failure(output: Output, path: SafePath, error: CivsyncError) -> None:
    label = output.paint("error:", "red", "bold")
    output.warn_line(f"{label} {show(path)}: {show(error.message)} [{error.code}]")
    output.hint(error.hint, indent="  ")
