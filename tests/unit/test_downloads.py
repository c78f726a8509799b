"""Which download goes next, and what orders do to downloads that wait, run or rest."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from civsync.core.codes import Code
from civsync.core.control import (
    Cancel,
    Limit,
    Order,
    Pause,
    Prioritize,
    Resume,
    Stage,
    TransferView,
)
from civsync.core.errors import RegistryError, WireError
from civsync.core.events import FileDone
from civsync.core.exits import ExitCode
from civsync.core.limits import BATCH_WAIT_S, SPACE_MARGIN_BYTES, TRANSFER_ATTEMPTS
from civsync.core.names import SafePath, parse_path
from civsync.core.plan import Fetch, Replace, Want
from civsync.demo.faults import Cut, FlipBit
from civsync.engine.downloads import Downloads, Work
from civsync.engine.lanes import Follow, Lane
from civsync.engine.lines import Lines
from civsync.engine.run import Manner, Outcome
from civsync.ports import Control
from support.engine_world import EngineWorld, body, codes_of
from support.fake_clock import FakeClock
from support.lock_values import locked_entry, locked_file
from support.standing_storage import StandingStorage

pytestmark = pytest.mark.timeout(20)  # a lost wake-up is a wait without end

A, B, C, D = (parse_path(f"loras/{name}.bin") for name in "abcd")
ONE = Manner(jobs=1)
SIZE = 100

Orders = Callable[[Control], Coroutine[Any, Any, None]]


async def until(condition: Callable[[], object]) -> None:
    """Let the others go on until something is so."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def settle() -> None:
    """Let the others do what they can do."""
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


@dataclass
class Steering:
    """A world with a file for each of `paths`, that a test steers while it runs."""

    paths: tuple[str, ...] = (A, B, C)
    priorities: dict[str, int] = field(default_factory=dict)
    storage: StandingStorage = field(default_factory=StandingStorage)
    world: EngineWorld = field(init=False)
    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = EngineWorld(storage=self.storage)
        for number, path in enumerate(self.paths, start=1):
            priority = self.priorities.get(path, 0)
            self.ids[path] = self.world.want(path, body(number, SIZE), priority=priority)

    def hold(self, *paths: str, at: int = 40) -> None:
        """Let the bodies of these files stand still after `at` bytes."""
        for path in paths:
            self.storage.stand[self.ids[path]] = at

    def go_on(self, *paths: str) -> None:
        """Let them go on."""
        self.storage.release(*(self.ids[path] for path in paths))

    def stands(self, *paths: str) -> bool:
        """Whether these bodies stand still, one connection each."""
        return all(self.storage.standing.get(self.ids[path]) == 1 for path in paths)

    def run(self, orders: Orders, manner: Manner = ONE) -> Outcome:
        """Run, with `orders` beside it."""

        @asynccontextmanager
        async def steered(control: Control) -> AsyncIterator[None]:
            async with anyio.create_task_group() as group:
                group.start_soon(orders, control)
                yield

        self.world.steered = steered
        return self.world.sync(manner)

    @property
    def asked(self) -> list[str]:
        """Which files were asked for, in their order."""
        names = {number: path for path, number in self.ids.items()}
        return [names[each.file_id] for each in self.storage.asked]

    @property
    def parts(self) -> dict[str, int]:
        """How much of each file is kept in a part."""
        sizes = {}
        for path in self.paths:
            sha256 = self.world.wanted[path].files[0].sha256
            if sha256 in self.world.disk.parts:
                sizes[path] = len(self.world.disk.parts[sha256])
        return sizes


def only(*paths: str) -> frozenset[SafePath]:
    return frozenset(parse_path(path) for path in paths)


def seen(control: Control) -> dict[str, TransferView]:
    return {each.path: each for each in control.view().transfers}


def stages(control: Control) -> dict[str, Stage]:
    return {each.path: each.stage for each in control.view().transfers}


# --- the order --------------------------------------------------------------------------


def test_greater_priority_goes_first_then_what_is_small_then_by_path() -> None:
    world = EngineWorld(storage=StandingStorage())
    ids = {
        world.want("loras/z.bin", body(1, 10)): "small z",
        world.want("loras/large.bin", body(2, 90)): "large",
        world.want("loras/a.bin", body(3, 10)): "small a",
        world.want("loras/urgent.bin", body(4, 99), priority=5): "urgent",
        world.want("loras/later.bin", body(5, 1), priority=-1): "later",
    }
    world.sync(ONE)
    order = [ids[each.file_id] for each in world.storage.asked]
    assert order == ["urgent", "small a", "small z", "large", "later"]


