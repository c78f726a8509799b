"""Every byte of a receipt and of a lock is changed, each to a few others, and a sync is run.

Whatever comes of it: nothing outside the root is written, no byte gets a name under which
some lock does not want it, no library is given up without the flag, and what civsync did
not place stays as it is. Reading the changed text fails, or what it says is true enough.
"""

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, SafetyError
from civsync.core.lock import Lock
from civsync.core.plan import Action, Blocked, Move, Protected, Release, Retire
from civsync.decide.guard import AllowPrune, check_prune
from civsync.decide.plan import wanted_files
from civsync.disk.ledger import DiskLedger
from civsync.disk.parts import DiskParts
from civsync.disk.root import CONTROL, NOTES, RECEIPT, open_root
from civsync.disk.store import DiskStore
from civsync.disk.trash import TRASH
from civsync.disk.trash_can import DiskTrashCan
from civsync.documents.lock import read_lock, write_lock
from civsync.engine.fetch import Outside
from civsync.engine.run import Manner, carry_out
from civsync.engine.space import Spare, check_space
from civsync.engine.world import look
from support.engine_world import EngineWorld, Ports, body

ONE, TWO, NEW, THREE, MINE = (body(number, 30 + number) for number in range(5))

STRANGER = "loras/c.bin"
"""One bit away from a name of ours, `loras/b.bin`."""

LINK = "lorar"
"""One bit away from the directory of ours, and leads out of the root to a like one."""

SPECIAL = b'"\\/.{}[],:0az \x00\xff'


@dataclass
class World:
    """A root with three files of ours, one of a stranger's, and a link that leads out of it."""

    engine: EngineWorld
    box: Path
    done: set[str] = field(default_factory=set)
    """Plans that were carried out: each is once, however many changes lead to it."""

    @property
    def root(self) -> Path:
        return self.box / "models"

    @property
    def receipt(self) -> Path:
        return self.root / CONTROL / RECEIPT

    def ports(self) -> Ports:
        root = open_root(self.root, state_dir=self.box / "state")
        return Ports(
            store=DiskStore(root),
            parts=DiskParts(root),
            ledger=DiskLedger(root),
            trash=DiskTrashCan(root),
        )

    def sync(self, lock: Lock) -> Code | None:
        """Sync as the command does, without a flag; returns why the run as a whole failed."""
        try:
            anyio.run(self._sync, lock)
        except CivsyncError as error:
            return error.code
        return None

    async def _sync(self, lock: Lock) -> None:
        ports = self.ports()
        world = look(lock, ports.store, ports.ledger, self.engine.take, jobs=1)
        check_prune(world.plan, world.receipt, AllowPrune(0))
        told = str([_told(action) for action in world.plan.actions])
        if told in self.done:
            return
        self.done.add(told)
        if world.learned:
            ports.ledger.commit(world.receipt)
        spare = Spare(trash=ports.trash, lock=lock, report=self.engine.take, allowed=False)
        check_space(world.plan, ports.parts, spare)
        outside = Outside(
            source=self.engine.source,
            transport=self.engine.storage,
            store=ports.store,
            parts=ports.parts,
            ledger=ports.ledger,
            clock=self.engine.clock,
            report=self.engine.take,
        )
        await carry_out(world.plan, world.receipt, outside, Manner(jobs=1))

    def tree(self) -> dict[str, bytes]:
        found = {}
        for folder, folders, names in os.walk(self.root):
            if CONTROL in folders:
                folders.remove(CONTROL)
            for name in names:
                path = Path(folder, name)
                found[path.relative_to(self.root).as_posix()] = path.read_bytes()
        return found

    def around(self) -> dict[str, bytes]:
        """Return everything outside the root."""
        found = (path for path in self.box.rglob("*") if path.is_file())
        return {str(p): p.read_bytes() for p in found if self.root not in p.parents}

    def restore(self, tree: dict[str, bytes], receipt: bytes) -> None:
        """Put files and receipt back as they were."""
        now = self.tree()
        for path in now.keys() - tree.keys():
            (self.root / path).unlink()
        for path, data in tree.items():
            if now.get(path) != data:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / path).write_bytes(data)
        (self.root / CONTROL / NOTES).unlink(missing_ok=True)
        shutil.rmtree(self.root / TRASH, ignore_errors=True)
        self.receipt.write_bytes(receipt)


