"""Download what Civitai publishes no hash of, once, so that the lock can say what it is.

The bytes are kept below the root, where the next sync finds them; so this is the one step
of locking that needs a root.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.options import Context
from civsync.core.limits import DEFAULT_JOBS
from civsync.core.lock import LockedEntry
from civsync.core.values import dataclass

if TYPE_CHECKING:
    from civsync.engine.unverified import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Where to keep what is downloaded, and how to go about it.

    `root` is called only if there is anything to download. `accept_new` is the user's word
    that the root is a new or another disk; `stream` asks for events as JSON lines.
    """

    root: Callable[[], Path]
    accept_new: bool = False
    jobs: int = DEFAULT_JOBS
    stream: bool = False


def record(context: Context, entries: Sequence[LockedEntry], recording: Recording) -> "Recorded":
    """Return `entries` with every hash filled in, or what failed.

    Raises CivsyncError where nothing could be begun: the root is busy or unusable.
    """
    import anyio

    from civsync.cli.credentials import find_credentials
    from civsync.cli.progress import choose_display
    from civsync.cli.settings import find_api_url
    from civsync.cli.turns import in_turn
    from civsync.cli.wiring import open_disk, open_wire
    from civsync.engine.clock import SystemClock
    from civsync.engine.network import Network
    from civsync.engine.unverified import record_hashes

    api_url = find_api_url(context.settings)
    credentials = find_credentials(api_url)
    disk = open_disk(recording.root(), context.settings, accept_new=recording.accept_new)
    disk.root.establish()

    async def work() -> "Recorded":
        token = credentials.token if credentials else None
        with choose_display(context.output, stream=recording.stream) as display:
            async with open_wire(api_url, token, display, account=context.account) as wire:
                source, transport = wire
                network = Network(
                    source=source, transport=transport, clock=SystemClock(), report=display
                )
                return await record_hashes(
                    entries, network, disk.parts, disk.parts, jobs=recording.jobs
                )

    with in_turn(context, disk.root, "civsync lock"):
        return anyio.run(work)
