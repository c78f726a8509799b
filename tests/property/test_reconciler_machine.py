"""A state machine over the real reconciler: edits, hands, faults, kills, and what must hold.

Whatever somebody does to lock, tree, upstream and disk, and wherever a run ends: a final name
holds what some lock wanted there, or what its owner put there, untouched; a sync that went
through changes nothing when repeated and asks for nothing; nobody loses a library to an
edit; and when all troubles are over one plain sync is all that it takes.

The machine runs over the twins in memory, and over the real adapters on a real disk.
"""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from civsync.core.codes import Code
from civsync.core.disk import Receipt
from civsync.core.errors import CivsyncError, RegistryError, SafetyError
from civsync.core.events import Event
from civsync.core.exits import ExitCode
from civsync.core.limits import PRUNE_FILES, PRUNE_SHARE
from civsync.decide.guard import AllowPrune, check_prune
from civsync.demo.faults import Answer, Cut, Excess, ExpireUrls, FlipBit, IgnoreRange, WrongRange
from civsync.disk.ledger import DiskLedger
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root
from civsync.disk.store import DiskStore
from civsync.disk.trash_can import DiskTrashCan
from civsync.engine.fetch import Outside
from civsync.engine.run import Manner, Outcome, carry_out
from civsync.engine.space import Spare, check_space
from civsync.engine.world import look
from support.disk_worlds import make_root
from support.doomed_disk import Doom, DoomedLedger, DoomedStore, How
from support.engine_world import EngineWorld, Ports, body, memory_ports
from support.shop import listing

PATHS = [*(f"loras/{name}.bin" for name in "abcdefghij"), "loras/x/k.bin", "loras/x/l.bin"]
PATHS += ["vae/m.bin", "vae/n.bin"]
HANDS = [*PATHS, "mine.bin", "loras/mine.bin", "vae"]
"""Where strangers put files; the last one stands where a directory belongs."""

BODIES = [body(number, 20 + number * 9) for number in range(5)]
ALL = AllowPrune(None)
NONE = AllowPrune(0)

paths = st.sampled_from(PATHS)
hands = st.sampled_from(HANDS)
bodies = st.sampled_from(BODIES)
moments = st.integers(1, 20)
edits = st.lists(st.tuples(paths, st.none() | bodies), min_size=1, max_size=5)
faults = st.lists(
    st.sampled_from(
        [
            Answer(503),
            Answer(404),
            Answer(200, body=b"<html>Log in</html>"),
            Cut(11),
            Cut(0),
            Excess(9),
            FlipBit(3),
            ExpireUrls(),
            IgnoreRange(),
            WrongRange("bytes 1-2/3"),
            None,
        ]
    ),
    min_size=1,
    max_size=4,
)


@dataclass(frozen=True, slots=True)
class Cancel:
    """The run is cancelled at the event with this number."""

    at: int


@dataclass(frozen=True, slots=True)
class Meddle:
    """Somebody writes a file at the event with this number."""

    at: int
    path: str
    data: bytes


Trouble = Cancel | Meddle | Doom | None

