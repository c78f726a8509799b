"""A storage host in memory whose bodies stand still in the middle until a test lets them go on."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.to_thread import run_sync

from civsync.core.wire import Head
from civsync.ports import Sink
from support.memory_storage import MemoryStorage


@dataclass
class StandingStorage(MemoryStorage):
    """Bodies of the files in `stand`, id to offset, stop there; `standing` counts who waits.

    A file that is taken out of `stand` goes on, and so do all after `release`.
    """

    stand: dict[int, int] = field(default_factory=dict)
    standing: dict[int, int] = field(default_factory=dict)

    def release(self, *file_ids: int) -> None:
        """Let these files go on; all if none is named."""
        for file_id in file_ids or tuple(self.stand):
            del self.stand[file_id]

    async def _deliver(
        self,
        url: str,
        file_id: int,
        span: tuple[int, int] | None,
        judge: Callable[[Head], Sink | None],
    ) -> bytes:
        if file_id not in self.stand:
            return await super()._deliver(url, file_id, span, judge)
        script = self.faults.get(file_id)
        reply = self._reply(url, self.bodies[file_id], span, script.pop(0) if script else None)
        sink = await run_sync(judge, Head(status=reply.status, headers=reply.headers, url=url))
        if sink is None:
            return reply.body
        here = max(0, self.stand[file_id] - (span[0] if span else 0))
        await run_sync(sink, reply.body[:here])
        self.standing[file_id] = self.standing.get(file_id, 0) + 1
        try:
            while file_id in self.stand:
                await anyio.lowlevel.checkpoint()
        finally:
            self.standing[file_id] -= 1
        await run_sync(sink, reply.body[here:])
        return b""
