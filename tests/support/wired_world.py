"""A whole run of the engine whose bytes come over real sockets, with a clock that never waits.

The disk and the source are those in memory; the transport is the one that users have.
"""

from dataclasses import dataclass

from civsync.decide.plan import Allowance
from civsync.engine.fetch import Outside
from civsync.engine.run import Manner, Outcome, carry_out
from civsync.wire.transport import HttpTransport
from support.engine_world import EngineWorld
from support.wire_server import WireServer


@dataclass
class WiredWorld(EngineWorld):
    """Everything that a run needs but for the storage host, which is at `source.storage`."""

    read_timeout: float = 20.0

    async def run(self, manner: Manner, allowance: Allowance | None = None) -> Outcome:
        """See `EngineWorld.run`."""
        world, ports = self.see(allowance=allowance), self.ports()
        transport = HttpTransport(read_timeout=self.read_timeout)
        outside = Outside(
            source=self.source,
            transport=transport,
            store=ports.store,
            parts=ports.parts,
            ledger=ports.ledger,
            clock=self.clock,
            report=self.take,
        )
        try:
            return await carry_out(world.plan, world.receipt, outside, manner)
        finally:
            await transport.aclose()

    def hold(self, path: str, data: bytes) -> None:
        """Let a part of the file at `path` be there already."""
        self.disk.parts[self.wanted[path].files[0].sha256] = data


def wired(server: WireServer, path: str, data: bytes, *, held: bytes = b"") -> WiredWorld:
    """Return a world that wants `data` at `path` from `server`, and holds `held` of it."""
    world = WiredWorld()
    world.source.storage = server.origin
    world.want(path, data)
    if held:
        world.hold(path, held)
    return world


def ranges(server: WireServer) -> list[str | None]:
    """Return the Range header of each request so far."""
    return [seen.header("range") for seen in server.requests]