def test_small_files_follow_one_another_in_one_errand() -> None:
    world = EngineWorld(storage=StandingStorage())
    for number in range(1, 41):
        world.want(f"loras/{number}.bin", body(number, 10))
    assert world.sync(Manner(jobs=2)).done == {"fetched": 40}
    # The first ones wait for the login and go on in another way.
    assert world.storage.errands <= 2 * 2
    assert len(world.storage.asked) == 40


def test_what_fails_in_an_errand_is_tried_again_and_the_others_follow() -> None:
    steering = Steering((A, B, C, D))
    steering.storage.faults[steering.ids[B]] = [Cut(30)]
    steering.storage.faults[steering.ids[C]] = [Cut(0)] * 99
    outcome = steering.world.sync(ONE)
    assert outcome.done == {"fetched": 3}
    assert codes_of(outcome) == {C: Code.CONNECTION_LOST}
    assert steering.asked == [A, B, B, *[C] * TRANSFER_ATTEMPTS, D]
    assert outcome.received == 3 * SIZE


def test_bytes_that_two_paths_need_do_not_come_in_two_errands_at_once() -> None:
    world = EngineWorld(storage=StandingStorage())
    for number, path in enumerate((A, B, C, D), start=1):
        world.want(path, body(7 if number > 2 else number, SIZE), model_id=number)
    assert world.sync(Manner(jobs=4)).done == {"fetched": 3, "restored": 1}
    assert len(world.storage.asked) == 3


def test_another_priority_puts_what_waits_in_another_order() -> None:
    steering = Steering((A, B, C, D))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Prioritize(paths=only(D), priority=2)) == 1
        assert control.obey(Prioritize(paths=only(B), priority=-1)) == 1
        assert control.obey(Prioritize(paths=only(B), priority=-1)) == 0
        assert seen(control)[D].priority == 2
        steering.go_on(A)

    assert steering.run(orders).exit is ExitCode.OK
    assert steering.asked == [A, D, C, B]


def test_a_priority_that_comes_and_goes_starts_no_file_twice() -> None:
    steering = Steering((A, B, C))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        for priority in (5, 0, 5, 0):
            control.obey(Prioritize(paths=only(B, C), priority=priority))
        steering.go_on(A)

    assert steering.run(orders).done == {"fetched": 3}
    assert steering.asked == [A, B, C]


# --- pausing and resuming -----------------------------------------------------------------


def test_what_waits_and_is_paused_is_passed_over_until_it_is_resumed() -> None:
    steering = Steering()
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Pause(paths=only(B))) == 1
        assert stages(control)[B] is Stage.PAUSED
        steering.go_on(A)
        await until(lambda: stages(control)[C] is Stage.DONE)
        await settle()
        assert control.obey(Resume(paths=only(B))) == 1

    assert steering.run(orders).done == {"fetched": 3}
    assert steering.asked == [A, C, B]
    assert steering.world.notes == ["paused", "resumed"]


def test_what_runs_and_is_paused_lets_others_go_on_and_keeps_its_bytes() -> None:
    steering = Steering((A, B))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Pause(paths=only(A))) == 1
        await until(lambda: stages(control)[B] is Stage.DONE)
        assert seen(control)[A].stage is Stage.PAUSED
        assert seen(control)[A].connections == 0
        assert steering.parts == {A: 40}
        steering.go_on(A)
        assert control.obey(Resume(paths=None)) == 1

    assert steering.run(orders).done == {"fetched": 2}
    assert steering.world.starts == [0, 0, 40]


@pytest.mark.parametrize("between", [0, 1, 2, 5], ids=lambda number: f"{number} steps between")
def test_resuming_at_once_what_is_not_out_of_its_last_try_yet_starts_it_once(
    between: int,
) -> None:
    steering = Steering((A, B))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        control.obey(Pause(paths=only(A)))
        for _ in range(between):
            await anyio.lowlevel.checkpoint()
        control.obey(Resume(paths=only(A)))
        steering.go_on(A)

    outcome = steering.run(orders, Manner(jobs=2))
    assert outcome.done == {"fetched": 2}
    assert steering.world.starts.count(0) == 2
    assert sorted(steering.world.starts)[2:] == [40]


