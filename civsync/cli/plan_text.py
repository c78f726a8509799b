"""A plan as text and as data. Decides nothing."""

from collections.abc import Iterator
from typing import assert_never

from civsync.cli.groups import unselected_text
from civsync.cli.output import Output, count_text, error_document, show, size_text
from civsync.core.plan import (
    Action,
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Protected,
    Release,
    Replace,
    Retire,
    Satisfied,
)

SHOWN_LINES = 40
"""Lines of a plan shown without --verbose."""


def plan_lines(plan: Plan, output: Output) -> Iterator[str]:
    """Yield the plan for people: what changes, the sum, and what is left alone."""
    lines = [
        line for action in plan.actions if (line := _line(action, output)) and line is not None
    ]
    limit = len(lines) if output.choice.verbose else SHOWN_LINES
    yield from lines[:limit]
    if len(lines) > limit:
        yield f"  … and {len(lines) - limit:,} more (--verbose shows all)"
    yield plan_sum(plan)
    if theirs := sum(isinstance(action, Satisfied) for action in plan.actions):
        yield (
            f"{count_text(theirs, 'file')} in place, but not placed by civsync:"
            " `civsync adopt --all` takes such files over"
        )
    if plan.unselected.files:
        yield unselected_text(plan.unselected)


def plan_sum(plan: Plan) -> str:
    """Return the plan in one line."""
    counts = {
        kind: sum(1 for action in plan.actions if isinstance(action, kind))
        for kind in (Fetch, Replace, Move, Retire, Blocked, Keep, Satisfied)
    }
    words = [
        (counts[Fetch], "to download"),
        (counts[Replace], "to replace"),
        (counts[Move], "to move"),
        (counts[Retire], "to retire"),
        (counts[Blocked], "blocked"),
    ]
    parts = [f"{count:,} {word}" for count, word in words if count]
    in_place = counts[Keep] + counts[Satisfied]
    size = f" ({size_text(plan.bytes_to_fetch)})" if plan.bytes_to_fetch else ""
    kept = f"; {len(plan.protected):,} kept: protected" if plan.protected else ""
    if not parts:
        return f"{count_text(in_place, 'file')} in place, nothing to do{kept}"
    return f"{', '.join(parts)}{size}; {in_place:,} in place{kept}"


def _line(action: Action, output: Output) -> str | None:
    match action:
        case Fetch(want=want):
            sign = output.paint("+", "green")
            return f"  {sign} {show(want.path)}  {size_text(want.file.size)}"
        case Replace(want=want, modified=modified):
            sign = output.paint("~", "yellow")
            why = "your changed file goes to trash" if modified else "new content"
            return f"  {sign} {show(want.path)}  {size_text(want.file.size)}  ({why})"
        case Move(want=want, source=source):
            return f"  {output.paint('>', 'blue')} {show(source.path)} → {show(want.path)}"
        case Retire(owned=owned, replaced=replaced, unselected=unselected):
            gone = "not selected" if unselected else "not wanted any more"
            why = "replaced" if replaced else gone
            return f"  {output.paint('-', 'red')} {show(owned.path)}  ({why}; goes to trash)"
        case Protected(owned=owned):
            sign = output.paint("=", "blue")
            return f"  {sign} {show(owned.path)}  (not wanted any more; kept: protected)"
        case Release(owned=owned, missing=False):
            return f"  {output.paint('!', 'yellow')} {show(owned.path)}  (changed; left to you)"
        case Blocked(want=want, error=error):
            sign = output.paint("!", "red")
            return f"  {sign} {show(want.path)}  {show(error.message)} [{error.code}]"
        case Keep() | Satisfied() | Release():
            return None
        case _:
            assert_never(action)


def action_document(action: Action) -> dict[str, object]:
    """Return one action as data."""
    match action:
        case Fetch(want=want):
            return {"action": "fetch", "path": want.path, "size": want.file.size}
        case Replace(want=want, modified=modified):
            return {
                "action": "replace",
                "path": want.path,
                "size": want.file.size,
                "modified": modified,
            }
        case Move(want=want, source=source):
            return {"action": "move", "path": want.path, "from": source.path}
        case Retire(owned=owned, replaced=replaced, unselected=unselected):
            return {
                "action": "retire",
                "path": owned.path,
                "replaced": replaced,
                "unselected": unselected,
            }
        case Release(owned=owned, missing=missing):
            return {"action": "release", "path": owned.path, "missing": missing}
        case Protected(owned=owned):
            return {"action": "protected", "path": owned.path}
        case Blocked(want=want, error=error):
            return {"action": "blocked", "path": want.path, "error": error_document(error)}
        case Keep(want=want):
            return {"action": "keep", "path": want.path}
        case Satisfied(want=want):
            return {"action": "satisfied", "path": want.path}
        case _:
            assert_never(action)
