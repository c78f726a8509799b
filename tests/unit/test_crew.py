"""One leads, others help: whoever fails, the bytes that came stay and the rest is dealt anew."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, DiskError, IntegrityError, WireError
from civsync.core.ranges import Ranges
from civsync.engine.reception import AloneError, ReplacedError, StartOverError
from support.scripted_crew import ScriptedCrew, settle, until

pytestmark = pytest.mark.timeout(20)  # a lost wake-up is a wait without end

LOST = WireError(Code.CONNECTION_LOST, "it broke")
REFUSED = WireError(Code.URL_EXPIRED, "the storage host answered 403")
FULL = DiskError(Code.NO_SPACE, "the disk is full")
PAGE = IntegrityError(Code.NOT_A_MODEL, "a page")


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    anyio.run(test)


@asynccontextmanager
async def led(scripted: ScriptedCrew, *, helpers: int = 0) -> AsyncIterator[list[CivsyncError]]:
    """Let the crew receive, with these helpers; yields the failures of the leader, if any."""
    failures: list[CivsyncError] = []

    async def lead() -> None:
        try:
            async with scripted.crew.gathered():
                await scripted.crew.lead()
        except CivsyncError as error:
            failures.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(lead)
        await until(lambda: scripted.open)
        for _ in range(helpers):
            scripted.crew.call()
            await until(lambda: len(scripted.open) == scripted.crew.lines)
        yield failures
    assert scripted.pieces.leases == ()
    assert scripted.crew.helpers == 0
    assert scripted.crew.room == 0
    assert scripted.open == []


async def bring_the_rest(scripted: ScriptedCrew) -> None:
    """Let everything come that is asked for."""
    while scripted.open:
        await scripted.open[0].bring(1000)


def test_alone_one_asks_for_everything_once() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted):
            assert scripted.spans == [(0, 100)]
            await scripted.open[0].bring(60)
            await scripted.open[0].bring(40)
        assert scripted.whole
        assert scripted.asked == [(0, 100)]

    run(main)


def test_alone_one_asks_for_each_hole() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        for start, end in ((0, 10), (50, 60)):
            scripted.part.write(scripted.data[start:end], start)
        async with led(scripted):
            await bring_the_rest(scripted)
        assert scripted.whole
        assert scripted.asked == [(10, 50), (60, 100)]

    run(main)


def test_who_is_called_takes_what_follows_a_shortened_piece() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted):
            await scripted.open[0].bring(5)
            scripted.crew.call()
            await settle()
            assert scripted.spans == [(5, 15), (15, 25)]
            assert scripted.crew.lines == 2
            await bring_the_rest(scripted)
        assert scripted.whole
        assert scripted.reception.received == 100

    run(main)


def test_who_is_called_when_the_whole_file_begins_to_come_takes_nothing_of_it() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted):
            scripted.crew.call()
            scripted.reception.whole = True
            scripted.open[0].lease.end = 100
            await settle()
            assert scripted.spans == [(0, 100)]
            await bring_the_rest(scripted)
        assert scripted.whole
        assert scripted.asked == [(0, 100)]

    run(main)


def test_pieces_are_as_long_as_the_rate_of_a_connection_says() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        scripted.crew.rate = 10.0
        async with led(scripted, helpers=2):
            assert scripted.spans == [(0, 20), (20, 40), (40, 60)]
            await bring_the_rest(scripted)
        assert scripted.whole

    run(main)


def test_no_more_are_called_than_may_help_and_none_for_a_small_file() -> None:
    async def main() -> None:
        scripted = ScriptedCrew(most=3)
        async with led(scripted, helpers=2):
            scripted.crew.call()
            await settle()
            assert (len(scripted.open), scripted.crew.room) == (3, 0)
            await bring_the_rest(scripted)
        small = ScriptedCrew(size=49)
        async with led(small):
            assert small.crew.room == 0
            small.crew.call()
            await settle()
            assert small.spans == [(0, 49)]
            await bring_the_rest(small)
        assert small.whole

    run(main)


def test_at_the_end_what_is_left_of_a_long_piece_is_shared() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=1):
            one, two = scripted.open
            while len(scripted.asked) < 10:
                await one.bring(10) if one.lease.left else None
                one = next(each for each in scripted.open if each is not two)
            # The helper has its first piece still, and the leader the last one.
            assert scripted.spans == [(10, 20), (90, 100)]
            await one.bring(10)
            assert scripted.spans == [(10, 15), (15, 20)]
            await two.bring(5)
            await settle()
            await bring_the_rest(scripted)
        assert scripted.whole
        assert scripted.reception.received == 100

    run(main)


@pytest.mark.parametrize(
    "error",
    [LOST, REFUSED, FULL, PAGE, AloneError(), StartOverError(), ReplacedError("tag")],
    ids=lambda error: type(error).__name__ + getattr(error, "code", ""),
)
def test_a_helper_that_fails_gives_its_piece_back_and_only_for_a_broken_one_another_may_come(
    error: BaseException,
) -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=2) as failures:
            assert scripted.spans == [(0, 10), (10, 20), (20, 30)]
            await scripted.open[1].bring(4)
            await scripted.open[1].fail(error)
            assert len(scripted.open) == 2
            assert (scripted.crew.room > 0) is (error is LOST)
            assert scripted.part.done == Ranges(((10, 14),))
            await scripted.open[0].bring(10)
            assert (14, 20) in scripted.spans
            await bring_the_rest(scripted)
        assert failures == []
        assert scripted.whole
        assert scripted.reception.received == 100

    run(main)


@pytest.mark.parametrize("error", [LOST, FULL, PAGE, REFUSED], ids=lambda error: error.code)
def test_a_leader_that_fails_alone_raises_its_own_error(error: CivsyncError) -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted) as failures:
            await scripted.open[0].bring(30)
            await scripted.open[0].fail(error)
        assert failures == [error]
        assert scripted.part.done == Ranges.prefix_of(30)

    run(main)


@pytest.mark.parametrize("error", [LOST, FULL, PAGE], ids=lambda error: error.code)
def test_a_leader_that_gives_up_ends_its_helpers_and_keeps_what_they_brought(
    error: CivsyncError,
) -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=3) as failures:
            await scripted.open[2].bring(7)
            await scripted.open[0].fail(error)
        assert failures == [error]
        assert scripted.part.done == Ranges(((20, 27),))

    run(main)


def test_what_a_replaced_file_raises_comes_out_as_it_is() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        replaced = ReplacedError("tag")

        async def work() -> None:
            async with scripted.crew.gathered():
                await settle()
                raise replaced

        with pytest.raises(ReplacedError) as caught:
            await work()
        assert caught.value is replaced

    run(main)


def test_while_a_leader_waits_for_its_next_try_its_helpers_go_on() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with scripted.crew.gathered():

            async def lead() -> None:
                with pytest.raises(WireError):
                    await scripted.crew.lead()

            async with anyio.create_task_group() as group:
                group.start_soon(lead)
                await until(lambda: scripted.open)
                scripted.crew.call()
                await until(lambda: len(scripted.open) == 2)
                await scripted.open[0].fail(LOST)
            await bring_the_rest(scripted)
            assert scripted.crew.missing == 0
            await scripted.crew.lead()
        assert scripted.whole

    run(main)


def test_a_leader_that_gets_the_whole_file_sends_the_others_away_and_asks_anew() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=2) as failures:
            await scripted.open[0].bring(3)
            await scripted.open[0].fail(AloneError())
            assert scripted.spans == [(3, 100)]
            assert (scripted.crew.helpers, scripted.crew.room) == (0, 0)
            await bring_the_rest(scripted)
        assert failures == []
        assert scripted.whole

    run(main)


@pytest.mark.parametrize("helpers", [0, 2])
def test_a_server_that_cannot_go_on_makes_the_leader_forget_everything(helpers: int) -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=helpers) as failures:
            for connection in scripted.open:
                connection.todo.append(5)
            await settle()
            await scripted.open[0].fail(StartOverError())
            await until(lambda: failures)
        assert [error.code for error in failures] == [Code.CONNECTION_LOST]
        assert scripted.part.done == Ranges()

    run(main)


def test_a_leader_whose_address_is_refused_steps_back_while_it_serves_others() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=1) as failures:
            leader, helper = scripted.open
            await leader.fail(REFUSED)
            assert failures == []
            assert scripted.open == [helper]
            while scripted.open:
                await scripted.open[0].bring(10)
        assert failures == []
        assert scripted.whole

    run(main)


def test_a_leader_that_stepped_back_leads_again_when_a_helper_is_gone() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=1) as failures:
            await scripted.open[0].fail(REFUSED)
            await scripted.open[0].fail(LOST)
            assert scripted.spans == [(0, 100)]
            await scripted.open[0].fail(REFUSED)
        assert failures == [REFUSED]

    run(main)


def test_an_address_that_has_expired_for_all_is_found_out() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=3) as failures:
            while scripted.open:
                await scripted.open[-1].fail(REFUSED)
        assert failures == [REFUSED]

    run(main)


def test_who_is_sent_away_leaves_its_bytes_and_its_piece() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=3):
            await scripted.open[3].bring(4)
            scripted.crew.dismiss(5)
            assert scripted.crew.helpers == 0
            await settle()
            assert scripted.spans == [(0, 10)]
            assert scripted.crew.room == 3
            await bring_the_rest(scripted)
        assert scripted.whole
        assert scripted.reception.received == 100

    run(main)


def test_the_last_who_came_is_the_first_who_goes() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        async with led(scripted, helpers=2):
            scripted.crew.dismiss(1)
            assert scripted.crew.lines == 2
            await settle()
            assert scripted.spans == [(0, 10), (10, 20)]
            await bring_the_rest(scripted)
        assert scripted.whole

    run(main)


def test_a_cancellation_from_outside_ends_all_and_leaves_nothing() -> None:
    async def main() -> None:
        scripted = ScriptedCrew()
        with anyio.CancelScope() as scope:
            async with led(scripted, helpers=3):
                await scripted.open[1].bring(4)
                scope.cancel()
                await settle()
        assert scope.cancelled_caught
        assert scripted.open == []
        assert scripted.pieces.leases == ()
        assert scripted.part.done == Ranges(((10, 14),))

    run(main)
