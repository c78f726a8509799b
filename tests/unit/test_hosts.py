"""A host that rests or is dead is found out once, for all files, and no other host suffers."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, IntegrityError, WireError
from civsync.core.events import Event, Paused
from civsync.core.exits import ExitCode
from civsync.core.limits import HOST_PATIENCE_S, TRANSFER_ATTEMPTS
from civsync.core.wire import Head
from civsync.decide.circuit import TRIP
from civsync.engine.hosts import Hosts
from civsync.engine.reception import LeaseOverError
from civsync.engine.run import Manner
from civsync.ports import Sink
from support.engine_world import EngineWorld, body, codes_of
from support.fake_clock import FakeClock
from support.memory_storage import MemoryStorage

pytestmark = pytest.mark.timeout(60)

DEAD = "dead.test"
DOWN = WireError(Code.UNREACHABLE, "nobody is there")


@dataclass
class SomeDead(MemoryStorage):
    """A storage host of several names, of which those in `down` answer nothing.

    `revive` is asked with the number of requests to such a host so far; it is up again when
    that says so.
    """

    down: set[str] = field(default_factory=set)
    revive: Callable[[int], bool] = lambda _: False
    requests: Counter[str] = field(default_factory=Counter)

    async def stream(
        self, url: str, headers: Mapping[str, str], judge: Callable[[Head], Sink | None]
    ) -> bytes:
        host = urlsplit(url).netloc
        self.requests[host] += 1
        if host in self.down:
            await anyio.lowlevel.checkpoint()
            if not self.revive(self.requests[host]):
                raise WireError(Code.UNREACHABLE, "nobody is there", subject=f"https://{host}")
            self.down.discard(host)
        return await super().stream(url, headers, judge)


def world_of(count: int, *, alive: int = 0) -> tuple[EngineWorld, SomeDead]:
    """A world with `count` files on a dead host, and some on another."""
    storage = SomeDead(down={DEAD})
    world = EngineWorld(storage=storage)
    for number in range(1, count + 1):
        file_id = world.want(f"dead/{number}.bin", body(number, 20), model_id=number)
        world.source.elsewhere[file_id] = f"https://{DEAD}"
    for number in range(count + 1, count + alive + 1):
        world.want(f"loras/{number}.bin", body(number, 20), model_id=number)
    return world, storage


@pytest.mark.parametrize("jobs", [1, 4, 16])
def test_a_dead_host_does_not_burn_the_tries_of_500_files(jobs: int) -> None:
    world, storage = world_of(500)
    began = world.clock.now
    outcome = world.sync(Manner(jobs=jobs, connections=16))
    assert outcome.exit is ExitCode.TEMPORARY
    assert set(codes_of(outcome).values()) == {Code.UNREACHABLE}
    assert len(outcome.failures) == 500
    # What 500 files would ask by themselves is 4000 times. One at a time asks here, and each
    # file at most as often as it has tries.
    assert storage.requests[DEAD] <= TRIP + jobs + HOST_PATIENCE_S
    # Once the host is given up, no file waits for anything.
    assert world.clock.now - began <= 2 * HOST_PATIENCE_S


def test_files_of_other_hosts_come_meanwhile() -> None:
    world, storage = world_of(50, alive=50)
    outcome = world.sync(Manner(jobs=4))
    assert outcome.done == {"fetched": 50}
    assert set(world.tree) == {path for path in world.wanted if path.startswith("loras/")}
    assert storage.requests["storage.test"] == 50


def test_a_host_that_comes_back_is_used_again_by_all() -> None:
    world, storage = world_of(50)
    # Before one file alone has made all its tries: the clock does not wait for other threads.
    storage.revive = lambda requests: requests > TRIP
    assert TRIP < TRANSFER_ATTEMPTS
    outcome = world.sync(Manner(jobs=4))
    assert outcome.exit is ExitCode.OK
    assert len(world.tree) == 50
    assert storage.requests[DEAD] <= 50 + TRIP + 4 + TRANSFER_ATTEMPTS


def test_the_failure_names_the_host_and_how_long_it_was_tried() -> None:
    world, _ = world_of(30)
    outcome = world.sync(Manner(jobs=2))
    last = outcome.failures[-1][1]
    assert DEAD in last.message
    assert last.data["host"] == DEAD


# --- the hosts themselves --------------------------------------------------------------------


@dataclass
class Asked:
    """Hosts over a clock that never waits."""

    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hosts = Hosts(self.clock, self._take, spacing=0)

    def _take(self, event: Event) -> None:
        self.events.append(event)

    async def ask(
        self, error: BaseException | None, *, host: str = DEAD, moved: bool = False
    ) -> None:
        """Make one request that ends so."""
        await self.hosts.admit(host)
        expected = () if error is None else (type(error),)
        with contextlib.suppress(*expected), self.hosts.watched(host, lambda: moved):
            if error is not None:
                raise error

    async def trip(self) -> None:
        for _ in range(TRIP):
            await self.ask(DOWN)

    async def waits(self, host: str = DEAD) -> bool:
        """Whether a request would have to wait while another one is under way."""
        await self.hosts.admit(host)
        before = len(self.clock.slept)
        async with anyio.create_task_group() as group:
            group.start_soon(self.hosts.admit, host)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        return len(self.clock.slept) > before


def test_a_pause_that_one_request_is_told_is_waited_for_by_the_next_of_that_host() -> None:
    async def main() -> None:
        asked = Asked()
        busy = WireError(Code.SERVER_ERROR, "busy", retry_after=7.0)
        await asked.ask(busy)
        await asked.ask(None, host="other.test")
        assert asked.clock.slept == []
        await asked.ask(None)
        assert asked.clock.slept == [7.0]
        assert [event.seconds for event in asked.events if isinstance(event, Paused)] == [7.0]

    anyio.run(main)


@pytest.mark.parametrize(
    ("error", "moved"),
    [
        pytest.param(None, False, id="a reply"),
        pytest.param(DOWN, True, id="bytes came before it broke"),
        pytest.param(IntegrityError(Code.NOT_A_MODEL, "a page"), False, id="a page"),
        pytest.param(LeaseOverError(), True, id="the rest was not wanted"),
    ],
)
def test_what_shows_that_the_host_works_lets_all_ask_again(
    error: BaseException | None, moved: bool
) -> None:
    async def main() -> None:
        asked = Asked()
        await asked.trip()
        assert await asked.waits()
        asked = Asked()
        await asked.trip()
        await asked.ask(error, moved=moved)
        assert not await asked.waits()

    anyio.run(main)


def test_who_is_cancelled_before_anything_came_lets_another_look() -> None:
    async def main() -> None:
        asked = Asked()
        await asked.trip()
        await asked.ask(anyio.get_cancelled_exc_class()())
        with anyio.fail_after(5):
            await asked.hosts.admit(DEAD)
        assert asked.clock.slept == []

    anyio.run(main)


def test_errors_are_values_of_their_own_for_each_file() -> None:
    async def main() -> None:
        asked = Asked()
        await asked.trip()
        asked.clock.now += HOST_PATIENCE_S
        await asked.ask(DOWN)
        errors: list[CivsyncError] = []
        for _ in range(2):
            with pytest.raises(WireError) as caught:
                await asked.hosts.admit(DEAD)
            errors.append(caught.value)
        assert errors[0] is not errors[1]

    anyio.run(main)


# --- requests out of threads -------------------------------------------------------------


def hosts_of(clock: FakeClock, *, spacing: float = 0.01) -> Hosts:
    return Hosts(clock, lambda _: None, spacing=spacing)


def test_a_thread_is_admitted_in_its_turn() -> None:
    hosts, waited = hosts_of(FakeClock()), list[float]()
    assert all(hosts.admit_now("a.test", waited.append) for _ in range(3))
    assert waited == pytest.approx([0.01, 0.02])


def test_a_thread_does_not_wait_for_long() -> None:
    hosts, waited = hosts_of(FakeClock(), spacing=1.0), list[float]()
    assert hosts.admit_now("a.test", waited.append)
    assert not hosts.admit_now("a.test", waited.append)
    assert hosts.admit_now("b.test", waited.append)
    assert waited == []


def test_a_thread_leaves_a_host_alone_that_failed_the_last_time() -> None:
    hosts, waited = hosts_of(FakeClock(), spacing=0), list[float]()
    with pytest.raises(WireError), hosts.watched("a.test", lambda: False):
        raise DOWN
    assert not hosts.admit_now("a.test", waited.append)
    with hosts.watched("a.test", lambda: False):
        pass
    assert hosts.admit_now("a.test", waited.append)


def test_what_a_thread_learns_holds_for_tasks_too() -> None:
    clock = FakeClock()
    hosts = hosts_of(clock, spacing=0)
    limited = WireError(Code.RATE_LIMITED, "slow down", retry_after=7.0)
    with pytest.raises(WireError), hosts.watched("a.test", lambda: False):
        raise limited
    began = clock.now
    anyio.run(hosts.admit, "a.test")
    assert clock.now - began >= 7.0
