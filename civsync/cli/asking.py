"""Take a conversation that asks to Civitai, as the settings and the user's key say."""

from collections.abc import Sequence
from typing import TypeVar

import anyio

from civsync.cli.options import Context
from civsync.cli.progress import choose_display
from civsync.cli.wiring import open_source_of
from civsync.core.errors import CivsyncError
from civsync.core.request import Entry
from civsync.decide.lookup import Asking
from civsync.engine.resolving import converse

T = TypeVar("T")


def ask(context: Context, conversation: Asking[T], *, entries: Sequence[Entry]) -> T:
    """Return what `conversation`, which is about `entries`, comes to.

    Raises CivsyncError where there is no answer to be had; one about an entry has its place.
    """

    async def work() -> T:
        with choose_display(context.output) as display:
            async with open_source_of(context, display) as source:
                return await converse(conversation, source, display, entries=len(entries))

    try:
        return anyio.run(work)
    except CivsyncError as error:
        places = {entry.key: entry.place for entry in entries}
        error.place = error.place or places.get(error.subject)
        raise