def test_a_new_priority_for_what_is_not_out_of_its_last_try_does_not_run_it_twice() -> None:
    steering = Steering((A, B, C))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A) and len(steering.world.tree) == 2)
        control.obey(Pause(paths=None))
        control.obey(Resume(paths=None))
        control.obey(Prioritize(paths=only(A), priority=9))
        await until(lambda: steering.asked.count(A) == 2 and steering.stands(A))
        # Whoever ran it before must not have taken away what stops it now.
        assert control.obey(Pause(paths=None)) == 1
        await until(lambda: not steering.stands(A))
        assert control.obey(Resume(paths=None)) == 1
        steering.go_on(A)

    assert steering.run(orders, Manner(jobs=4)).done == {"fetched": 3}
    assert steering.world.starts == [0, 0, 0, 40, 40]


def test_all_paused_keeps_the_run_open_until_they_are_resumed() -> None:
    steering = Steering()
    steering.hold(A, B, C)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A, B))
        assert control.obey(Pause(paths=None)) == 3
        assert control.obey(Pause(paths=None)) == 0
        await settle()
        assert set(stages(control).values()) == {Stage.PAUSED}
        assert steering.world.tree == {}
        steering.go_on()
        await settle()
        assert control.obey(Resume(paths=None)) == 3
        assert control.obey(Resume(paths=None)) == 0

    assert steering.run(orders, Manner(jobs=2)).done == {"fetched": 3}


def test_stopping_the_run_while_all_is_paused_ends_it_and_keeps_the_parts() -> None:
    steering = Steering()
    steering.hold(A)
    world = steering.world

    async def main() -> bool:
        with anyio.CancelScope() as scope:

            @asynccontextmanager
            async def steered(control: Control) -> AsyncIterator[None]:
                async def orders() -> None:
                    await until(lambda: steering.stands(A))
                    control.obey(Pause(paths=None))
                    await settle()
                    scope.cancel()

                async with anyio.create_task_group() as group:
                    group.start_soon(orders)
                    yield

            world.steered = steered
            await world.run(ONE)
        return scope.cancelled_caught

    assert anyio.run(main)
    assert steering.parts == {A: 40}
    steering.go_on()
    world.steered = None
    assert world.sync().done == {"fetched": 3}
    assert sorted(world.starts) == [0, 0, 0, 40]


# --- cancelling ---------------------------------------------------------------------------


def test_what_is_cancelled_while_it_runs_drops_its_part_and_is_reported() -> None:
    steering = Steering()
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Cancel(paths=only(A))) == 1
        assert control.obey(Cancel(paths=only(A))) == 0
        await until(lambda: stages(control)[A] is Stage.CANCELLED)
        assert seen(control)[A].held == 0

    outcome = steering.run(orders)
    assert codes_of(outcome) == {A: Code.CANCELLED}
    assert outcome.exit is ExitCode.PARTIAL
    assert outcome.done == {"fetched": 2}
    assert steering.parts == {}
    steering.world.steered = None
    steering.go_on()
    assert steering.world.sync().done == {"fetched": 1}


def test_what_is_cancelled_while_it_waits_is_never_asked_for() -> None:
    steering = Steering()
    steering.hold(A)
    sha256 = steering.world.wanted[B].files[0].sha256
    steering.world.disk.parts[sha256] = body(2, SIZE)[:30]

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Cancel(paths=only(B))) == 1
        steering.go_on(A)

    assert codes_of(steering.run(orders)) == {B: Code.CANCELLED}
    assert steering.asked == [A, C]
    assert steering.parts == {}


def test_what_runs_goes_on_when_what_waits_is_cancelled_even_to_fail_fast() -> None:
    steering = Steering()
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Cancel(paths=only(C))) == 1
        await until(lambda: stages(control)[C] is Stage.CANCELLED)
        steering.go_on(A)

    outcome = steering.run(orders, Manner(jobs=1, fail_fast=True))
    assert outcome.done == {"fetched": 1}
    assert codes_of(outcome) == {C: Code.CANCELLED}


@pytest.mark.parametrize("running", [True, False], ids=["was running", "was waiting"])
def test_what_is_paused_can_be_cancelled(running: bool) -> None:
    steering = Steering((A, B))
    steering.hold(A)
    path = A if running else B

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        control.obey(Pause(paths=only(path)))
        await settle()
        assert control.obey(Cancel(paths=only(path))) == 1
        if not running:
            steering.go_on(A)

    outcome = steering.run(orders)
    assert codes_of(outcome) == {path: Code.CANCELLED}
    assert outcome.done == {"fetched": 1}
    assert steering.parts == {}


