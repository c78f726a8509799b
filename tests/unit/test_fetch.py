"""One file's way to its name, against every way in which the other side may misbehave."""

from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, WireError
from civsync.core.events import FileProgress, FileStarted, Paused
from civsync.core.exits import ExitCode
from civsync.core.limits import (
    FRESH_URLS,
    KIB,
    RETRY_AFTER_CAP_S,
    TRANSFER_ATTEMPTS,
    TRANSFER_PATIENCE_S,
)
from civsync.demo.faults import (
    Answer,
    Cut,
    Excess,
    ExpireUrls,
    FlipBit,
    IgnoreRange,
    WrongRange,
)
from civsync.engine.run import Manner
from support.engine_world import EngineWorld, body, codes_of, error_at
from support.memory_source import MemorySource
from support.memory_storage import Fault, MemoryStorage

PATH = "loras/a.bin"
DATA = body(1)
PAGE = Answer(200, (("Content-Type", "text/html"), ("Content-Length", "9")), b"<html>log")
BUSY = Answer(503, (("Retry-After", "7"),))


def world_with(*faults: Fault, data: bytes = DATA) -> EngineWorld:
    world = EngineWorld()
    file_id = world.want(PATH, data)
    world.storage.faults[file_id] = list(faults)
    return world


def test_a_fetched_file_is_whole_owned_and_settled() -> None:
    world = world_with()
    outcome = world.sync()
    assert outcome.done == {"fetched": 1}
    assert outcome.received == len(DATA)
    assert world.tree == {PATH: DATA}
    assert world.disk.notes == []
    assert world.see().settled


@pytest.mark.parametrize(
    ("faults", "starts"),
    [
        pytest.param([Cut(40)], [0, 40], id="cut"),
        pytest.param([Cut(40), Cut(1), Cut(58)], [0, 40, 41, 99], id="cut three times"),
        pytest.param([Cut(0), Cut(0), None], [0, 0, 0], id="no byte came"),
        pytest.param([Cut(40), IgnoreRange()], [0, 40], id="200 for the range"),
        pytest.param([Cut(40), Answer(416)], [0, 40, 0], id="416 drops the part"),
        pytest.param([Cut(40), WrongRange("bytes 0-99/100")], [0, 40, 40], id="wrong range"),
        pytest.param(
            [Cut(40), WrongRange(None), WrongRange("bytes 40-99/100x")],
            [0, 40, 40, 0],
            id="wrong range twice drops the part",
        ),
        pytest.param([BUSY], [0, 0], id="503"),
        pytest.param([Answer(429)], [0, 0], id="429"),
        pytest.param([Answer(408), Answer(500), Answer(425)], [0] * 4, id="408 500 425"),
        pytest.param([Cut(40), ExpireUrls()], [0, 40, 40], id="expired in the middle"),
    ],
)
def test_what_can_be_mended_is_mended_in_one_run(faults: list[Fault], starts: list[int]) -> None:
    world = world_with(*faults)
    assert world.sync().exit is ExitCode.OK
    assert world.tree == {PATH: DATA}
    assert world.starts == starts


def test_a_cut_is_resumed_at_the_same_address_and_expiry_at_a_fresh_one() -> None:
    world = world_with(Cut(30), Cut(30), ExpireUrls())
    world.sync()
    urls = [asked.url for asked in world.storage.asked]
    assert urls[0] == urls[1] == urls[2] != urls[3]
    assert world.source.located == {100: 2}
    assert world.starts == [0, 30, 60, 60]


def test_a_file_that_changed_between_two_pieces_is_fetched_once_afresh() -> None:
    world = world_with(Cut(40), FlipBit(90), None)
    outcome = world.sync()
    assert outcome.exit is ExitCode.OK
    assert world.starts == [0, 40, 0]
    assert world.notes == ["part-dropped"]
    assert outcome.received == 2 * len(DATA)
    assert world.tree == {PATH: DATA}


def test_a_part_of_an_older_file_is_dropped_for_one_fresh_try() -> None:
    world = world_with()
    sha256 = world.wanted[PATH].files[0].sha256
    world.disk.parts[sha256] = body(2, 60)
    assert world.sync().exit is ExitCode.OK
    assert world.starts == [60, 0]
    assert world.tree == {PATH: DATA}


def test_the_fresh_try_is_the_last_even_if_it_comes_in_pieces() -> None:
    world = world_with(Cut(40), FlipBit(90), Cut(10), FlipBit(90), None)
    outcome = world.sync()
    assert codes_of(outcome) == {PATH: Code.HASH_MISMATCH}
    assert world.starts == [0, 40, 0, 10]
    assert world.tree == {}


