"""Take a conversation that asks to Civitai, as the settings and the user's key say."""

from typing import TypeVar

import anyio

from civsync.cli.options import Context
from civsync.cli.progress import choose_display
from civsync.cli.wiring import open_source_of
from civsync.decide.lookup import Asking
from civsync.engine.resolving import converse

T = TypeVar("T")


def ask(context: Context, conversation: Asking[T], *, entries: int) -> T:
    """Return what `conversation`, which is about so many `entries`, comes to.

    Raises CivsyncError where there is no answer to be had.
    """

    async def work() -> T:
        with choose_display(context.output) as display:
            async with open_source_of(context, display) as source:
                return await converse(conversation, source, display, entries=entries)

    return anyio.run(work)