@pytest.mark.parametrize("late", [Pause(paths=None), Resume(paths=None)], ids=["pause", "resume"])
def test_what_is_cancelled_can_neither_be_paused_nor_resumed(late: Order) -> None:
    steering = Steering((A, B, C))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.obey(Cancel(paths=None)) == 3
        assert control.obey(late) == 0

    outcome = steering.run(orders)
    assert set(codes_of(outcome).values()) == {Code.CANCELLED}
    assert len(outcome.failures) == 3
    assert steering.parts == {}


def test_a_cancelled_file_whose_try_fails_at_that_moment_drops_its_part_all_the_same() -> None:
    dropped: list[str] = []
    failed: dict[str, Code] = {}

    async def main() -> None:
        async def fetch(_: Fetch | Replace, lane: Lane, follow: Follow) -> None:
            async with lane:
                try:
                    await anyio.sleep_forever()
                finally:
                    raise WireError(Code.CONNECTION_LOST, "it broke")

        async def drop(action: Fetch | Replace) -> None:
            dropped.append(action.want.file.path)

        work = Work(
            fetch=fetch,
            drop=drop,
            failed=lambda path, error: failed.update({path: error.code}),
            must_stop=lambda: False,
            limit=lambda _: None,
            report=lambda _: None,
        )
        downloads = Downloads(work=work, lines=Lines(FakeClock()), jobs=1)
        entry = locked_entry(locked_file(A, "a"))
        async with anyio.create_task_group() as group:
            group.start_soon(downloads.run, [Fetch(want=Want(entry=entry, file=entry.files[0]))])
            await until(lambda: stages(downloads).get(A) is Stage.RUNNING)
            await settle()
            assert downloads.obey(Cancel(paths=None)) == 1

    anyio.run(main)
    assert dropped == [A]
    assert failed == {A: Code.CANCELLED}


def test_a_failure_of_no_file_ends_the_run_instead_of_being_waited_for() -> None:
    lost = WireError(Code.CONNECTION_LOST, "it broke")

    async def main() -> None:
        async def fetch(_: Fetch | Replace, lane: Lane, follow: Follow) -> None:
            async with lane:
                follow.whole()
            raise lost

        async def drop(action: Fetch | Replace) -> None:
            raise NotImplementedError(action)

        work = Work(
            fetch=fetch,
            drop=drop,
            failed=lambda *_: None,
            must_stop=lambda: False,
            limit=lambda _: None,
            report=lambda _: None,
        )
        downloads = Downloads(work=work, lines=Lines(FakeClock()), jobs=1)
        entry = locked_entry(locked_file(A, "a"))
        await downloads.run([Fetch(want=Want(entry=entry, file=entry.files[0]))])

    with pytest.raises(BaseExceptionGroup) as caught:
        anyio.run(main)
    assert caught.group_contains(WireError, match="it broke")


# --- what orders do not change --------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        Pause(paths=only(A, B)),
        Resume(paths=only(A, B)),
        Cancel(paths=only(A, B)),
        Prioritize(paths=only(A, B), priority=7),
    ],
    ids=lambda order: type(order).__name__.lower(),
)
def test_orders_change_nothing_of_what_is_finished_or_failed(order: Order) -> None:
    steering = Steering((A, B, C))
    steering.storage.faults[steering.ids[B]] = [FlipBit(3)]
    steering.hold(C)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(C))
        await until(lambda: stages(control)[B] is Stage.FAILED)
        assert control.obey(order) == 0
        steering.go_on(C)

    outcome = steering.run(orders)
    assert outcome.done == {"fetched": 2}
    assert codes_of(outcome) == {B: Code.HASH_MISMATCH}


def test_orders_for_paths_that_nobody_has_change_nothing() -> None:
    steering = Steering((A,))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        strange = only("vae/strange.bin")
        assert control.obey(Pause(paths=strange)) == 0
        assert control.obey(Cancel(paths=strange)) == 0
        assert control.obey(Prioritize(paths=strange, priority=1)) == 0
        steering.go_on(A)

    assert steering.run(orders).done == {"fetched": 1}