def test_wrong_bytes_from_zero_go_to_quarantine_and_both_hashes_are_told() -> None:
    world = world_with(FlipBit(50))
    outcome = world.sync()
    error = error_at(outcome, PATH)
    wanted = world.wanted[PATH].files[0].sha256
    assert (error.code, error.exit) == (Code.HASH_MISMATCH, ExitCode.INTEGRITY)
    assert error.data["expected"] == wanted
    assert str(error.data["received"]) in error.message
    assert wanted in error.message
    assert str(error.data["kept_at"]).startswith(".civsync/quarantine/")
    assert world.starts == [0]
    assert world.tree == {}
    assert [each.reason for each in world.disk.quarantine] == ["wrong SHA-256"]
    assert world.disk.parts == {}


def test_bytes_under_a_name_that_promises_another_kind_go_to_quarantine() -> None:
    world = EngineWorld()
    world.want("loras/a.safetensors", DATA)
    outcome = world.sync()
    assert outcome.exit is ExitCode.INTEGRITY
    assert world.tree == {}
    assert len(world.disk.quarantine) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(PAGE, Code.NOT_A_MODEL, id="a page"),
        pytest.param(
            Answer(200, (("Content-Encoding", "gzip"), ("Content-Length", "100")), DATA),
            Code.NOT_A_MODEL,
            id="gzip",
        ),
        pytest.param(
            Answer(200, (("Content-Length", "99"),), DATA[:99]), Code.SIZE_MISMATCH, id="shorter"
        ),
        pytest.param(
            Answer(200, (("Content-Length", "101"),), DATA + b"x"), Code.SIZE_MISMATCH, id="longer"
        ),
        pytest.param(Excess(1), Code.SIZE_MISMATCH, id="one byte too many"),
        pytest.param(Excess(100_000), Code.SIZE_MISMATCH, id="far too many"),
    ],
)
def test_a_body_that_cannot_be_the_file_fails_at_once(fault: Fault, code: Code) -> None:
    world = world_with(fault)
    outcome = world.sync()
    assert codes_of(outcome) == {PATH: code}
    assert outcome.exit is ExitCode.INTEGRITY
    assert len(world.storage.asked) == 1
    assert world.tree == {}
    assert world.clock.slept == []


def test_the_next_run_goes_on_where_a_refused_body_left_the_part() -> None:
    world = world_with(Cut(40), PAGE)
    world.sync()
    assert world.sync().exit is ExitCode.OK
    assert world.starts == [0, 40, 40]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(Answer(500), Code.SERVER_ERROR, id="500"),
        pytest.param(Answer(403), Code.URL_EXPIRED, id="403"),
        pytest.param(Cut(0), Code.CONNECTION_LOST, id="nothing"),
        pytest.param(Answer(418), Code.REPLY_MALFORMED, id="418"),
    ],
)
def test_tries_without_a_new_byte_are_bounded(fault: Fault, code: Code) -> None:
    world = world_with(*[fault] * 100)
    outcome = world.sync()
    assert codes_of(outcome) == {PATH: code}
    assert outcome.exit is ExitCode.TEMPORARY
    assert len(world.storage.asked) == TRANSFER_ATTEMPTS


def test_tries_that_bring_bytes_are_not_bounded_by_their_number() -> None:
    world = world_with(*[Cut(1)] * 99)
    assert world.sync().exit is ExitCode.OK
    assert world.starts == list(range(100))


def test_a_server_that_makes_us_start_over_and_over_is_given_up() -> None:
    around: list[Fault] = [Cut(40), Answer(416)]
    world = world_with(*around * 50)
    assert world.sync().exit is ExitCode.TEMPORARY
    assert len(world.storage.asked) <= 2 * TRANSFER_ATTEMPTS


def test_fresh_addresses_are_bounded_because_each_counts_against_the_quota() -> None:
    dying: list[Fault] = [Cut(1), ExpireUrls()]
    world = world_with(*dying * 60)
    outcome = world.sync()
    assert codes_of(outcome) == {PATH: Code.URL_EXPIRED}
    assert world.source.located[100] == FRESH_URLS + 1
    assert world.disk.parts  # kept for the next run


def test_a_pause_that_a_host_asks_for_is_waited_for_by_all_its_files() -> None:
    world = world_with(BUSY)
    world.want("loras/b.bin", body(2))
    world.sync(Manner(jobs=1))
    assert [event.seconds for event in world.events if isinstance(event, Paused)] == [7.0]
    assert sum(world.clock.slept) >= 7.0


def test_a_longer_pause_than_people_wait_for_ends_the_file_with_the_time() -> None:
    world = world_with(Answer(429, (("Retry-After", str(int(RETRY_AFTER_CAP_S) + 1)),)))
    error = error_at(world.sync(), PATH)
    assert error.code is Code.RATE_LIMITED
    assert "2 min" in error.message
    assert len(world.storage.asked) == 1


