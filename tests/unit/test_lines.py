"""Connections are shared by the files of a run: where they pay, and never more than allowed."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from civsync.decide.pieces import PieceTuning
from civsync.decide.ramp import RampTuning
from civsync.engine.crew import Crew
from civsync.engine.lines import Lines
from support.scripted_crew import Connection, ScriptedCrew, settle

pytestmark = pytest.mark.timeout(30)

SIZE = 100_000
TUNING = RampTuning(settle=0.3, window=0.7, rest=30, worthwhile=0, enough=1e9, light=0)
PIECES = PieceTuning(segmented=1000, shortest=1000, longest=20_000, half=500)


@dataclass
class StandingClock:
    """A Clock that stands still until a test moves it on."""

    now: float = 1000.0
    busy: float = 0.0
    sleepers: list[tuple[float, anyio.Event]] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def worked(self) -> float:
        return self.now * self.busy

    def jitter(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        awake = anyio.Event()
        self.sleepers.append((self.now + seconds, awake))
        await awake.wait()

    async def move(self, seconds: float) -> None:
        """Let time pass, and let those who wake do what they can do."""
        self.now += seconds
        due = [each for each in self.sleepers if each[0] <= self.now + 1e-9]
        self.sleepers = [each for each in self.sleepers if each not in due]
        for _, awake in due:
            awake.set()
        await settle()


@dataclass
class Run:
    """A run whose connections bring `rate(connections)` bytes a second in all."""

    lines: Lines
    clock: StandingClock
    rate: Callable[[int], float]
    crews: list[ScriptedCrew] = field(default_factory=list)
    most: int = 0
    makes: float = 0
    """Seconds before a connection brings anything."""
    begun: dict[Connection, float] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Connections of the run."""
        return sum(self.lines.connections().values())

    @property
    def counts(self) -> list[int]:
        """Connections of each file that is received."""
        return list(self.lines.connections().values())

    def brings(self, connection: Connection) -> bool:
        """Whether it is through with what it does before it brings the first byte."""
        begun = self.begun.setdefault(connection, self.clock.now)
        return self.clock.now >= begun + self.makes

    async def pass_time(self, seconds: float, *, step: float = 0.1) -> None:
        """Let time pass, and bytes come on all connections alike."""
        for _ in range(round(seconds / step)):
            open_now = [each for crew in self.crews for each in crew.open if self.brings(each)]
            for each in open_now:
                each.todo.append(int(self.rate(len(open_now)) * step / len(open_now)))
            await self.clock.move(step)
            self.most = max(self.most, self.used)


def crew_of(name: str, size: int = SIZE, most: int = 4) -> ScriptedCrew:
    return ScriptedCrew(name=f"loras/{name}.bin", size=size, most=most, tuning=PIECES)


def conducted(
    test: Callable[[Run], Coroutine[Any, Any, None]],
    *,
    rate: Callable[[int], float],
    connections: int = 8,
) -> None:
    """Run `test` while the connections are conducted."""

    async def main() -> None:
        clock = StandingClock()
        lines = Lines(clock, connections=connections, tuning=TUNING)
        async with anyio.create_task_group() as group:
            group.start_soon(lines.conduct)
            await test(Run(lines, clock, rate))
            group.cancel_scope.cancel()

    anyio.run(main)


@asynccontextmanager
async def received(run: Run, *crews: ScriptedCrew) -> AsyncIterator[None]:
    """Let these files be received inside."""
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        for crew in crews:
            run.crews.append(crew)
            await stack.enter_async_context(run.lines.manned(crew.crew))
            group.start_soon(crew.crew.lead)
        await settle()
        yield
        group.cancel_scope.cancel()
    run.crews = [crew for crew in run.crews if crew not in crews]


def limited(lines: int) -> float:
    return 1000.0 * lines


def full(_: int) -> float:
    return 1000.0


def test_where_each_connection_is_limited_a_file_gets_all_it_may_have() -> None:
    async def test(run: Run) -> None:
        async with received(run, crew_of("a")):
            assert run.counts == [1]
            await run.pass_time(6)
            assert run.counts == [4]
            assert len(run.crews[0].open) == 4

    conducted(test, rate=limited)