def test_a_limit_reaches_the_wire_and_the_view() -> None:
    steering = Steering((A,))
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        assert control.view().limit_rate == 7
        assert control.obey(Limit(rate=5000)) == 0
        assert control.view().limit_rate == 5000
        control.obey(Limit(rate=None))
        assert control.view().limit_rate is None
        steering.go_on(A)

    steering.run(orders, Manner(limit_rate=7))
    assert steering.storage.limits == [5000, None]


def test_the_view_tells_what_is_held_received_and_how_many_connections() -> None:
    steering = Steering((A, B), priorities={A: 3})
    steering.world.disk.parts[steering.world.wanted[A].files[0].sha256] = body(1, SIZE)[:10]
    steering.hold(A)

    async def orders(control: Control) -> None:
        assert [each.path for each in control.view().transfers] == [A, B]
        await until(lambda: steering.stands(A))
        one, two = control.view().transfers
        assert (one.held, one.size, one.stage, one.priority) == (40, SIZE, Stage.RUNNING, 3)
        assert (one.connections, two.connections) == (1, 0)
        assert (two.stage, two.held) == (Stage.WAITING, 0)
        assert control.view().received == 30
        steering.go_on(A)

    steering.run(orders)


def test_bytes_that_came_twice_are_counted_twice_and_not_three_times() -> None:
    steering = Steering((A, B))
    # A part of another file: its rest comes, is found to be wrong, and the whole comes.
    steering.world.disk.parts[steering.world.wanted[A].files[0].sha256] = body(9, SIZE)[:60]
    steering.hold(B)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(B) and stages(control)[A] is Stage.DONE)
        assert control.view().received == 40 + SIZE + 40
        steering.go_on(B)

    assert steering.run(orders, Manner(jobs=2)).received == 40 + SIZE + SIZE


def test_what_came_before_a_pause_counts_for_the_file_and_what_failed_for_the_run() -> None:
    steering = Steering((A, B))
    steering.hold(A)
    steering.storage.faults[steering.ids[B]] = [FlipBit(3)]

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        control.obey(Pause(paths=only(A)))
        await until(lambda: stages(control)[B] is Stage.FAILED)
        steering.go_on(A)
        control.obey(Resume(paths=only(A)))

    outcome = steering.run(orders)
    done = [event for event in steering.world.events if isinstance(event, FileDone)]
    assert [(event.path, event.received) for event in done] == [(A, SIZE)]
    assert outcome.received == 2 * SIZE


# --- failures -----------------------------------------------------------------------------


def test_with_one_job_nothing_is_asked_for_after_the_quota_is_used_up() -> None:
    steering = Steering((A, B, C), priorities={A: 1})
    steering.world.source.failures[steering.ids[A]] = RegistryError(Code.QUOTA, "too much")
    outcome = steering.world.sync(ONE)
    assert codes_of(outcome) == {A: Code.QUOTA}
    assert steering.asked == []
    assert steering.world.notes == ["not-tried"]


def test_a_used_up_quota_ends_the_run_although_something_is_paused() -> None:
    steering = Steering((A, B, C))
    steering.hold(A)
    steering.world.source.failures[steering.ids[B]] = RegistryError(Code.QUOTA, "too much")

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        control.obey(Pause(paths=only(A, C)))

    assert codes_of(steering.run(orders)) == {B: Code.QUOTA}
    assert steering.parts == {A: 40}


def test_with_one_job_a_failed_file_stops_no_other() -> None:
    steering = Steering((A, B, C))
    steering.storage.faults[steering.ids[A]] = [FlipBit(3)]
    outcome = steering.world.sync(ONE)
    assert codes_of(outcome) == {A: Code.HASH_MISMATCH}
    assert outcome.done == {"fetched": 2}


@pytest.mark.parametrize("jobs", [1, 2])
def test_fail_fast_ends_what_runs_and_keeps_its_bytes(jobs: int) -> None:
    steering = Steering((A, B, C), priorities={A: 1})
    steering.hold(A, B)
    steering.storage.faults[steering.ids[B]] = [FlipBit(3)]

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        if jobs == 1:
            control.obey(Pause(paths=only(A)))
        await until(lambda: steering.stands(B))
        steering.go_on(B)

    outcome = steering.run(orders, Manner(jobs=jobs, fail_fast=True))
    assert codes_of(outcome) == {B: Code.HASH_MISMATCH}
    assert sorted(steering.asked) == [A, B]
    assert steering.parts == {A: 40}


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_a_file_that_comes_a_second_time_waits_for_no_place_that_nobody_uses(jobs: int) -> None:
    paths = tuple(parse_path(f"loras/{number}.bin") for number in range(jobs + 5))
    steering = Steering(paths, priorities={paths[-1]: -1})
    sha256 = steering.world.wanted[paths[-1]].files[0].sha256
    steering.world.disk.parts[sha256] = body(99, 60)
    assert steering.world.sync(Manner(jobs=jobs)).done == {"fetched": jobs + 5}