def test_a_file_for_which_nothing_came_for_long_is_given_up_before_its_tries_are_used_up() -> None:
    pause = RETRY_AFTER_CAP_S - 1
    slow = Answer(429, (("Retry-After", str(int(pause))),))
    world = world_with(Cut(40), *[slow] * 100)
    began = world.clock.now
    error = error_at(world.sync(), PATH)
    assert error.code is Code.RATE_LIMITED
    assert len(world.storage.asked) < 1 + TRANSFER_ATTEMPTS
    assert TRANSFER_PATIENCE_S - pause < world.clock.now - began <= TRANSFER_PATIENCE_S + pause


def test_bytes_that_come_between_long_pauses_start_the_patience_anew() -> None:
    slow = Answer(429, (("Retry-After", str(int(RETRY_AFTER_CAP_S - 1))),))
    bit: list[Fault] = [slow, slow, slow, Cut(20)]
    world = world_with(*bit * 5)
    began = world.clock.now
    assert world.sync().exit is ExitCode.OK
    assert world.clock.now - began > 2 * TRANSFER_PATIENCE_S


def test_backoff_grows_and_starts_anew_when_bytes_came() -> None:
    world = world_with(Cut(0), Cut(0), Cut(5), Cut(0))
    world.sync()
    assert world.clock.slept == [0.375, 0.75, 0.375, 0.375]


def test_redirects_of_the_storage_host_are_followed_but_not_for_ever() -> None:
    around = Answer(302, (("Location", "https://storage.test/10/100?again"),))
    assert world_with(around, around).sync().exit is ExitCode.OK
    world = world_with(*[around] * 20)
    assert codes_of(world.sync()) == {PATH: Code.BAD_REDIRECT}
    assert len(world.storage.asked) == 6


@dataclass
class Door(MemorySource):
    """A source that counts the checks of the login, and may refuse."""

    refusal: CivsyncError | None = None
    checks: int = 0

    async def check_login(self) -> str | None:
        self.checks += 1
        await anyio.lowlevel.checkpoint()
        if self.refusal is not None:
            raise self.refusal
        return "somebody"


def world_behind(door: Door) -> EngineWorld:
    world = EngineWorld(source=door)
    for number in (1, 2, 3):
        world.storage.faults[world.want(f"loras/{number}.bin", body(number))] = [Cut(3), Cut(3)]
    return world


def test_the_login_is_checked_once_for_all_tries_and_files() -> None:
    door = Door()
    assert world_behind(door).sync().exit is ExitCode.OK
    assert door.checks == 1


@pytest.mark.parametrize(
    "refusal",
    [
        RegistryError(Code.TOKEN_REFUSED, "nobody's key"),
        WireError(Code.UNREACHABLE, "no connection"),
    ],
    ids=lambda error: error.code,
)
def test_a_login_that_fails_fails_the_run_without_another_request(refusal: CivsyncError) -> None:
    door = Door(refusal=refusal)
    world = world_behind(door)
    outcome = world.sync()
    assert outcome.exit is refusal.exit
    assert set(codes_of(outcome).values()) == {refusal.code}
    assert door.checks == 1
    assert door.located == {}
    assert world.storage.asked == []


def test_offline_takes_what_is_on_the_disk_and_asks_nothing() -> None:
    world = world_with()
    world.want("loras/b.bin", body(2))
    sha256 = world.wanted[PATH].files[0].sha256
    world.disk.parts[sha256] = DATA
    outcome = world.sync(Manner(offline=True))
    assert codes_of(outcome) == {"loras/b.bin": Code.OFFLINE}
    assert outcome.done == {"restored": 1}
    assert world.tree == {PATH: DATA}
    assert world.source.located == {}


def test_an_empty_file_needs_no_request() -> None:
    world = world_with(data=b"")
    assert world.sync().exit is ExitCode.OK
    assert world.tree == {PATH: b""}
    assert world.storage.asked == []


def test_progress_is_told_from_what_was_held_to_the_whole() -> None:
    world = world_with()
    world.disk.parts[world.wanted[PATH].files[0].sha256] = DATA[:30]
    world.sync()
    started = next(event for event in world.events if isinstance(event, FileStarted))
    told = [event.held for event in world.events if isinstance(event, FileProgress)]
    assert (started.held, started.size) == (30, 100)
    assert told[-1] == 100
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("ignored", "starts", "received"),
    [
        pytest.param(1, [0, 3, 3], 4, id="one of many servers"),
        pytest.param(2, [0, 3, 3], 3 + 4, id="every server"),
    ],
)
def test_much_is_not_thrown_away_for_the_first_reply_that_ignores_the_range(
    ignored: int, starts: list[int], received: int
) -> None:
    half = 512 * KIB
    world = EngineWorld(storage=MemoryStorage(chunk=64 * KIB))
    file_id = world.want("loras/a.bin", bytes(range(256)) * (4 * half // 256))
    world.storage.faults[file_id] = [Cut(3 * half), *[IgnoreRange()] * ignored]
    outcome = world.sync()
    assert outcome.done == {"fetched": 1}
    assert [each.start for each in world.storage.asked] == [at * half for at in starts]
    assert outcome.received == received * half
