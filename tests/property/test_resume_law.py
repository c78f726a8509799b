"""Resumed equals fresh: however a download is cut into pieces, the file is the same.

Faults and the ends of runs are chosen by hypothesis; the engine runs on the twins, and on
a real disk. A name holds the whole file or nothing at every moment between two runs.
"""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from civsync.core.exits import ExitCode
from civsync.demo.faults import (
    Answer,
    Cut,
    Excess,
    ExpireUrls,
    FlipBit,
    IgnoreRange,
    WrongRange,
)
from support.disk_worlds import real_world
from support.engine_world import EngineWorld, Ports, body
from support.memory_disk import MemoryDisk
from support.memory_storage import Fault

PATH = "loras/a.bin"
SIZE = 300
END_OF_RUN = Answer(200, (("Content-Type", "text/html"),), b"<html>")
"""Ends a run at once, and leaves the part as it is."""

CUTS = st.builds(Cut, st.integers(0, SIZE))
FAULTS = st.one_of(
    CUTS,
    st.just(IgnoreRange()),
    st.just(ExpireUrls()),
    st.just(WrongRange(None)),
    st.just(WrongRange("bytes 0-0/1")),
    st.sampled_from([Answer(416), Answer(500), Answer(503), Answer(403)]),
    st.builds(FlipBit, st.integers(0, SIZE - 1)),
    st.builds(Excess, st.integers(1, 50)),
    st.none(),
)
RUNS = st.lists(st.lists(FAULTS, max_size=6), max_size=4)


def finish(world: EngineWorld) -> None:
    """Run without faults; a part that was spoiled on the way may cost one run more."""
    world.storage.faults.clear()
    if world.sync().exit is not ExitCode.OK:
        assert world.sync().exit is ExitCode.OK


@given(
    cuts=st.lists(st.lists(CUTS, max_size=8), max_size=4),
    size=st.integers(0, SIZE),
    chunk=st.integers(1, SIZE),
)
def test_cut_into_any_pieces_every_byte_is_received_once_and_in_its_place(
    cuts: list[list[Cut]], size: int, chunk: int
) -> None:
    world = EngineWorld()
    world.storage.chunk = chunk
    data = body(3, size)
    file_id = world.want(PATH, data)
    received = 0
    for faults in [*cuts, []]:
        world.storage.faults[file_id] = [*faults, END_OF_RUN] if faults else []
        received += world.sync().received
    assert world.tree == {PATH: data}
    starts = world.starts
    assert starts == sorted(starts)
    assert received <= size


@settings(deadline=None)  # a byte at a time takes as long as it takes
@given(runs=RUNS, chunk=st.integers(1, SIZE))
@example(runs=[[Cut(150), FlipBit(200)]], chunk=10)
@example(runs=[[Cut(150)], [IgnoreRange()], [Cut(10), Answer(416)]], chunk=7)
@example(runs=[[Excess(1)]], chunk=299)
def test_whatever_the_faults_the_file_is_the_locked_one_or_not_there(
    runs: list[list[Fault]], chunk: int
) -> None:
    world = EngineWorld()
    world.storage.chunk = chunk
    data = body(4, SIZE)
    file_id = world.want(PATH, data)
    for faults in runs:
        world.storage.faults[file_id] = [*faults, END_OF_RUN]
        world.sync()
        assert world.tree in ({}, {PATH: data})
    finish(world)
    assert world.tree == {PATH: data}
    assert world.see().settled


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(runs=RUNS)
def test_the_same_holds_on_a_real_disk(runs: list[list[Fault]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk = real_world(Path(folder), plain=False)

        def ports(_disk: MemoryDisk) -> Ports:
            again = disk.again()
            return Ports(
                store=again.store, parts=again.parts, ledger=again.ledger, trash=again.trash
            )

        world = EngineWorld(adapters=ports)
        data = body(5, SIZE)
        file_id = world.want(PATH, data)
        for faults in runs:
            world.storage.faults[file_id] = [*faults, END_OF_RUN]
            world.sync()
            assert disk.read(PATH) in (None, data)
        finish(world)
        assert disk.read(PATH) == data
        assert list((Path(folder) / "models" / ".civsync" / "parts").iterdir()) == []
