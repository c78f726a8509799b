"""Carry a sync out: take the root, look, plan, guard, act; stop cleanly on a signal."""

import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio.abc import TaskStatus
from anyio.to_thread import run_sync

from civsync.cli.controls import open_controls
from civsync.cli.credentials import find_credentials
from civsync.cli.goal import Goal
from civsync.cli.options import Context
from civsync.cli.output import show
from civsync.cli.progress import Display, choose_display
from civsync.cli.settings import find_api_url, state_dir
from civsync.cli.shelves import shelves_of
from civsync.cli.stopping import stop, stop_signals, tend
from civsync.cli.turns import in_turn_async
from civsync.cli.wiring import (
    Disk,
    Pull,
    forget_stale,
    note_known_files,
    open_wire,
    with_elsewhere,
)
from civsync.core import explanations  # noqa: F401 - an error may come when no file can be opened
from civsync.core.errors import CivsyncError
from civsync.core.events import Noted, Planned
from civsync.core.exits import ExitCode
from civsync.core.link_mode import LinkMode
from civsync.core.names import SafePath
from civsync.core.plan import Plan
from civsync.core.values import dataclass
from civsync.decide.groups import Chosen
from civsync.decide.guard import AllowPrune, check_prune
from civsync.decide.plan import Allowance
from civsync.engine.clock import SystemClock
from civsync.engine.fetch import Outside
from civsync.engine.run import Manner, Outcome, carry_out
from civsync.engine.space import Spare, check_space
from civsync.engine.world import World, look

if TYPE_CHECKING:
    from civsync.disk.elsewhere import Elsewhere

T = TypeVar("T")

Witness = Callable[[World], tuple[tuple[SafePath, CivsyncError], ...]]
"""Says what of a world is not as it was agreed to; with an answer nothing is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a sync is to do, and how: `chosen` is what is selected of the goal's lock.

    A connection slower than `min_speed` bytes a second is given up; 0 for never. A `witness`
    is asked once the root is held and looked at.
    """

    goal: Goal
    chosen: Chosen
    disk: Disk
    allowance: Allowance
    allow_prune: AllowPrune
    hash_all: bool
    min_speed: int
    empty_trash: bool
    manner: Manner
    link: LinkMode = LinkMode.AUTO
    witness: Witness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """A signal ended the run; everything received is kept."""

    status: ExitCode


def act(context: Context, orders: Orders) -> Outcome | Interrupted:
    """Do it. Raises CivsyncError where the run as a whole cannot be done."""
    return anyio.run(until_signal, context, lambda: _act(context, orders))


async def _act(context: Context, orders: Orders) -> Outcome:
    disk = orders.disk
    disk.root.establish()
    if not disk.root.remembered:
        context.output.warn(
            f"{show(state_dir())} cannot be written, so an unmounted disk"
            " could be taken for a new root the next time"
        )
    with choose_display(context.output, stream=True) as display:
        tend(context, display)

        def tell(text: str) -> None:
            display(Noted(code="waiting", message=text))

        async with in_turn_async(context, disk.root, "civsync sync", tell):
            return await _act_alone(context, orders, display)


async def _act_alone(context: Context, orders: Orders, display: Display) -> Outcome:
    """Do it, with the root held: look, plan, guard, act."""
    disk, chosen = orders.disk, orders.chosen
    stop = threading.Event()
    try:
        world = await run_sync(
            lambda: look(
                chosen.lock,
                disk.store,
                disk.ledger,
                display,
                allowance=orders.allowance,
                left_out=chosen.left_out,
                hash_all=orders.hash_all,
                jobs=orders.manner.jobs,
                stop=stop,
            ),
            abandon_on_cancel=True,
        )
    finally:
        stop.set()
    if orders.witness is not None and (refused := orders.witness(world)):
        return Outcome(failures=refused, receipt=world.receipt)
    if world.learned or disk.ledger.unsettled:
        # Hours of hashing, or what a killed run left, must not depend on how this run ends.
        await run_sync(disk.ledger.commit, world.receipt)
    display(Planned(plan=world.plan))
    check_prune(world.plan, world.receipt, orders.allow_prune)
    disk, elsewhere = await run_sync(with_elsewhere, disk, world.plan, orders.link)
    here = replace(orders, disk=disk)
    make_room = partial(_make_room, here, world.plan, display)
    fits = await run_sync(lambda: make_room(retired_first=orders.manner.prune_first))
    async with _stopped_when_cancelled(elsewhere):
        outcome = await transfer(
            context, here, display, world=world, make_room=None if fits else make_room
        )
    if disk.store.linkless:
        display(Noted(code="no-hard-links", message="this file system has no hard links"))
    if elsewhere is not None:
        if elsewhere.fallback:
            if orders.link is LinkMode.AUTO:
                # The user named no way, so a copy is what was asked for.
                display(Noted(code="not-shared", message=elsewhere.fallback))
            else:
                display(Noted(code="link-fallback", message=elsewhere.fallback))
        await run_sync(forget_stale, elsewhere)
    if world.learned or outcome.receipt != world.receipt:
        await run_sync(note_known_files, disk, outcome.receipt)
    # Parts of what is not selected now may be gone on with later.
    wanted = frozenset(file.sha256 for _, file in orders.goal.lock.files())
    await run_sync(lambda: disk.parts.sweep(time.time_ns(), wanted=wanted))
    return outcome


