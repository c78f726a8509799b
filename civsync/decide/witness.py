"""Write a plan down with what was seen, and later tell where a plan made anew is another one.

A saved plan is a witness, never a source of actions: what is carried out was planned anew
from lock, disk and receipt, and only if it is what the saved plan says. So whatever became of
the file, nothing happens that planning would not do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from civsync.core.disk import Absent, Inventory, Linked, Obstacle, Owned, Receipt, Regular, Sight
from civsync.core.names import SafePath
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
    Want,
)
from civsync.core.saved_plan import Fingerprint, Kind, Step


def steps_of(plan: Plan, inventory: Inventory) -> tuple[Step, ...]:
    """Return what `plan` does, in its order; `inventory` is what it was made from."""
    return tuple(step for action in plan.actions if (step := _step(action, inventory)))


def find_stale(
    saved: Iterable[Step], plan: Plan, inventory: Inventory, receipt: Receipt
) -> tuple[tuple[SafePath, str], ...]:
    """Return the paths for which `plan`, made anew, is not what was `saved`, each with why.

    What was saved and is done by now is not stale: so an interrupted run is gone on with.
    Sorted by path.
    """
    anew = {step.path: step for step in steps_of(plan, inventory)}
    in_place = {
        action.want.path: action.want.file.sha256
        for action in plan.actions
        if isinstance(action, Keep | Satisfied)
    }
    return tuple(sorted(_differences({s.path: s for s in saved}, anew, in_place, receipt)))


def _differences(
    saved: Mapping[SafePath, Step],
    anew: Mapping[SafePath, Step],
    in_place: Mapping[SafePath, str],
    receipt: Receipt,
) -> Iterator[tuple[SafePath, str]]:
    for path, step in saved.items():
        now = anew.get(path)
        if now is None and not _is_done(step, in_place, receipt):
            yield path, f"the plan says {step.action}, and that is not to be done any more"
        elif now is not None and now != step:
            yield path, _difference(step, now)
    for path in anew.keys() - saved.keys():
        yield path, f"{anew[path].action} would be needed now, and the plan does not say so"


def _is_done(step: Step, in_place: Mapping[SafePath, str], receipt: Receipt) -> bool:
    if step.action in ("retire", "release"):
        return step.path not in receipt.owned and step.path not in in_place
    return in_place.get(step.path) == step.sha256


def _difference(step: Step, now: Step) -> str:
    if step.now != now.now or step.source_now != now.source_now:
        return f"the plan says {step.action}, and what is on disk is not what was there then"
    if step.action != now.action:
        return f"the plan says {step.action}, and {now.action} would be needed now"
    return f"the plan says {step.action}, with other details than it would have now"


def _step(action: Action, inventory: Inventory) -> Step | None:
    match action:
        case Keep() | Satisfied():
            return None
        case Fetch(want=want):
            return _wanted("fetch", want, inventory, why="nothing is there", to_come=True)
        case Replace(want=want, modified=modified):
            why = (
                "you changed this file, and --force-modified says to replace it"
                if modified
                else "the lock wants other content than civsync placed"
            )
            return _wanted("replace", want, inventory, why=why, to_come=True)
        case Move(want=want, source=source):
            step = _wanted("move", want, inventory, why=f"the file lies at {source.path}")
            there = fingerprint(inventory.get(source.path, Absent()))
            return replace(step, source=source.path, source_now=there)
        case Retire(owned=owned, replaced=replaced, unselected=unselected):
            why = "nothing wants this file any more"
            if unselected:
                why = "its groups are not selected, and --prune-unselected says to give it up"
            elif replaced:
                why = "the lock wants other files of the same model or entry"
            return _owned("retire", owned, inventory, why=why)
        case Release(owned=owned, missing=missing):
            what = "it is gone" if missing else "it was changed by hand: it is left to you"
            why = f"nothing wants this file any more, and {what}"
            return _owned("release", owned, inventory, why=why)
        case Protected(owned=owned):
            why = "nothing wants this file any more, and it is protected: it stays"
            return _owned("protected", owned, inventory, why=why)
        case Blocked(want=want, error=error):
            step = _wanted("blocked", want, inventory, why=error.message)
            return replace(step, code=str(error.code))
        case _:
            assert_never(action)


def _wanted(
    kind: Kind, want: Want, inventory: Inventory, *, why: str, to_come: bool = False
) -> Step:
    return Step(
        action=kind,
        path=want.path,
        why=why,
        bytes=want.file.size if to_come else 0,
        entry=want.entry.key,
        sha256=want.file.sha256,
        code="",
        now=fingerprint(inventory.get(want.path, Absent())),
    )


def _owned(kind: Kind, owned: Owned, inventory: Inventory, *, why: str) -> Step:
    return Step(
        action=kind,
        path=owned.path,
        why=why,
        bytes=0,
        entry=owned.entry,
        sha256=owned.sha256,
        code="",
        now=fingerprint(inventory.get(owned.path, Absent())),
    )


def fingerprint(sight: Sight) -> Fingerprint:
    """Return what tells this sight from another one later."""
    match sight:
        case Absent():
            return Fingerprint(kind="absent")
        case Regular(stamp=stamp, sha256=sha256):
            return Fingerprint(kind="file", stamp=stamp, sha256=sha256 or "")
        case Obstacle(kind="directory"):
            return Fingerprint(kind="directory")
        case Obstacle(kind="symlink"):
            return Fingerprint(kind="symlink")
        case Obstacle():
            return Fingerprint(kind="special")
        case Linked():
            return Fingerprint(kind="linked")
        case _:
            assert_never(sight)
