"""Recording hashes: each file once, never of spliced bytes, and nothing half-done is believed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import RegistryError
from civsync.core.events import Event, FileDone, FileStarted, Recording
from civsync.core.limits import SPACE_MARGIN_BYTES
from civsync.core.lock import LockedEntry
from civsync.demo.faults import Answer, Cut, IgnoreRange
from civsync.engine.network import Network
from civsync.engine.unverified import Recorded, record_hashes
from support.factories import remote_file, remote_model, remote_version
from support.fake_clock import FakeClock
from support.lock_values import locked_entry, locked_file
from support.memory_disk import MemoryDisk, MemoryParts, digests_of
from support.memory_source import MemorySource
from support.memory_storage import MemoryStorage

OLD, NEW = b"old " * 50, b"new!" * 50
SIZE = len(OLD)


def tag_of(data: bytes) -> str:
    return f'"{sha256(data).hexdigest()[:8]}"'


@dataclass
class Bench:
    """Entries without hashes, with upstream and disk in memory. One file an entry, id = model."""

    disk: MemoryDisk = field(default_factory=MemoryDisk)
    source: MemorySource = field(default_factory=MemorySource)
    storage: MemoryStorage = field(default_factory=lambda: MemoryStorage(tag=tag_of))
    entries: list[LockedEntry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def offer(self, number: int, data: bytes, *, name: str = "", blake3: str = "") -> None:
        """Let upstream have a file, and want it."""
        name = name or f"file{number}.bin"
        file = remote_file(number, name, size=len(data), sha256=None)
        version = remote_version(number, [file])
        self.source.models[number] = remote_model(number, [version])
        self.storage.bodies[number] = data
        self.entries.append(
            locked_entry(
                replace(
                    locked_file(name, "unknown", sha256=""),
                    name=name,
                    size=len(data),
                    model_id=number,
                    version_id=number,
                    file_id=number,
                    hashes={"BLAKE3": blake3} if blake3 else {},
                ),
                key=f"{number}@latest",
            )
        )

    def record(self) -> Recorded:
        """Run it with a new source and new parts, as the next run of civsync would."""

        def report(event: Event) -> None:
            self.events.append(event)

        parts = MemoryParts(self.disk)
        network = Network(
            source=MemorySource(models=self.source.models, failures=self.source.failures),
            transport=self.storage,
            clock=FakeClock(),
            report=report,
        )

        async def work() -> Recorded:
            return await record_hashes(self.entries, network, parts, parts)

        return anyio.run(work)

    @property
    def started_with(self) -> list[int]:
        """How much was held already, for every file that was begun."""
        return [event.held for event in self.events if isinstance(event, FileStarted)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def hashes_of(recorded: Recorded) -> list[str]:
    return [file.sha256 for entry in recorded.entries for file in entry.files]


def codes_of(recorded: Recorded) -> list[Code]:
    return [error.code for _, error in recorded.failures]


def test_what_arrives_is_recorded_and_kept_for_the_sync(bench: Bench) -> None:
    bench.offer(1, OLD)
    bench.offer(2, NEW)
    recorded = bench.record()
    assert hashes_of(recorded) == [digests_of(OLD).sha256, digests_of(NEW).sha256]
    assert bench.disk.parts == {digests_of(data).sha256: data for data in (OLD, NEW)}
    assert bench.events[0] == Recording(files=2, size=2 * SIZE)
    assert [e.how for e in bench.events if isinstance(e, FileDone)] == ["recorded"] * 2


def test_a_known_hash_stays_and_its_file_is_not_asked_for(bench: Bench) -> None:
    bench.offer(1, OLD)
    bench.entries[0] = replace(
        bench.entries[0],
        files=tuple(replace(file, sha256="a" * 64) for file in bench.entries[0].files),
    )
    assert hashes_of(bench.record()) == ["a" * 64]
    assert bench.storage.asked == []


def test_a_file_of_two_entries_is_downloaded_once(bench: Bench) -> None:
    bench.offer(1, OLD)
    bench.entries.append(replace(bench.entries[0], key="1@1"))
    assert hashes_of(bench.record()) == [digests_of(OLD).sha256] * 2
    assert len([e for e in bench.events if isinstance(e, FileDone)]) == 1


def test_only_the_hash_is_recorded(bench: Bench) -> None:
    bench.offer(1, OLD)
    [entry], [before] = bench.record().entries, bench.entries
    assert replace(entry.files[0], sha256="") == before.files[0]


@pytest.mark.parametrize("cuts", [1, 5, 20])
def test_a_broken_connection_is_gone_on_from_under_the_same_tag(bench: Bench, cuts: int) -> None:
    bench.offer(1, OLD)
    bench.storage.faults[1] = [None, *[Cut(9)] * cuts]
    assert hashes_of(bench.record()) == [digests_of(OLD).sha256]
    ranged = [asked.headers for asked in bench.storage.asked if asked.start]
    assert [headers["if-range"] for headers in ranged] == [tag_of(OLD)] * cuts


def interrupt(bench: Bench) -> None:
    """Run until the API does not answer any more, half-way through the file."""
    bench.storage.faults[1] = [None, Cut(80), *[Answer(500)] * 20]
    assert codes_of(bench.record()) == [Code.SERVER_ERROR]
    bench.storage.faults.clear()
    bench.events.clear()


def test_the_next_run_goes_on_with_the_same_file(bench: Bench) -> None:
    bench.offer(1, OLD)
    interrupt(bench)
    assert hashes_of(bench.record()) == [digests_of(OLD).sha256]
    assert bench.started_with == [80]


@pytest.mark.parametrize("tag", [tag_of, lambda _: "", lambda _: 'W/"weak"'])
def test_two_files_are_never_spliced_into_one(bench: Bench, tag: Callable[[bytes], str]) -> None:
    bench.storage.tag = tag
    bench.offer(1, OLD)
    interrupt(bench)
    bench.storage.bodies[1] = NEW
    assert hashes_of(bench.record()) == [digests_of(NEW).sha256]
    assert bench.started_with == [0]


@pytest.mark.parametrize("obeys", [True, False], ids=["If-Range obeyed", "If-Range ignored"])
def test_a_file_that_is_replaced_while_it_comes_is_begun_anew(bench: Bench, obeys: bool) -> None:
    bench.offer(1, OLD)
    bench.storage.obeys_conditions = obeys
    tags = iter([OLD, OLD])

    def tag(data: bytes) -> str:
        # The head was seen and the first bytes came; then somebody uploads another file.
        shown = tag_of(next(tags, NEW))
        if shown != tag_of(OLD):
            bench.storage.bodies[1] = NEW
        return shown

    bench.storage.tag = tag
    bench.storage.faults[1] = [None, Cut(80)]
    assert hashes_of(bench.record()) == [digests_of(NEW).sha256]


def test_without_a_tag_every_try_begins_anew(bench: Bench) -> None:
    bench.storage.tag = lambda _: ""
    bench.offer(1, OLD)
    bench.storage.faults[1] = [None, Cut(80), IgnoreRange()]
    assert hashes_of(bench.record()) == [digests_of(OLD).sha256]
    assert [asked.start for asked in bench.storage.asked] == [0, 0, 0]


def test_a_server_with_another_file_each_time_is_given_up(bench: Bench) -> None:
    bench.offer(1, OLD)
    numbers = iter(range(1000))
    bench.storage.tag = lambda _: f'"{next(numbers)}"'
    recorded = bench.record()
    assert codes_of(recorded) == [Code.REPLY_MALFORMED]
    assert len(bench.storage.asked) < 20


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.safetensors", b"\x80\x02}q\x00." * 20, Code.FORMAT_MISMATCH),
        ("a.safetensors", b"<!doctype html><html>log in</html>", Code.NOT_A_MODEL),
        ("a.gguf", OLD, Code.FORMAT_MISMATCH),
    ],
    ids=["pickle", "page", "no gguf"],
)
def test_what_the_name_does_not_promise_is_not_recorded(
    bench: Bench, name: str, data: bytes, code: Code
) -> None:
    bench.offer(1, data, name=name)
    recorded = bench.record()
    assert codes_of(recorded) == [code]
    assert hashes_of(recorded) == [""]
    assert [each.reason for each in bench.disk.quarantine] == ["wrong format"]
    assert bench.disk.parts == {}


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1])
def test_another_size_than_the_published_one_is_refused(bench: Bench, size: int) -> None:
    bench.offer(1, OLD)
    bench.storage.bodies[1] = bytes(size)
    assert codes_of(bench.record()) == [Code.SIZE_MISMATCH]


def test_a_page_instead_of_the_file_is_refused(bench: Bench) -> None:
    bench.offer(1, OLD)
    page = Answer(200, (("Content-Type", "text/html"),), b"<html>log in</html>")
    bench.storage.faults[1] = [page] * 20
    assert codes_of(bench.record()) == [Code.NOT_A_MODEL]
    assert bench.disk.parts == {}


def test_a_published_blake3_must_fit(bench: Bench) -> None:
    bench.offer(1, OLD, blake3=digests_of(OLD).blake3)
    bench.offer(2, OLD, blake3=digests_of(NEW).blake3)
    recorded = bench.record()
    assert recorded.failures[0][0] == "2@latest"
    assert codes_of(recorded) == [Code.HASH_MISMATCH]
    assert len(bench.disk.quarantine) == 1


def test_one_failure_records_nothing_and_the_next_run_downloads_the_rest(bench: Bench) -> None:
    bench.offer(1, OLD)
    bench.offer(2, NEW)
    bench.source.failures[2] = RegistryError(Code.LOGIN_NEEDED, "log in")
    recorded = bench.record()
    assert (hashes_of(recorded), codes_of(recorded)) == (["", ""], [Code.LOGIN_NEEDED])
    bench.source.failures.clear()
    bench.events.clear()
    assert "" not in hashes_of(bench.record())
    assert sum(e.received for e in bench.events if isinstance(e, FileDone)) == len(NEW)


@pytest.mark.parametrize("tag", [tag_of, lambda _: ""], ids=["tagged", "untagged"])
def test_a_whole_part_of_an_earlier_run_may_be_of_another_file(
    bench: Bench, tag: Callable[[bytes], str]
) -> None:
    bench.storage.tag = tag
    bench.offer(1, OLD)
    bench.offer(2, NEW)
    bench.source.failures[2] = RegistryError(Code.LOGIN_NEEDED, "log in")
    bench.record()
    bench.source.failures.clear()
    bench.storage.bodies[1] = NEW
    assert hashes_of(bench.record()) == [digests_of(NEW).sha256] * 2


def test_a_used_up_quota_stops_all(bench: Bench) -> None:
    for number in range(1, 30):
        bench.offer(number, OLD)
        bench.source.failures[number] = RegistryError(Code.QUOTA, "enough for today")
    recorded = bench.record()
    assert set(codes_of(recorded)) == {Code.QUOTA}
    assert len(recorded.failures) < 29


def test_space_is_checked_before_the_first_byte(bench: Bench) -> None:
    bench.offer(1, OLD)
    bench.disk.free = SPACE_MARGIN_BYTES + SIZE - 1
    assert codes_of(bench.record()) == [Code.NO_SPACE]
    assert bench.disk.writes == 0
    bench.disk.free += 1
    assert codes_of(bench.record()) == []