def _make_room(
    orders: Orders, plan: Plan, display: Display, *, retired_first: bool = False
) -> bool:
    """Look at the space of each disk as `check_space` does; True if all is done."""
    done = True
    for shelf in shelves_of(orders.disk, plan):
        spare = Spare(
            trash=shelf.trash, lock=orders.goal.lock, report=display, allowed=orders.empty_trash
        )
        done &= check_space(shelf.plan, shelf.parts, spare, retired_first=retired_first)
    return done


@asynccontextmanager
async def _stopped_when_cancelled(elsewhere: "Elsewhere | None") -> AsyncIterator[None]:
    """Let no copy of a large file, which runs in a thread, hold up the end of a cancelled run."""
    if elsewhere is None:
        yield
        return
    failure: CivsyncError | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_in_the_end, elsewhere)
        try:
            yield
        except CivsyncError as error:
            # Raised below: a task group would wrap it.
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _stop_in_the_end(elsewhere: "Elsewhere") -> None:
    try:
        await anyio.sleep_forever()
    finally:
        elsewhere.stop()


async def transfer(
    context: Context,
    orders: Orders,
    display: Display,
    *,
    world: World,
    make_room: Callable[[], object] | None = None,
) -> Outcome:
    """Carry out the plan of `world`, over the network where it needs that; the root is held."""
    disk, manner = orders.disk, orders.manner
    if context.limit is not None:
        manner = replace(manner, limit_rate=context.limit.rate)
    api_url = find_api_url(context.settings)
    # A command that asks somebody for the key may take its time, and signals are heard meanwhile.
    credentials = await run_sync(find_credentials, api_url) if world.plan.fetches else None
    token = credentials.token if credentials else None
    pull = Pull(
        connections=manner.connections,
        limit_rate=manner.limit_rate,
        min_speed=orders.min_speed,
    )
    async with open_wire(api_url, token, display, account=context.account, pull=pull) as wire:
        source, transport = wire
        outside = Outside(
            source=source,
            transport=transport,
            store=disk.store,
            parts=disk.parts,
            parts_of=disk.parts.near,
            ledger=disk.ledger,
            clock=SystemClock(),
            report=display,
        )
        return await carry_out(
            world.plan,
            world.receipt,
            outside,
            manner,
            lambda control: open_controls(context, display, disk.root, control, world.plan),
            make_room=make_room,
        )


async def until_signal(context: Context, work: Callable[[], Awaitable[T]]) -> T | Interrupted:
    """Run `work`; the first signal cancels it cleanly, the second ends the process.

    One that stops the process, as Ctrl-Z does, still does.
    """
    result: T | None = None
    failure: CivsyncError | None = None
    stopped_by: int | None = None

    async def watch(scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        nonlocal stopped_by
        ends = (signal.SIGINT, signal.SIGTERM)
        with anyio.open_signal_receiver(*ends, *stop_signals()) as signals:
            task_status.started()
            async for number in signals:
                if number not in ends:
                    stop(context)
                    continue
                if stopped_by is not None:
                    # Every state on disk is one that a next run goes on from.
                    for restore in context.before_exit:
                        restore()
                    os._exit(128 + number)
                stopped_by = number
                context.output.talk("stopping; once more stops at once")
                scope.cancel()

    async with anyio.create_task_group() as watcher:
        with anyio.CancelScope() as scope:
            if os.name == "posix":
                await watcher.start(watch, scope)
            try:
                result = await work()
            except CivsyncError as error:
                # Raised below: a task group would wrap it.
                failure = error
        watcher.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if result is not None:
        return result
    terminated = stopped_by == signal.SIGTERM
    return Interrupted(status=ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED)
