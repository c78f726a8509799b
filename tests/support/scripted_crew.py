"""A crew whose connections do what a test says, one step at a time."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio.lowlevel

from civsync.core.lock import LockedFile
from civsync.core.names import parse_path
from civsync.decide.pieces import Lease, Pieces, PieceTuning
from civsync.engine.crew import Crew
from civsync.engine.reception import LeaseOverError, Reception
from support.engine_world import body
from support.memory_disk import MemoryDisk, MemoryPart, digests_of

TUNING = PieceTuning(segmented=50, shortest=10, longest=30, half=5)
_STEPS = 100


async def until(condition: Callable[[], object]) -> None:
    """Let the others go on until something is so."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def settle() -> None:
    """Let the others do what they can do."""
    for _ in range(_STEPS):
        await anyio.lowlevel.checkpoint()


@dataclass(eq=False)
class Connection:
    """One lease that is received: `bring` and `fail` say how it goes on."""

    lease: Lease
    asked: tuple[int, int]
    todo: deque[int | BaseException] = field(default_factory=deque)

    @property
    def span(self) -> tuple[int, int]:
        """What is still to come of it."""
        return self.lease.at, self.lease.end

    async def bring(self, count: int) -> None:
        """Let bytes come, and wait until they are there."""
        self.todo.append(count)
        await settle()

    async def fail(self, error: BaseException) -> None:
        """Let the connection end so."""
        self.todo.append(error)
        await settle()


class ScriptedCrew:
    """The crew of one file; `open` are the connections that receive, in their order."""

    def __init__(
        self,
        *,
        name: str = "loras/a.bin",
        size: int = 100,
        most: int = 4,
        tuning: PieceTuning = TUNING,
    ) -> None:
        self.data = body(1, size)
        sha256 = digests_of(self.data).sha256
        self.part = MemoryPart(MemoryDisk(), sha256, size)
        path = parse_path(name)
        file = LockedFile(
            path=path,
            size=size,
            sha256=sha256,
            model_id=1,
            version_id=10,
            file_id=100,
            name="a.bin",
            type="Model",
        )
        self.pieces = Pieces(size, tuning)
        self.reception = Reception(part=self.part, pieces=self.pieces, pieced=False)
        self.crew = Crew(file, self.reception, self._pour, most=most)
        self.open: list[Connection] = []
        self.asked: list[tuple[int, int]] = []

    @property
    def spans(self) -> list[tuple[int, int]]:
        """What the open connections still receive."""
        return [each.span for each in self.open]

    @property
    def whole(self) -> bool:
        """Whether the file is there, with the right bytes."""
        return self.part.prefix == self.data

    async def _pour(self, lease: Lease) -> None:
        connection = Connection(lease, (lease.at, lease.end))
        self.asked.append(connection.asked)
        self.open.append(connection)
        try:
            while lease.left:
                while not connection.todo:
                    await anyio.lowlevel.checkpoint()
                step = connection.todo.popleft()
                if isinstance(step, BaseException):
                    raise step
                self._write(connection, step)
        finally:
            self.open.remove(connection)

    def _write(self, connection: Connection, count: int) -> None:
        """Take bytes as a reception does."""
        lease = connection.lease
        at = lease.at
        taken = self.pieces.advance(lease, count)
        self.part.write(self.data[at : at + taken], at)
        self.reception.received += taken
        if not lease.left and lease.end < connection.asked[1]:
            raise LeaseOverError