@pytest.fixture
def world(tmp_path: Path) -> World:
    engine, box = EngineWorld(), tmp_path / "box"
    world = World(engine=engine, box=box)
    open_root(world.root, state_dir=box / "state").establish()
    for model_id, (path, data) in enumerate(
        [("loras/a.bin", ONE), ("loras/b.bin", TWO), ("vae/d.bin", THREE)], start=1
    ):
        engine.want(path, data, model_id=model_id)
    assert world.sync(engine.lock) is None
    (world.root / STRANGER).write_bytes(MINE)
    outside = box / "outside"
    outside.mkdir()
    for path, data in (("a.bin", ONE), ("b.bin", TWO)):
        (outside / path).write_bytes(data)
    (world.root / LINK).symlink_to(outside)
    return world


def mutants(text: bytes) -> Iterator[bytes]:
    """Change each byte: by one bit, as rot does, and into something that has a meaning."""
    chance = random.Random(len(text))
    for at, byte in enumerate(text):
        others = {byte ^ 1, chance.choice(SPECIAL)} - {byte}
        for other in sorted(others):
            yield text[:at] + bytes([other]) + text[at + 1 :]


def changed_lock(world: World) -> Lock:
    """Return a lock that drops one of the files, and has another version of a second one."""
    engine = world.engine
    del engine.wanted["vae/d.bin"]
    engine.want("loras/b.bin", NEW, model_id=4)
    return engine.lock


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def require_promises(world: World, before: dict[str, bytes], lock: Lock) -> None:
    after = world.tree()
    assert after.get(STRANGER) == MINE
    assert {path for path in after if path.startswith(LINK)} == set()
    wanted = {str(path): want.file.sha256 for path, want in wanted_files(lock).items()}
    for path, data in after.items():
        assert data == before.get(path) or sha256(data) == wanted.get(path), path
    here = set(after.values())
    ours = {path for path in before if path != STRANGER}
    gone = {path for path in ours if path not in after and before[path] not in here}
    assert gone != ours, "everything was given up"


@pytest.mark.parametrize("emptied", [False, True], ids=["changed lock", "emptied lock"])
def test_no_changed_byte_of_a_receipt_gives_power_over_what_is_not_ours(
    emptied: bool, world: World
) -> None:
    lock = Lock() if emptied else changed_lock(world)
    receipt, before, around = world.receipt.read_bytes(), world.tree(), world.around()
    refused = ran = 0
    codes = set()
    for mutant in mutants(receipt):
        world.receipt.write_bytes(mutant)
        try:
            believed = world.ports().ledger.read()
        except SafetyError as error:
            codes.add(error.code)
            refused += 1
            continue
        ran += 1
        failure = world.sync(lock)
        require_promises(world, before, lock)
        if emptied:
            assert failure is Code.PRUNE_GUARD or not any(path in before for path in believed.owned)
        world.restore(before, receipt)
    assert world.around() == around
    assert len(world.done) >= (1 if emptied else 5)
    assert codes == {Code.STATE_DAMAGED}
    assert refused > 100
    assert ran > 100


def test_no_changed_byte_of_a_lock_gives_a_wrong_file_a_name(world: World) -> None:
    lock = changed_lock(world)
    text = write_lock(lock)
    receipt, before, around = world.receipt.read_bytes(), world.tree(), world.around()
    refused = ran = 0
    meant = _effect(lock)
    for mutant in mutants(text):
        try:
            changed = read_lock(mutant)
        except CivsyncError:
            refused += 1
            continue
        if _effect(changed) == meant:
            continue
        ran += 1
        world.sync(changed)
        require_promises(world, before, changed)
        world.restore(before, receipt)
    assert world.around() == around
    assert refused > 100
    assert ran > 100


def _told(action: Action) -> tuple[object, ...]:
    """Return what an action would do, and to what."""
    match action:
        case Retire(owned=owned) | Release(owned=owned) | Protected(owned=owned):
            return type(action).__name__, owned.path, owned.sha256
        case Move(want=want, source=source):
            return "Move", source.path, want.path, want.file.sha256
        case Blocked(want=want, error=error):
            return "Blocked", want.path, error.code
        case _:
            file = action.want.file
            return type(action).__name__, file.path, file.sha256, file.size, file.file_id


def _effect(lock: Lock) -> object:
    return [
        (
            *(entry.key, entry.protect),
            *(file.path, file.size, file.sha256, file.model_id, file.version_id, file.file_id),
        )
        for entry, file in lock.files()
    ]
