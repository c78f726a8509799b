"""What every Parts promises: received bytes are kept, counted, and never trusted blindly."""

import hashlib
import threading
from pathlib import Path

import blake3
import pytest

from civsync.core.codes import Code
from civsync.core.errors import DiskError, IntegrityError, SafetyError
from civsync.core.limits import PIECES_KEPT
from civsync.core.names import parse_path
from civsync.core.ranges import Ranges
from civsync.ports import Parts
from support.disk_worlds import KINDS, World, make_world
from support.publishing import publish_part

DATA = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()
SIZE = len(DATA)
PATH = parse_path("vae/a.safetensors")


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return make_world(request.param, tmp_path)


@pytest.fixture
def parts(world: World) -> Parts:
    return world.parts


def test_a_new_part_holds_nothing(parts: Parts) -> None:
    assert parts.held().get(SHA256, 0) == 0
    with parts.claim(SHA256, SIZE) as part:
        assert part.done.total == 0
        assert part.head(16) == b""


@pytest.mark.parametrize("step", [1 << 20, 65_537, 4096], ids=str)
def test_digests_are_those_of_the_bytes_in_any_pieces(parts: Parts, step: int) -> None:
    buffers = [bytearray(step) for _ in range(PIECES_KEPT + 1)]
    with parts.claim(SHA256, SIZE) as part:
        for number, start in enumerate(range(0, SIZE, step)):
            piece = DATA[start : start + step]
            # The receiver uses its buffers again: what was given long ago must be taken.
            buffer = buffers[number % len(buffers)]
            buffer[: len(piece)] = piece
            part.write(memoryview(buffer)[: len(piece)], part.done.prefix)
        digests = part.digests()
    assert (digests.sha256, digests.size) == (SHA256, SIZE)
    assert digests.blake3 == blake3.blake3(DATA).hexdigest()


def test_digests_may_be_asked_for_on_the_way(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA[:3_000_000], part.done.prefix)
        assert part.digests().sha256 == hashlib.sha256(DATA[:3_000_000]).hexdigest()
        part.write(DATA[3_000_000:], part.done.prefix)
        assert part.digests().sha256 == SHA256


@pytest.mark.timeout(20)
def test_bytes_close_behind_a_gap_do_not_wait_for_it(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA[:1_500_000], 0)
        part.write(DATA[1_600_000:3_000_000], 1_600_000)
        part.write(DATA[1_500_000:1_600_000], 1_500_000)
        part.write(DATA[3_000_000:], 3_000_000)
        assert part.digests().sha256 == SHA256


def test_what_was_received_is_there_for_the_next_run(world: World) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(DATA[:1_500_000], part.done.prefix)
    later = world.again().parts
    assert later.held().get(SHA256, 0) == 1_500_000
    with later.claim(SHA256, SIZE) as part:
        assert part.done.total == 1_500_000
        assert part.head(4) == DATA[:4]
        part.write(DATA[1_500_000:], part.done.prefix)
        assert part.digests().sha256 == SHA256


def test_what_was_received_is_kept_when_the_run_fails(world: World) -> None:
    def fail() -> None:
        with world.parts.claim(SHA256, SIZE) as part:
            part.write(DATA[:1000], part.done.prefix)
            raise IntegrityError(Code.SIZE_MISMATCH, "the body ended")

    with pytest.raises(IntegrityError):
        fail()
    assert world.again().parts.held().get(SHA256, 0) == 1000


def test_a_byte_beyond_the_size_is_refused(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA, part.done.prefix)
        with pytest.raises(IntegrityError) as error:
            part.write(b"!", part.done.prefix)
        assert part.digests().sha256 == SHA256
    assert error.value.code is Code.SIZE_MISMATCH


def test_restart_forgets_everything(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE) as part:
        part.write(b"a login page" * 100_000, part.done.prefix)
        part.restart()
        assert part.done.total == 0
        part.write(DATA, part.done.prefix)
        assert part.digests().sha256 == SHA256


def test_a_part_that_is_longer_than_the_file_is_begun_anew(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE + 10) as part:
        part.write(DATA + b"0123456789", part.done.prefix)
    with parts.claim(SHA256, SIZE) as part:
        assert part.done.total == 0