def test_two_paths_with_the_bytes_of_a_wrong_part_do_not_wait_for_each_other() -> None:
    world = EngineWorld()
    world.want(A, body(1))
    world.want(B, body(1), model_id=2)
    world.disk.parts[world.wanted[A].files[0].sha256] = body(9)[:60]
    assert world.sync(ONE).done == {"fetched": 1, "restored": 1}
    assert world.tree == {A: body(1), B: body(1)}


def test_a_second_path_of_bytes_that_are_coming_can_be_paused_and_cancelled() -> None:
    steering = Steering((A, B, C))
    steering.world.want(B, body(1, SIZE), model_id=2)
    steering.hold(A)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A))
        await until(lambda: stages(control)[B] is Stage.RUNNING)
        assert control.obey(Pause(paths=only(B))) == 1
        await until(lambda: stages(control)[C] is Stage.DONE)
        assert control.obey(Resume(paths=only(B))) == 1
        await until(lambda: stages(control)[B] is Stage.RUNNING)
        assert control.obey(Cancel(paths=only(B))) == 1
        steering.go_on(A)

    outcome = steering.run(orders, Manner(jobs=2))
    assert codes_of(outcome) == {B: Code.CANCELLED}
    assert outcome.done == {"fetched": 2}


# --- space ------------------------------------------------------------------------------


def test_free_space_is_looked_at_before_each_start() -> None:
    steering = Steering((A, B, C))
    steering.hold(A)
    disk = steering.world.disk
    disk.free = SPACE_MARGIN_BYTES + 3 * SIZE

    async def orders(_: Control) -> None:
        await until(lambda: steering.stands(A))
        disk.free = SIZE + 59  # 60 of them for the rest of the first
        steering.go_on(A)

    outcome = steering.run(orders)
    assert codes_of(outcome) == {B: Code.NO_SPACE, C: Code.NO_SPACE}
    assert outcome.exit is ExitCode.REFUSED
    assert steering.asked == [A]


def test_space_for_files_that_run_at_the_same_time_is_counted_together() -> None:
    steering = Steering((A, B, C))
    steering.hold(A, B)
    disk = steering.world.disk
    disk.free = SPACE_MARGIN_BYTES + 3 * SIZE

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(A, B))
        # What A and B still need is 60 each: nothing is left for C.
        disk.free = 120 + SIZE - 1
        steering.go_on(A)
        await until(lambda: stages(control)[C] in {Stage.FAILED, Stage.RUNNING, Stage.DONE})
        await settle()
        steering.go_on(B)

    outcome = steering.run(orders, Manner(jobs=2))
    assert codes_of(outcome) == {C: Code.NO_SPACE}
    assert sorted(steering.asked) == [A, B]


# --- small files that wait for their names --------------------------------------------------


def test_a_file_that_is_slow_to_come_keeps_no_other_from_its_name() -> None:
    steering = Steering((A, B, C))
    steering.hold(C)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(C))
        steering.world.clock.now += BATCH_WAIT_S
        await until(lambda: stages(control)[B] is Stage.DONE)
        assert set(steering.world.tree) == {A, B}
        steering.go_on(C)

    assert steering.run(orders).done == {"fetched": 3}


@pytest.mark.parametrize("order", [Pause(paths=only(A, B)), Cancel(paths=only(A, B))])
def test_a_file_that_waits_for_its_name_is_let_be(order: Pause | Cancel) -> None:
    steering = Steering((A, B, C))
    steering.hold(C)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(C))
        assert control.obey(order) == 0
        await settle()
        steering.go_on(C)

    assert steering.run(orders).done == {"fetched": 3}


def test_what_waits_for_its_name_gets_it_when_the_next_file_is_cancelled() -> None:
    steering = Steering((A, B, C))
    steering.hold(C)

    async def orders(control: Control) -> None:
        await until(lambda: steering.stands(C))
        assert control.obey(Cancel(paths=only(C))) == 1

    outcome = steering.run(orders)
    assert outcome.done == {"fetched": 2}
    assert codes_of(outcome) == {C: Code.CANCELLED}
