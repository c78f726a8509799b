"""Plans in files: written by `sync --plan`, and held against the world by `sync --apply`."""

import os
from pathlib import Path

from civsync.cli.goal import Goal
from civsync.cli.output import show
from civsync.cli.texts import read_bytes
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, SafetyError, UserError
from civsync.core.names import SafePath
from civsync.core.saved_plan import SavedPlan
from civsync.decide.witness import find_stale
from civsync.disk.beneath import Beneath
from civsync.disk.durable import write_whole
from civsync.disk.faults import faults_of
from civsync.disk.root import Root
from civsync.documents.saved_plan import is_plan, read_plan, write_plan
from civsync.engine.world import World


def store_plan(path: Path, plan: SavedPlan, *, durable: bool = True) -> None:
    """Write a plan, unless told otherwise durably: an old one stays until the new one is whole.

    Raises UserError usage for a file that is there and is no plan; DiskError.
    """
    there = read_bytes(path)
    if there is not None and not is_plan(there):
        raise UserError(
            Code.USAGE,
            "a file is there that is no plan, and it is not overwritten",
            subject=str(path),
            hint="Give `--plan` another name.",
        )
    target = Path(os.path.realpath(path))
    beneath = Beneath(str(target.parent), durable=durable)
    with faults_of("write", str(path)), beneath.folder("") as folder:
        write_whole(folder, target.name, write_plan(plan))


def load_plan(path: Path) -> SavedPlan:
    """Return the plan in a file. Raises UserError usage, plan-invalid."""
    data = read_bytes(path)
    if data is None:
        raise UserError(
            Code.USAGE,
            "there is no such plan",
            subject=str(path),
            hint="Write one with `civsync sync --plan FILE`.",
        )
    return read_plan(data, str(path))


def check_plan(plan: SavedPlan, goal: Goal, root: Root, path: Path) -> None:
    """Raise SafetyError plan-stale for a plan of another lock or another root.

    A root that was new has its marker by now where the plan was begun: there the path counts.
    """
    faults = []
    if plan.lock_sha256 != goal.lock_sha256:
        faults.append(f"{goal.project.lock.name} is another one than the plan was made from")
    if plan.root_id and plan.root_id != root.root_id:
        faults.append(f"{root.path} is another root than the plan was made for")
    elif not plan.root_id and plan.root != str(root.path):
        faults.append(f"the plan is for {plan.root}, and the root is {root.path}")
    if faults:
        raise SafetyError(Code.PLAN_STALE, "; ".join(map(show, faults)), subject=str(path))


def refusals(plan: SavedPlan, world: World) -> tuple[tuple[SafePath, CivsyncError], ...]:
    """Return an error for each action that is not to be done as the plan says."""
    return tuple(
        (path, SafetyError(Code.PLAN_STALE, why, subject=path))
        for path, why in find_stale(plan.steps, world.plan, world.inventory, world.receipt)
    )