def test_one_holder_at_a_time(parts: Parts) -> None:
    with (
        parts.claim(SHA256, SIZE),
        pytest.raises(DiskError) as error,
        parts.claim(SHA256, SIZE),
    ):
        pass
    assert error.value.code is Code.ROOT_BUSY


@pytest.mark.parametrize("name", ["", "../../etc/passwd", SHA256.upper(), SHA256[:-1], "z" * 64])
def test_only_a_sha256_names_a_part(parts: Parts, name: str) -> None:
    with pytest.raises(SafetyError) as error, parts.claim(name, SIZE):
        pass
    assert error.value.code is Code.UNSAFE_PATH


def test_a_quarantined_part_is_out_of_the_way(world: World) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(b"\0" * SIZE, part.done.prefix)
        place = world.parts.quarantine(part, "the hash is another one")
    assert "quarantine" in place
    assert world.again().parts.held().get(SHA256, 0) == 0


def test_quarantine_is_looked_through_by_content(world: World) -> None:
    wrong = b"\0" * SIZE
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(wrong, part.done.prefix)
        world.parts.quarantine(part, "the hash is another one")
    assert world.parts.salvage(SHA256, SIZE, []) == ""
    assert world.parts.salvage(hashlib.sha256(wrong).hexdigest(), SIZE, []) == "restored"


def test_a_known_file_is_copied_and_stays(world: World) -> None:
    world.put(PATH, DATA)
    gone = parse_path("vae/gone.safetensors")
    assert world.parts.salvage(SHA256, SIZE, [gone, PATH]) == "restored"
    with world.parts.claim(SHA256, SIZE) as part:
        assert (part.done.total, part.digests().sha256) == (SIZE, SHA256)
    assert world.read(PATH) == DATA


@pytest.mark.parametrize("candidate", ["vae/gone", "vae/short", "vae"])
def test_nothing_is_made_out_of_the_wrong_thing(world: World, candidate: str) -> None:
    world.put("vae/short", b"short")
    assert world.parts.salvage(SHA256, SIZE, [parse_path(candidate)]) == ""
    assert world.parts.held().get(SHA256, 0) == 0


def test_a_whole_part_needs_no_salvage(world: World) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(DATA, part.done.prefix)
    assert world.parts.salvage(SHA256, SIZE, []) == "restored"
    assert world.parts.held().get(SHA256, 0) == SIZE


def test_free_space_is_a_number_of_bytes(parts: Parts) -> None:
    assert parts.free_bytes() > 0


# --- out of order ---------------------------------------------------------------------------


def test_bytes_may_come_in_any_order_and_with_holes(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA[3_000_000:4_000_000], 3_000_000)
        assert part.done == Ranges(((3_000_000, 4_000_000),))
        part.write(DATA[:1_000_000], 0)
        assert part.done == Ranges(((0, 1_000_000), (3_000_000, 4_000_000)))
        part.write(DATA[1_000_000:3_000_000], 1_000_000)
        assert part.done == Ranges.prefix_of(4_000_000)
        part.write(DATA[4_000_000:], 4_000_000)
        assert part.done == Ranges.prefix_of(SIZE)
        assert part.digests().sha256 == SHA256


def test_digests_and_head_are_those_of_the_bytes_before_the_first_hole(parts: Parts) -> None:
    with parts.claim(SHA256, SIZE) as part:
        part.write(DATA[2_000_000:], 2_000_000)
        assert (part.digests().size, part.head(16)) == (0, b"")
        part.write(DATA[:1_500_000], 0)
        digests = part.digests()
        assert digests.size == 1_500_000
        assert digests.sha256 == hashlib.sha256(DATA[:1_500_000]).hexdigest()
        assert part.head(4_000_000) == DATA[:1_500_000]
        part.write(DATA[1_500_000:2_000_000], 1_500_000)
        assert part.digests().sha256 == SHA256