troubles = st.one_of(
    st.builds(Cancel, moments),
    st.builds(Meddle, moments, paths, bodies),
    st.builds(lambda how, at: Doom(how=how, at=at), st.sampled_from(How), moments),
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Reconciler(RuleBasedStateMachine):
    """The machine over the twins. `strangers` are files that are not civsync's to touch."""

    def __init__(self) -> None:
        super().__init__()
        self.world = EngineWorld()
        self.strangers: dict[str, bytes] = {}
        self.locked: dict[str, set[bytes]] = {}
        self.wanted: dict[str, bytes] = {}
        self.events = 0
        self.trouble: Trouble = None
        self.scope: anyio.CancelScope | None = None

    # --- the disk, as it is here and as a subclass has it ------------------------------

    def ports(self) -> Ports:
        return memory_ports(self.world.disk)

    def unsettled(self, ports: Ports) -> bool:
        return bool(self.world.disk.notes)

    def tree(self) -> dict[str, bytes]:
        return self.world.tree

    def put(self, path: str, data: bytes) -> None:
        self.world.disk.put(path, data)

    def take_away(self, path: str) -> None:
        del self.world.disk.files[path]

    def rename(self, source: str, target: str) -> None:
        self.world.disk.files[target] = self.world.disk.files.pop(source)

    def traces(self) -> object:
        """Return something that changes when anything is written."""
        return self.world.disk.writes

    def bury(self) -> None:
        """A process that was killed holds nothing any more."""
        self.world.disk.claimed.clear()

    # --- what people and upstream do ---------------------------------------------------

    @initialize(many=st.integers(0, len(PATHS)))
    def begin(self, many: int) -> None:
        for number, path in enumerate(PATHS[:many]):
            self.want(path, BODIES[number % len(BODIES)])
        self.sync(None)

    @rule(
        what=st.sampled_from(["want", "want", "drop", "drop nearly all"]), path=paths, data=bodies
    )
    def edit_the_lock(self, what: str, path: str, data: bytes) -> None:
        match what:
            case "want":
                self.want(path, data)
            case "drop":
                self.drop(path)
            case _:
                for each in list(self.wanted)[BODIES.index(data) :]:
                    self.drop(each)

    @rule(what=st.sampled_from(["write", "delete", "rename"]), path=hands, new=paths, data=bodies)
    def do_something_by_hand(self, what: str, path: str, new: str, data: bytes) -> None:
        match what:
            case "write":
                self.write_by_hand(path, data)
            case "delete" if path in self.tree():
                self.take_away(path)
                self.strangers.pop(path, None)
            case "rename" if path in self.tree() and new not in self.tree() and self.is_open(new):
                self.rename(path, new)
                self.strangers.pop(path, None)
                self.note_stranger(new)
            case _:
                pass

    @precondition(lambda self: self.wanted)
    @rule(
        what=st.sampled_from(["changes", "takes away", "stumbles", "stumbles"]),
        choice=st.integers(0, 20),
        data=bodies,
        burst=faults,
    )
    def upstream(self, what: str, choice: int, data: bytes, burst: list[Any]) -> None:
        path = sorted(self.wanted)[choice % len(self.wanted)]
        file_id = self.world.wanted[path].files[0].file_id
        match what:
            case "changes":
                self.world.storage.bodies[file_id] = data
            case "takes away":
                self.world.source.failures[file_id] = RegistryError(Code.GONE, "taken away")
            case _:
                self.world.storage.faults[file_id] = list(burst)

    # --- what civsync does --------------------------------------------------------------

    @rule(edits=edits, trouble=troubles, jobs=st.sampled_from([1, 3]))
    def sync_in_trouble(
        self, edits: list[tuple[str, bytes | None]], trouble: Trouble, jobs: int
    ) -> None:
        for path, data in edits:
            if data is None:
                self.drop(path)
            else:
                self.want(path, data)
        self.sync(trouble, jobs)

    @rule()
    def sync_in_peace(self) -> None:
        self.sync(None)

    def sync(self, trouble: Trouble, jobs: int = 1) -> None:
        """Sync without any flag: what must not happen at once must not happen."""
        ours, before = self.ours(), self.tree()
        outcome = self.run(trouble, NONE, jobs=jobs)
        after = self.tree()
        here = set(after.values())
        gone = {
            path
            for path in ours - self.wanted.keys()
            if path not in after and before[path] not in here
        }
        assert len(gone) <= max(PRUNE_FILES, int(len(ours) * PRUNE_SHARE))
        assert not gone or gone != ours
        meddled = isinstance(trouble, Meddle)
        if outcome is not None and outcome.exit is ExitCode.OK and not meddled:
            self.require_in_step()

    @rule()
    def sync_when_all_is_well_again(self) -> None:
        """Nobody has to clean up: strangers' files alone may keep a name from being given."""
        self.world.storage.faults.clear()
        self.world.source.failures.clear()
        for path, data in self.wanted.items():
            self.world.storage.bodies[self.world.wanted[path].files[0].file_id] = data
        outcome = self.run(None, ALL)
        assert outcome is not None
        tree = self.tree()
        missing = {path for path, data in self.wanted.items() if tree.get(path) != data}
        way = {path for path in self.wanted if path.startswith("vae/") and "vae" in tree}
        assert missing <= self.strangers.keys() | way
        assert {path for path, _ in outcome.failures} == missing
        if not missing:
            assert tree == {**self.strangers, **self.wanted}
            self.require_in_step()

    # --- what must hold -------------------------------------------------------------------

    @invariant()
    def what_strangers_put_there_is_there(self) -> None:
        tree = self.tree()
        for path, data in self.strangers.items():
            assert tree.get(path) == data, f"{path} was not ours to touch"

    @invariant()
    def what_has_a_name_was_wanted_under_it(self) -> None:
        for path, data in self.tree().items():
            assert path in self.strangers or data in self.locked.get(path, ()), path

    def require_in_step(self) -> None:
        """A second sync changes nothing, and asks for nothing."""
        tree = self.tree()
        assert {path: tree.get(path) for path in self.wanted} == self.wanted
        traces, asked = self.traces(), len(self.world.storage.asked)
        outcome = self.run(None, NONE)
        assert outcome is not None
        assert (outcome.exit, outcome.done) == (ExitCode.OK, {})
        assert (self.traces(), len(self.world.storage.asked)) == (traces, asked)

    # --- how it is done ---------------------------------------------------------------------

    def want(self, path: str, data: bytes) -> None:
        number = 1 + PATHS.index(path) * len(BODIES) + BODIES.index(data)
        self.world.want(path, data, model_id=number)
        self.wanted[path] = data
        self.locked.setdefault(path, set()).add(data)

    def drop(self, path: str) -> None:
        self.world.wanted.pop(path, None)
        self.wanted.pop(path, None)

    def write_by_hand(self, path: str, data: bytes) -> None:
        if self.is_open(path):
            self.put(path, data)
            self.note_stranger(path)

    def is_open(self, path: str) -> bool:
        """Tell whether a file can be there: nothing is above or below it."""
        tree = self.tree()
        below = any(other.startswith(f"{path}/") for other in tree)
        return not below and not ("vae" in tree and path.startswith("vae/"))

    def receipt(self) -> Receipt:
        return self.ports().ledger.read()

    def ours(self) -> set[str]:
        """Return the paths that civsync owns, and whose files are as it left them."""
        tree = self.tree()
        return {
            path
            for path, owned in self.receipt().owned.items()
            if path in tree and sha256(tree[path]) == owned.sha256
        }

    def note_stranger(self, path: str) -> None:
        """Take note of a file that somebody wrote, unless it is what civsync had there."""
        if path in self.ours():
            self.strangers.pop(path, None)
        else:
            self.strangers[path] = self.tree()[path]

    def take_back(self, owned: Collection[str]) -> None:
        """What a hand put where civsync has a file is ours again, once just that is wanted."""
        for path in self.ours() & self.strangers.keys():
            assert path in owned, f"{path} was taken without a word"
            assert self.wanted.get(path) == self.strangers.pop(path), path

    def run(self, trouble: Trouble, allowed: AllowPrune, *, jobs: int = 1) -> Outcome | None:
        """Do what the command does; None if it did not come to its end."""
        owned = self.receipt().owned.keys()
        outcome = self.run_alone(trouble, allowed, jobs)
        if isinstance(trouble, Doom) and trouble.killed:
            self.bury()
        self.take_back(owned)
        return outcome

    def run_alone(self, trouble: Trouble, allowed: AllowPrune, jobs: int) -> Outcome | None:
        self.trouble, self.events = trouble, 0
        try:
            return anyio.run(self.sync_as_the_command, allowed, jobs)
        except SafetyError as error:
            if error.code is not Code.PRUNE_GUARD:
                raise
        except CivsyncError:
            if not isinstance(trouble, Doom):
                raise
        except Exception:
            if not (isinstance(trouble, Doom) and trouble.killed):
                raise
        return None

    async def sync_as_the_command(self, allowed: AllowPrune, jobs: int) -> Outcome | None:
        plain = ports = self.ports()
        if isinstance(self.trouble, Doom):
            ports = Ports(
                store=DoomedStore(plain.store, self.trouble),
                ledger=DoomedLedger(plain.ledger, self.trouble),
                parts=plain.parts,
                trash=plain.trash,
            )
        world = look(self.world.lock, ports.store, ports.ledger, self.hear, jobs=1)
        if world.learned or self.unsettled(plain):
            ports.ledger.commit(world.receipt)
        check_prune(world.plan, world.receipt, allowed)
        spare = Spare(trash=ports.trash, lock=self.world.lock, report=self.hear, allowed=False)
        check_space(world.plan, ports.parts, spare)
        outside = Outside(
            source=self.world.source,
            transport=self.world.storage,
            store=ports.store,
            parts=ports.parts,
            ledger=ports.ledger,
            clock=self.world.clock,
            report=self.hear,
        )
        with anyio.CancelScope() as self.scope:
            return await carry_out(world.plan, world.receipt, outside, Manner(jobs=jobs))
        return None

    def hear(self, event: Event) -> None:
        self.events += 1
        match self.trouble:
            case Cancel(at) if self.events >= at and _in_main_thread() and self.scope is not None:
                self.scope.cancel()
            case Meddle(at, path, data) if self.events == at:
                self.write_by_hand(path, data)
            case _:
                pass


class OnDisk(Reconciler):
    """The machine over the real adapters."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="civsync-machine-"))
        self.root: Root = make_root(self.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def ports(self) -> Ports:
        root = make_root(self.folder)
        return Ports(
            store=DiskStore(root),
            parts=DiskParts(root),
            ledger=DiskLedger(root),
            trash=DiskTrashCan(root),
        )

    def unsettled(self, ports: Ports) -> bool:
        assert isinstance(ports.ledger, DiskLedger)
        return ports.ledger.unsettled

    def tree(self) -> dict[str, bytes]:
        found = (path for path in self.root.path.rglob("*") if path.is_file())
        below = ((path.relative_to(self.root.path).as_posix(), path) for path in found)
        return {name: path.read_bytes() for name, path in below if not name.startswith(".civsync")}

    def put(self, path: str, data: bytes) -> None:
        place = self.root.path / path
        if place.is_dir():
            place.rmdir()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def take_away(self, path: str) -> None:
        (self.root.path / path).unlink()

    def rename(self, source: str, target: str) -> None:
        (self.root.path / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root.path / source).rename(self.root.path / target)

    def bury(self) -> None:
        """Nothing: on a disk what somebody else holds keeps nobody from beginning anew."""

    def traces(self) -> object:
        return {
            path: facts
            for path, facts in listing(self.root.path).items()
            if "/.civsync" not in path
        }


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def explore(machine: type[Reconciler], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_course_of_events_breaks_a_promise() -> None:
    explore(Reconciler, examples=50, steps=20)


def test_no_course_of_events_breaks_a_promise_on_a_real_disk() -> None:
    explore(OnDisk, examples=15, steps=15)


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", [Reconciler, OnDisk])
def test_no_long_course_of_events_breaks_a_promise(machine: type[Reconciler]) -> None:
    explore(machine, examples=600, steps=40)
