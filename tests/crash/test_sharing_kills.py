"""kill -9 at each step of taking files over, from this root or another: none is lost or spoiled."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.bodies import read
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from support.shop import Shop, only_file, open_shop
from support.strace import KILLED, need_strace, run_to_kill
from support.two_roots import Machine, two_roots

pytestmark = pytest.mark.crash

SWEEP = pytest.mark.sweep

KIB = 1024


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    need_strace()
    with two_roots(tmp_path, 20 * KIB, 30 * KIB) as made:
        yield made


@pytest.mark.fault("4.3/kill", "from another root")
@pytest.mark.parametrize(
    ("mode", "call", "least"),
    [
        ("hardlink", "linkat", 3),
        ("copy", "renameat", 3),
        pytest.param("hardlink", "unlinkat", 3, marks=SWEEP),
        pytest.param("hardlink", "renameat", 1, marks=SWEEP),
        pytest.param("copy", "linkat", 1, marks=SWEEP),
    ],
)
def test_a_kill_while_files_come_from_another_root_spoils_neither(
    machine: Machine, mode: str, call: str, least: int
) -> None:
    right = machine.one.tree
    words = ("sync", "--frozen", "--link", mode, "--jobs", "1", "--new-root")
    project, kill = machine.other.project, 0
    status = KILLED
    while status == KILLED:
        kill += 1
        shutil.rmtree(project.root, ignore_errors=True)
        status = run_to_kill(project, *words, inject=f"{call}:signal=KILL:when={kill}").status
        assert machine.one.tree == right
        assert machine.other.tree.items() <= right.items()
        # Killed before the new root was remembered, the next run has to be told once more.
        ended = machine.sync_other("--link", mode, "--new-root")
        assert ended.status == 0, ended.ran.err
        assert machine.one.tree == machine.other.tree == right
        assert machine.other.parts() == []
    assert status == 0
    assert kill > least, f"{call} was hardly ever reached"
    assert machine.asked == 0
    assert machine.one.project.call("verify").status == 0


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    need_strace()
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.mark.fault("4.3/kill", "files taken over")
@pytest.mark.parametrize(
    ("call", "least"),
    [
        ("linkat", 3),
        ("renameat", 2),
        pytest.param("unlinkat", 3, marks=SWEEP),
        pytest.param("fdatasync", 1, marks=SWEEP),
        pytest.param("mkdirat", 2, marks=SWEEP),
    ],
)
def test_a_kill_while_files_are_taken_over_loses_none_and_the_next_run_owns_them(
    shop: Shop, call: str, least: int
) -> None:
    models = shop.offer(KIB, 2 * KIB)
    shop.locked(*models)
    bodies = [read(only_file(model).body) for model in models]
    root = shop.project.root
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    wanted = {f"loras/m{number}.safetensors": data for number, data in enumerate(bodies)}
    kill, status = 0, KILLED
    while status == KILLED:
        kill += 1
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
        for number, data in enumerate(bodies):
            place = root / f"old {number}/mine.bin"
            place.parent.mkdir(parents=True)
            place.write_bytes(data)
        inject = f"{call}:signal=KILL:when={kill}"
        words = ("adopt", "--all", "--move")
        status = run_to_kill(shop.project, *words, inject=inject).status
        assert set(bodies) <= set(shop.tree.values())
        ran = shop.project.call(*words)
        assert ran.status == 0, ran.err
        assert {name: data for name, data in shop.tree.items() if name in wanted} == wanted
        assert set(shop.tree.values()) == set(bodies)
        owned = DiskLedger(open_root(root, state_dir=state)).read().owned
        assert set(owned) == set(wanted)
        assert shop.sync("--frozen", "--offline").done == {}
    assert status == 0
    assert kill > least, f"{call} was hardly ever reached"