def test_what_came_out_of_order_is_there_for_the_next_run_and_counted(world: World) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(DATA[:1000], 0)
        part.write(DATA[2_000_000:3_000_000], 2_000_000)
    later = world.again().parts
    assert later.held()[SHA256] == 1_001_000
    assert later.salvage(SHA256, SIZE, []) == ""
    with later.claim(SHA256, SIZE) as part:
        assert part.done == Ranges(((0, 1000), (2_000_000, 3_000_000)))
        part.write(DATA[4_000_000:], 4_000_000)
    later = world.again().parts
    assert later.held()[SHA256] == 1_001_000 + SIZE - 4_000_000
    with later.claim(SHA256, SIZE) as part:
        for start, end in tuple(part.done.gaps(SIZE)):
            part.write(DATA[start:end], start)
        assert part.digests().sha256 == SHA256
        publish_part(world.again().store, part, PATH)
    assert world.read(PATH) == DATA


def test_what_has_no_holes_any_more_is_a_plain_part_again(world: World) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(DATA[2_000_000:], 2_000_000)
    with world.again().parts.claim(SHA256, SIZE) as part:
        part.write(DATA[:2_000_000], 0)
    later = world.again().parts
    assert later.held()[SHA256] == SIZE
    assert later.salvage(SHA256, SIZE, []) == "restored"
    with later.claim(SHA256, SIZE) as part:
        assert part.done == Ranges.prefix_of(SIZE)
        assert part.digests().sha256 == SHA256


def test_what_came_out_of_order_can_be_named(world: World) -> None:
    with world.blind.claim_unnamed("a", SIZE) as part:
        part.write(DATA[2_000_000:], 2_000_000)
        part.write(DATA[:2_000_000], 0)
    world.blind.name_it("a", SHA256)
    assert world.again().parts.salvage(SHA256, SIZE, [])
    with world.parts.claim(SHA256, SIZE) as part:
        assert part.digests().sha256 == SHA256


def test_a_whole_copy_takes_the_place_of_what_came_out_of_order(world: World) -> None:
    world.put(PATH, DATA)
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(DATA[2_000_000:], 2_000_000)
    assert world.parts.salvage(SHA256, SIZE, [PATH]) == "restored"
    with world.again().parts.claim(SHA256, SIZE) as part:
        assert part.done == Ranges.prefix_of(SIZE)
        assert part.digests().sha256 == SHA256


def test_restart_forgets_what_came_out_of_order(world: World) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(b"?" * 1000, 0)
        part.write(b"?" * 1_000_000, 3_000_000)
        part.restart()
        assert part.done == Ranges()
        part.write(DATA[:500], 0)
    assert world.again().parts.held()[SHA256] == 500
    with world.again().parts.claim(SHA256, SIZE) as part:
        part.write(DATA[500:], 500)
        assert part.digests().sha256 == SHA256


@pytest.mark.parametrize("at", [SIZE - 10, SIZE, SIZE + 1_000_000], ids=["over", "at", "behind"])
def test_a_byte_beyond_the_size_is_refused_wherever_it_begins(world: World, at: int) -> None:
    with world.parts.claim(SHA256, SIZE) as part:
        part.write(DATA[1_000_000:2_000_000], 1_000_000)
        with pytest.raises(IntegrityError) as error:
            part.write(b"?" * 11, at)
        assert part.done == Ranges(((1_000_000, 2_000_000),))
    assert error.value.code is Code.SIZE_MISMATCH
    with world.again().parts.claim(SHA256, SIZE) as part:
        assert part.done == Ranges(((1_000_000, 2_000_000),))


@pytest.mark.parametrize("step", [100_000, 1 << 20], ids=str)
def test_several_threads_write_at_places_apart(world: World, step: int) -> None:
    threads = 4
    length = SIZE // threads
    failures: list[BaseException] = []
    with world.parts.claim(SHA256, SIZE) as part:
        together = threading.Barrier(threads)

        def work(number: int) -> None:
            start, end = number * length, (number + 1) * length
            buffers = [bytearray(step) for _ in range(PIECES_KEPT + 1)]
            together.wait()
            try:
                for turn, at in enumerate(range(start, end, step)):
                    piece = DATA[at : min(end, at + step)]
                    buffer = buffers[turn % len(buffers)]
                    buffer[: len(piece)] = piece
                    part.write(memoryview(buffer)[: len(piece)], at)
            except BaseException as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failures == []
        assert part.done == Ranges.prefix_of(SIZE)
        assert part.digests().sha256 == SHA256
    with world.again().parts.claim(SHA256, SIZE) as part:
        assert part.digests().sha256 == SHA256
