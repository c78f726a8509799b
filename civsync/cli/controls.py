"""Let a person steer the sync that runs in this process: by `civsync job`, and by keys.

Nothing here is needed for a sync: where no socket can be made, or there is no terminal, it
runs all the same.
"""

import contextlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream

from civsync.cli.job_folder import HAS_SOCKETS, place_for
from civsync.cli.job_server import Converse, listening, serve
from civsync.cli.keys import Keys, interrupt, watch_keys
from civsync.cli.options import Context
from civsync.cli.output import Output, show
from civsync.cli.progress import Display
from civsync.core.control import Limit
from civsync.core.plan import Plan
from civsync.disk.root import Root
from civsync.ports import Control


@asynccontextmanager
async def open_controls(
    context: Context, display: Display, root: Root, control: Control, plan: Plan
) -> AsyncIterator[None]:
    """Take orders for the run of `plan` below `root`, an established one, while this lasts.

    What they leave as the limit of speed is noted in `context`. Does nothing for a plan
    without downloads. What the body raises is raised as it is.
    """
    if not plan.fetches:
        yield
        return
    failure: Exception | None = None
    async with contextlib.AsyncExitStack() as stack:
        listener = None
        place = place_for(root.root_id) if HAS_SOCKETS else None
        if place is not None:
            try:
                listener = await stack.enter_async_context(listening(place))
            except OSError as error:
                _tell(context.output, f"{show(str(place))}: {error.strerror}")
        elif HAS_SOCKETS:
            _tell(context.output, "no folder for its socket is this user's alone")
        async with anyio.create_task_group() as group:
            if listener is not None:
                group.start_soon(serve, listener, _conversation(context, root, control, plan))
            _start_keys(context, display, control, group)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below: a task group would wrap it
                failure = error
            group.cancel_scope.cancel()
    context.limit = Limit(rate=control.view().limit_rate)
    if failure is not None:
        raise failure


def _tell(output: Output, why: str) -> None:
    if output.choice.verbose:
        output.warn(f"`civsync job` will not find this sync: {why}")


def _start_keys(
    context: Context, display: Display, control: Control, group: anyio.abc.TaskGroup
) -> None:
    if os.name != "posix" or not context.output.live:
        return
    from civsync.cli.terminal import find_terminal

    terminal = find_terminal()
    if terminal is not None:
        context.before_exit.append(terminal.restore)
        keys = Keys(control, hint=display.hint, quit=interrupt)
        group.start_soon(watch_keys, terminal, keys)


def _conversation(context: Context, root: Root, control: Control, plan: Plan) -> Converse:
    started = int(time.time())

    async def converse(stream: SocketStream) -> None:
        try:
            # Loaded by the first who speaks: most syncs are never spoken to.
            from civsync.cli.job_desk import Desk
        except Exception:  # noqa: BLE001 - civsync was upgraded, or taken away, under a long sync
            return
        command = f"civsync {context.command}".rstrip()
        await Desk(root, control, plan, command=command, started=started).converse(stream)

    return converse
