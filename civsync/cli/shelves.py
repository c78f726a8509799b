"""The disks that a root lies on, each with what a plan asks of it."""

from collections.abc import Iterator

from civsync.cli.wiring import Disk
from civsync.core.names import SafePath
from civsync.core.plan import Action, Fetch, Move, Plan, Replace, Retire
from civsync.core.values import dataclass
from civsync.disk.parts import DiskParts
from civsync.disk.trash_can import DiskTrashCan


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One disk: what of a plan takes or gives space there, its parts and its trash."""

    plan: Plan
    parts: DiskParts
    trash: DiskTrashCan


def shelves_of(disk: Disk, plan: Plan) -> Iterator[Shelf]:
    """Yield the disks of an established root; what moves to another disk is to come there.

    Raises DiskError.
    """
    beneath = disk.root.beneath
    if len(beneath.homes) == 1:
        yield Shelf(plan=plan, parts=disk.parts, trash=disk.trash)
        return
    seen: set[str] = set()
    for home in beneath.homes:
        if home in seen:
            continue
        parts = disk.parts.near(SafePath(home))
        homes = parts.homes
        seen.update(homes)
        actions: list[Action] = []
        for action in plan.actions:
            match action:
                case Fetch() | Replace() if beneath.home_of(action.want.path) in homes:
                    actions.append(action)
                case Retire() if beneath.home_of(action.owned.path) in homes:
                    actions.append(action)
                case Move(want=want, source=source) if (
                    beneath.home_of(want.path) in homes
                    and beneath.home_of(source.path) not in homes
                ):
                    actions.append(Fetch(want=want))
                case _:
                    pass
        yield Shelf(
            plan=Plan(actions=tuple(actions), unselected=plan.unselected),
            parts=parts,
            trash=DiskTrashCan(disk.root, homes),
        )
