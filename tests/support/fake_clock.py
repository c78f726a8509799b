"""A Clock whose time is a number: sleeping moves it on at once."""

from dataclasses import dataclass, field

import anyio.lowlevel


@dataclass
class FakeClock:
    """Starts at `now`; `slept` records every wait, `chance` is every jitter."""

    now: float = 1000.0
    chance: float = 0.5
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """See `civsync.ports.Clock`."""
        return self.now

    def worked(self) -> float:
        """See `civsync.ports.Clock`. Work is done in no time."""
        return 0.0

    def jitter(self) -> float:
        """See `civsync.ports.Clock`."""
        return self.chance

    async def sleep(self, seconds: float) -> None:
        """See `civsync.ports.Clock`. Several sleepers wake in the order in which they began."""
        self.slept.append(seconds)
        wakes = self.now + seconds
        await anyio.lowlevel.checkpoint()
        self.now = max(self.now, wakes)