def test_where_one_fills_the_line_it_is_left_alone_after_a_trial() -> None:
    async def test(run: Run) -> None:
        async with received(run, crew_of("a")):
            await run.pass_time(6)
            assert run.counts == [1]
        assert run.most == 2

    conducted(test, rate=full)


def test_one_that_takes_long_to_be_made_is_judged_later() -> None:
    async def test(run: Run) -> None:
        run.makes = 1.5
        async with received(run, crew_of("a", 10 * SIZE)):
            await run.pass_time(12)
            assert run.counts == [4]

    conducted(test, rate=limited)


def test_no_other_connection_is_tried_where_the_processors_have_no_time_for_it() -> None:
    async def test(run: Run) -> None:
        run.clock.busy = 0.6
        async with received(run, crew_of("a")):
            await run.pass_time(6)
        assert run.most == 1

    conducted(test, rate=limited)


def test_the_file_with_most_to_come_for_each_connection_gets_the_next_one() -> None:
    async def test(run: Run) -> None:
        async with received(run, crew_of("small", 10_000), crew_of("large", 200_000)):
            await run.pass_time(1.5)
            assert run.counts == [1, 3]

    conducted(test, rate=limited)


@pytest.mark.parametrize("connections", [1, 2, 3, 5])
def test_there_are_never_more_than_are_allowed(connections: int) -> None:
    async def test(run: Run) -> None:
        crews = [crew_of(str(number)) for number in range(min(2, connections))]
        async with received(run, *crews):
            await run.pass_time(8)
        assert run.most == connections

    conducted(test, rate=limited, connections=connections)


def test_a_helper_goes_when_another_file_needs_its_connection() -> None:
    async def test(run: Run) -> None:
        async with received(run, crew_of("a")):
            await run.pass_time(6)
            assert run.counts == [4]
            async with received(run, crew_of("b")):
                assert run.counts == [3, 1]
                assert [len(crew.open) for crew in run.crews] == [3, 1]
                async with received(run, crew_of("c"), crew_of("d")):
                    assert run.counts == [1, 1, 1, 1]
                    assert run.used == 4

    conducted(test, rate=limited, connections=4)


@pytest.mark.parametrize("looks", range(1, 15))
def test_a_thread_may_learn_that_ranges_mean_nothing_while_connections_are_dealt_out(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = crew_of("a")
    looked = []

    def learn(each: Crew) -> int:
        looked.append(each)
        each.reception.whole = len(looked) >= looks
        return SIZE

    monkeypatch.setattr(Crew, "missing", property(learn))

    async def test(run: Run) -> None:
        async with received(run, crew):
            await run.pass_time(6)
            assert crew.crew.room == 0
            assert len(looked) >= looks

    conducted(test, rate=limited)


def test_nobody_is_looked_after_who_can_use_no_help() -> None:
    async def test(run: Run) -> None:
        async with received(run, crew_of("tiny", 999)):
            await run.pass_time(0.5)
            assert run.clock.sleepers == []
        async with received(run, crew_of("large")):
            assert len(run.clock.sleepers) == 1
        await run.clock.move(1)
        assert run.clock.sleepers == []
        async with received(run, crew_of("again")):
            assert len(run.clock.sleepers) == 1
            await run.pass_time(6)
            assert run.counts == [4]

    conducted(test, rate=limited)


def test_what_was_received_is_counted_once_also_of_files_that_are_through() -> None:
    async def test(run: Run) -> None:
        one = crew_of("a")
        async with received(run, one):
            await run.pass_time(1)
            assert run.lines.received == one.reception.received > 0
        before = run.lines.received
        async with received(run, one):
            assert run.lines.received == before
            await run.pass_time(1)
            assert run.lines.received == one.reception.received > before
        async with received(run, crew_of("b")):
            await run.pass_time(1)
        assert run.lines.received > one.reception.received

    conducted(test, rate=limited)


def test_what_helpers_bring_in_their_last_moment_is_counted() -> None:
    async def test(run: Run) -> None:
        crew = crew_of("a")
        async with received(run, crew):
            await run.pass_time(6)
            for each in crew.open:
                each.todo.append(10)
        assert run.lines.received == crew.reception.received

    conducted(test, rate=limited)
