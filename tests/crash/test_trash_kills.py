"""kill -9 at each system call that changes the disk while a file comes back from trash.

Whatever the moment, the file is whole in the tree or whole in trash, whoever else has a name
is left alone, and a sync without the network is all it takes to have it there and ours.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.disk.ledger import DiskLedger
from civsync.disk.root import open_root
from support.published import faults
from support.shop import Shop, open_shop
from support.strace import KILLED, need_strace, run_to_kill, run_traced

pytestmark = pytest.mark.crash

KIB = 1024
ZERO, ONE = "loras/m0.safetensors", "loras/m1.safetensors"

EVERY = {"linkat": 1, "unlinkat": 1, "renameat": 1, "fdatasync": 1, "fsync": 2, "write": 2}
"""System calls, and which share of them is tried."""

LEAST = {"linkat": 1, "unlinkat": 4, "renameat": 1, "fdatasync": 1, "fsync": 2, "write": 2}
"""How many kills each has to come to, or nothing was tried."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A synced tree of two files, and beside its lock one that wants the first alone."""
    need_strace()
    with open_shop(tmp_path_factory.mktemp("shop") / "project") as opened:
        one, two = opened.stocked(3 * KIB, 5 * KIB)
        opened.want(one)
        assert opened.project.run("lock", "--lock", "less.lock").status == 0
        opened.want(one, two)
        yield opened


@pytest.mark.fault("4.3/kill", "out of trash")
@pytest.mark.parametrize(
    ("call", "step"),
    [
        *EVERY.items(),
        *(pytest.param(call, 1, marks=pytest.mark.sweep) for call in ("fsync", "write")),
    ],
)
def test_a_kill_at_every_step_of_a_restoration_loses_nothing(
    shop: Shop, call: str, step: int
) -> None:
    whole, kill = shop.tree, 1
    assert sorted(whole) == [ZERO, ONE]
    while True:
        dropped = shop.project.call("sync", "--frozen", "--lock", "less.lock", "--offline")
        assert dropped.status == 0, dropped.err
        assert sorted(shop.tree) == [ZERO]
        shop.served.reset_counts()
        inject = f"{call}:signal=KILL:when={kill}"
        ran = run_to_kill(shop.project, "trash", "restore", ONE, inject=inject)
        assert shop.tree.items() <= whole.items()
        assert ONE in shop.tree or whole[ONE] in shop.trash()
        if ran.status != KILLED:
            assert ran.status == 0, ran.err
            assert kill > step * LEAST[call], f"{call} was hardly ever reached"
            break
        ended = shop.project.call("sync", "--frozen", "--offline")
        assert ended.status == 0, ended.err
        require_ours(shop, whole)
        kill += step
    require_ours(shop, whole)
    assert shop.served.requests == []


def require_ours(shop: Shop, whole: dict[str, bytes]) -> None:
    assert shop.tree == whole
    state = Path(shop.project.environment["XDG_STATE_HOME"]) / "civsync"
    owned = DiskLedger(open_root(shop.project.root, state_dir=state)).read().owned
    assert sorted(owned) == [ZERO, ONE]
    assert os.stat(shop.project.root / ONE).st_nlink == 1 or shop.trash()


def test_one_file_that_cannot_be_deleted_does_not_keep_the_others(tmp_path: Path) -> None:
    need_strace()
    with open_shop(tmp_path / "project") as shop:
        one, *_ = shop.stocked(KIB, KIB, KIB)
        shop.want(one)
        assert shop.project.call("sync").status == 0
        # The first name that is removed is that of the file that proves the root writable.
        inject = "unlinkat:error=EIO:when=2"
        words = ("trash", "empty", "--yes", "--json")
        ran = run_traced(shop.project, *words, inject=inject)
        assert ran.status == 1
        assert faults(ran.json) == []
        (failed,) = ran.json["failed"]
        assert failed["error"]["code"] == "disk-failed"
        assert (len(ran.json["files"]), ran.json["freed"]) == (1, KIB)
        (left,) = shop.project.call("trash", "list", "--json").json["files"]
        assert left["id"] == failed["id"]
