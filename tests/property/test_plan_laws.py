"""Laws of planning, on small disks made of values: total, idempotent, and nobody's file is lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from civsync.core.disk import (
    Absent,
    Inventory,
    Known,
    Linked,
    Obstacle,
    Owned,
    Receipt,
    Regular,
    Sight,
    Stamp,
)
from civsync.core.groups import GroupWishes, Selection
from civsync.core.lock import Lock
from civsync.core.names import SafePath, collision_key, parse_path
from civsync.core.plan import (
    Action,
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Protected,
    Release,
    Replace,
    Retire,
    Satisfied,
)
from civsync.core.saved_plan import Step
from civsync.decide.groups import Chosen, choose
from civsync.decide.plan import (
    Allowance,
    make_plan,
    must_hash,
    paths_of_interest,
    recognize,
    wanted_files,
)
from civsync.decide.protection import with_protection
from civsync.decide.witness import find_stale, steps_of
from support.lock_values import digest, lock_at, lock_of, owned_file

CONTENTS = ["", "x", "y", "zz"]
NAMES = ["a", "A", "b", "dir/a", "dir/c", "Dir/c"]


@dataclass
class Disk:
    """Files by the name that the disk knows them under; `folds` as macOS and Windows do."""

    folds: bool = False
    files: dict[str, tuple[str, Stamp]] = field(default_factory=dict)
    oddities: dict[str, Sight] = field(default_factory=dict)
    trash: list[str] = field(default_factory=list)
    ticks: int = 100

    def name(self, path: str) -> str:
        return collision_key(path) if self.folds else path

    def write(self, path: str, content: str) -> Stamp:
        self.ticks += 1
        made = Stamp(len(content), self.ticks, self.ticks)
        self.files[self.name(path)] = (content, made)
        return made

    def touch(self, path: str) -> None:
        content, old = self.files[self.name(path)]
        self.ticks += 1
        self.files[self.name(path)] = (content, replace(old, mtime_ns=self.ticks))

    def take(self, path: str, expected: Stamp) -> str:
        content, found = self.files.pop(self.name(path))
        assert found == expected, "an action expects another file than the one that is there"
        return content

    def look(self, path: str) -> Sight:
        if path in self.oddities:
            return self.oddities[path]
        file = self.files.get(self.name(path))
        return Regular(file[1]) if file else Absent()

    def survey(self, chosen: Chosen, receipt: Receipt) -> Inventory:
        """Look as the engine does: by stamp where that is enough, else by reading."""
        wants = wanted_files(chosen.lock)
        seen: dict[SafePath, Sight] = {
            path: self.look(path) for path in paths_of_interest(wants, receipt, chosen.left_out)
        }
        known = {path: found for path, found in recognize(seen, receipt).items() if found}
        unread = must_hash(seen, wants, receipt)
        return {**seen, **known, **{path: self.read(path) for path in unread}}

    def read(self, path: str) -> Regular:
        content, found = self.files[self.name(path)]
        return Regular(found, digest(content))


@dataclass
class World:
    """A disk, what civsync owns there, and what the selected part of the lock wants of it.

    `bodies` are the contents of the whole lock, `contents` of what is selected.
    """

    disk: Disk
    receipt: Receipt
    lock: Lock
    bodies: Mapping[SafePath, str]
    selection: Selection = field(default_factory=Selection)

    @property
    def chosen(self) -> Chosen:
        return choose(self.lock, self.selection)

    @property
    def contents(self) -> dict[SafePath, str]:
        return {file.path: self.bodies[file.path] for _, file in self.chosen.lock.files()}

    def inventory(self) -> Inventory:
        return self.disk.survey(self.chosen, self.receipt)

    def plan(self, allowance: Allowance | None = None) -> Plan:
        chosen = self.chosen
        unprotect = allowance.unprotect if allowance else frozenset()
        self.receipt = with_protection(self.receipt, chosen.lock, chosen.left_out, unprotect)
        return make_plan(chosen.lock, self.inventory(), self.receipt, allowance, chosen.left_out)

    def carry_out(self, plan: Plan) -> None:
        """Do it in the engine's order: moves, then fetches, then what leaves."""
        owned, known = dict(self.receipt.owned), dict(self.receipt.known)
        order = (Keep, Protected, Satisfied, Release, Move, Fetch, Replace, Retire)
        for kind in order:
            for action in plan.actions:
                if isinstance(action, kind):
                    self._do(action, owned, known)
        self.receipt = Receipt(root_id="root", owned=owned, known=known)

    def _do(
        self, action: Action, owned: dict[SafePath, Owned], known: dict[SafePath, Known]
    ) -> None:
        disk = self.disk
        match action:
            case Keep(want=want, stamp=new, protect=protect):
                mine = owned[want.path]
                if new is not None:
                    mine = replace(mine, stamp=new, sha256=want.file.sha256)
                if protect is not None:
                    mine = replace(mine, protect=protect)
                owned[want.path] = mine
            case Protected():
                owned[action.owned.path] = action.owned
            case Satisfied(want=want, stamp=found):
                known[want.path] = Known(sha256=want.file.sha256, stamp=found)
            case Release():
                owned.pop(action.owned.path)
            case Move(want=want, source=source, protect=protect):
                content = disk.take(source.path, source.stamp)
                assert isinstance(disk.look(want.path), Absent), "a move onto another file"
                made = disk.write(want.path, content)
                owned.pop(source.path)
                moved = replace(source, path=want.path, stamp=made, protect=protect)
                owned[want.path] = moved
            case Fetch(want=want, protect=protect):
                assert isinstance(disk.look(want.path), Absent), "a download over another file"
                self._place(want.path, owned, protect=protect)
            case Replace(want=want, old=old, protect=protect):
                disk.trash.append(disk.take(want.path, old))
                self._place(want.path, owned, protect=protect)
            case Retire():
                disk.trash.append(disk.take(action.owned.path, action.owned.stamp))
                owned.pop(action.owned.path)
            case Blocked():
                raise AssertionError("a blocked action is never carried out")

    def _place(self, path: SafePath, owned: dict[SafePath, Owned], *, protect: bool) -> None:
        content = self.bodies[path]
        placed = self.disk.write(path, content)
        owned[path] = replace(owned_file(path, content), stamp=placed, protect=protect)


ODDITIES: list[Sight] = [Obstacle("symlink"), Obstacle("directory"), Linked("dir")]
GROUPS = st.sets(st.sampled_from("abc"), max_size=2).map(sorted).map(tuple)
SELECTIONS = st.builds(
    GroupWishes.over,
    st.builds(GroupWishes, also=GROUPS, without=GROUPS, every=st.booleans())
    | st.builds(GroupWishes, only=GROUPS, without=GROUPS),
    st.none() | GROUPS,
)
PROTECT = st.sampled_from([None, None, True, False])
FATES = ["kept", "kept", "kept", "touched", "changed", "deleted"]


@st.composite
def worlds(draw: st.DrawFn, *, odd: bool = False) -> World:
    """Draw a root that civsync and its user have both been at."""
    disk = Disk(folds=draw(st.booleans()))
    names = st.lists(st.sampled_from(NAMES), unique_by=disk.name, max_size=5)
    owned: dict[SafePath, Owned] = {}
    for name in draw(names):
        content = draw(st.sampled_from(CONTENTS))
        placed = disk.write(name, content)
        line = owned_file(name, content, model_id=draw(st.integers(1, 4)))
        entry = f"{draw(st.integers(1, 5))}@latest"
        protect = draw(st.sampled_from([False, False, True]))
        owned[line.path] = replace(line, entry=entry, stamp=placed, protect=protect)
    for path in owned:
        match draw(st.sampled_from(FATES)):
            case "touched":
                disk.touch(path)
            case "changed":
                disk.write(path, "changed by the user")
            case "deleted":
                del disk.files[disk.name(path)]
    for name in draw(names):
        if disk.name(name) not in disk.files:
            disk.write(name, draw(st.sampled_from([*CONTENTS, "foreign"])))
    # No lock holds two paths that some disk takes for one.
    wanted = draw(st.lists(st.sampled_from(NAMES), unique_by=collision_key, max_size=5))
    contents = {parse_path(name): draw(st.sampled_from(CONTENTS)) for name in wanted}
    if odd:
        disk.oddities = {name: draw(st.sampled_from(ODDITIES)) for name in draw(names)}
    receipt = Receipt(root_id="root", owned=owned)
    entries = [
        replace(entry, groups=draw(GROUPS), protect=draw(PROTECT))
        for entry in lock_at(contents).entries
    ]
    for other in draw(st.lists(st.sampled_from(entries), max_size=2)) if entries else []:
        # What two entries want is locked twice.
        key = f"{len(entries)}@other"
        entries.append(replace(other, key=key, groups=draw(GROUPS), protect=draw(PROTECT)))
    return World(
        disk=disk,
        receipt=receipt,
        lock=lock_of(*entries),
        bodies=contents,
        selection=draw(SELECTIONS),
    )


ALLOWANCES = st.builds(
    Allowance, force_modified=st.booleans(), prune=st.booleans(), prune_unselected=st.booleans()
)


def subjects(plan: Plan) -> list[SafePath]:
    """The paths that the actions are about; a move is about two."""
    paths: list[SafePath] = []
    for action in plan.actions:
        match action:
            case Retire(owned=owned) | Release(owned=owned) | Protected(owned=owned):
                paths.append(owned.path)
            case Move(want=want, source=source):
                paths += [want.path, source.path]
            case _:
                paths.append(action.want.path)
    return paths


def replaced_spellings(world: World, plan: Plan) -> set[SafePath]:
    """Owned paths that the disk takes for one that is replaced now."""
    replaced = {
        collision_key(action.want.path) for action in plan.actions if isinstance(action, Replace)
    }
    return {
        path
        for path in world.receipt.owned.keys() - world.contents.keys()
        if world.disk.folds and collision_key(path) in replaced
    }


@given(worlds(), ALLOWANCES)
def test_planning_the_world_that_a_plan_leads_to_gives_only_keep_and_satisfied(
    world: World, allowance: Allowance
) -> None:
    plan = world.plan(allowance)
    assume(not plan.blocked)
    event(f"{sorted({type(action).__name__ for action in plan.pending})}")
    old_spellings = replaced_spellings(world, plan)
    world.carry_out(plan)
    again = world.plan(allowance)
    in_place = Keep | Satisfied | Protected
    left = [action for action in again.actions if not isinstance(action, in_place)]
    # On a disk that folds case the old spelling of a replaced file is forgotten at the next look.
    assert {
        action.owned.path for action in left if isinstance(action, Release) and action.missing
    } == old_spellings
    assert len(left) == len(old_spellings)
    world.carry_out(again)
    for action in world.plan(allowance).actions:
        assert isinstance(action, Satisfied | Protected) or (
            isinstance(action, Keep) and (action.stamp, action.protect) == (None, None)
        )


@given(worlds(), ALLOWANCES)
def test_after_a_plan_every_wanted_path_holds_the_wanted_content(
    world: World, allowance: Allowance
) -> None:
    plan = world.plan(allowance)
    assume(not plan.blocked)
    world.carry_out(plan)
    held = {path: world.disk.files[world.disk.name(path)][0] for path in world.contents}
    assert held == world.contents


@given(worlds(odd=True), ALLOWANCES)
def test_every_wanted_and_every_owned_path_gets_exactly_one_action(
    world: World, allowance: Allowance
) -> None:
    plan = world.plan(allowance)
    about = subjects(plan)
    assert len(about) == len(set(about))
    silent = {*world.contents, *world.receipt.owned} - set(about) - replaced_spellings(world, plan)
    assert set(about) <= {*world.contents, *world.receipt.owned}
    assert not silent & world.contents.keys()
    left_alone = {
        path
        for path, owned in world.receipt.owned.items()
        if not allowance.prune_unselected and world.chosen.left_out.claims(owned)
    }
    # Where the disk takes two names for one, what is said of one is said of both.
    folded = {
        path
        for path in silent
        if world.disk.folds
        and any(collision_key(each.want.path) == collision_key(path) for each in plan.blocked)
    }
    assert not silent - left_alone - folded or not allowance.prune


@given(worlds(odd=True), ALLOWANCES)
def test_only_unchanged_files_of_ours_are_moved_replaced_or_retired(
    world: World, allowance: Allowance
) -> None:
    ours = {world.disk.name(path): owned.sha256 for path, owned in world.receipt.owned.items()}
    for action in world.plan(allowance).pending:
        match action:
            case Fetch(want=want):
                assert isinstance(world.disk.look(want.path), Absent)
                continue
            case Move(source=source):
                path = source.path
            case Retire(owned=owned):
                path = owned.path
            case Replace(want=want):
                path = want.path
            case _:
                raise AssertionError(action)
        name = world.disk.name(path)
        assert name in ours
        unchanged = digest(world.disk.files[name][0]) == ours[name]
        forced = isinstance(action, Replace) and action.modified
        assert unchanged or (forced and allowance.force_modified)


@given(worlds(), ALLOWANCES)
def test_no_content_that_was_on_the_disk_is_lost(world: World, allowance: Allowance) -> None:
    before = sorted(content for content, _ in world.disk.files.values())
    plan = world.plan(allowance)
    world.carry_out(Plan(actions=tuple(a for a in plan.actions if not isinstance(a, Blocked))))
    after = [content for content, _ in world.disk.files.values()] + world.disk.trash
    for content in before:
        assert content in after
        after.remove(content)


@given(worlds(), ALLOWANCES)
def test_without_pruning_nothing_is_retired_and_without_force_nothing_changed_is_replaced(
    world: World, allowance: Allowance
) -> None:
    plan = world.plan(allowance)
    assert allowance.prune or not plan.retires
    modified = [
        action for action in plan.actions if isinstance(action, Replace) and action.modified
    ]
    assert allowance.force_modified or not modified


@given(worlds(), ALLOWANCES)
def test_what_is_left_out_stays_where_and_as_it_is_and_ours(
    world: World, allowance: Allowance
) -> None:
    assume(not allowance.prune_unselected)
    left_out = world.chosen.left_out
    placed = {
        path: owned
        for path, owned in world.receipt.owned.items()
        if (owned.entry in left_out.entries or path in left_out.paths)
        and path not in world.contents
        and owned.sha256 not in left_out.shared
        and isinstance(world.disk.look(path), Regular)
    }
    before = {path: world.disk.files[world.disk.name(path)] for path in placed}
    plan = world.plan(allowance)
    assume(not plan.blocked)
    # Where the disk takes two names for one, only one of them can have it.
    respelled = {collision_key(path) for path in world.contents} if world.disk.folds else set()
    world.carry_out(plan)
    for path, owned in placed.items():
        if collision_key(path) not in respelled:
            assert world.disk.files[world.disk.name(path)] == before[path]
            # But for its protection: that follows its entry, selected or not.
            assert replace(world.receipt.owned[path], protect=owned.protect) == owned


@given(worlds(), SELECTIONS, SELECTIONS, ALLOWANCES)
def test_after_selecting_this_and_that_everything_selected_last_is_in_place(
    world: World, first: Selection, second: Selection, allowance: Allowance
) -> None:
    for world.selection in (first, second):
        plan = world.plan(allowance)
        assume(not plan.blocked)
        world.carry_out(plan)
    held = {path: world.disk.files[world.disk.name(path)][0] for path in world.contents}
    assert held == world.contents


@given(worlds(odd=True), ALLOWANCES)
def test_the_same_world_gives_the_same_plan(world: World, allowance: Allowance) -> None:
    inventory, chosen = world.inventory(), world.chosen
    backwards = Receipt(root_id="root", owned=dict(reversed(list(world.receipt.owned.items()))))
    shuffled = dict(reversed(list(inventory.items())))
    one = make_plan(chosen.lock, inventory, world.receipt, allowance, chosen.left_out)
    other = make_plan(chosen.lock, shuffled, backwards, allowance, chosen.left_out)
    assert [_told(action) for action in other.actions] == [_told(action) for action in one.actions]


def _told(action: Action) -> object:
    """Errors compare by identity; what they say is what counts."""
    return (action.want, str(action.error)) if isinstance(action, Blocked) else action


def protected_in(world: World) -> dict[SafePath, Owned]:
    """What no sync may take away: as its entries say, else as the receipt says."""
    return {
        path: owned
        for path, owned in world.receipt.owned.items()
        if any(said := _said_of(world.lock, owned)) or (not said and owned.protect)
    }


def _said_of(lock: Lock, owned: Owned) -> list[bool]:
    """What entries say of the protection of a file: its own, and those that want its path."""
    return [
        entry.protect
        for entry in lock.entries
        if entry.protect is not None
        and (entry.key == owned.entry or owned.path in {file.path for file in entry.files})
    ]


@settings(max_examples=50)
@given(worlds(odd=True), ALLOWANCES)
def test_what_is_protected_is_never_retired_moved_or_replaced_whatever_is_allowed(
    world: World, allowance: Allowance
) -> None:
    names = {world.disk.name(path) for path in protected_in(world)}
    for action in world.plan(allowance).pending:
        match action:
            case Retire(owned=owned):
                assert world.disk.name(owned.path) not in names
            case Move(source=source):
                assert world.disk.name(source.path) not in names
            case Replace(want=want):
                assert world.disk.name(want.path) not in names
            case _:
                pass


@settings(max_examples=50)
@given(worlds(), ALLOWANCES)
def test_a_protection_outlives_its_entry_until_it_is_ended_by_name(
    world: World, allowance: Allowance
) -> None:
    assume(not world.plan(allowance).blocked)
    world.carry_out(world.plan(allowance))
    placed = {
        path: world.disk.files[world.disk.name(path)]
        for path, owned in world.receipt.owned.items()
        if owned.protect and isinstance(world.disk.look(path), Regular)
    }
    world.lock = lock_of()
    world.selection = Selection()
    world.carry_out(world.plan())
    assert {path: world.disk.files.get(world.disk.name(path)) for path in placed} == placed
    world.carry_out(world.plan(Allowance(unprotect=frozenset(placed))))
    left = [path for path in placed if world.disk.name(path) in world.disk.files]
    assert [path for path in left if path in world.receipt.owned] == []


EDITS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["write", "touch", "delete", "x"])),
    max_size=3,
)


def edit(world: World, edits: list[tuple[str, str]]) -> None:
    """Let somebody else be at the disk meanwhile."""
    disk = world.disk
    for name, what in edits:
        there = disk.name(name) in disk.files
        if what == "touch" and there:
            disk.touch(name)
        elif what == "delete" and there:
            del disk.files[disk.name(name)]
        elif what in ("write", "x"):
            disk.write(name, what)


def stale_now(world: World, saved: Iterable[Step], allowance: Allowance) -> set[SafePath]:
    """What of a saved plan is not as it was; planned anew from what is there now."""
    plan = world.plan(allowance)
    found = find_stale(saved, plan, world.inventory(), world.receipt)
    return {path for path, _ in found}


@settings(max_examples=50)
@given(worlds(odd=True), ALLOWANCES)
def test_a_plan_that_was_just_written_is_not_stale(world: World, allowance: Allowance) -> None:
    saved = steps_of(world.plan(allowance), world.inventory())
    assert stale_now(world, saved, allowance) == set()


@settings(max_examples=50)
@given(worlds(), ALLOWANCES, st.integers(0, 8))
def test_a_plan_that_was_cut_off_after_any_action_is_not_stale(
    world: World, allowance: Allowance, count: int
) -> None:
    world.disk.folds = False
    plan = world.plan(allowance)
    assume(not plan.blocked)
    saved = steps_of(plan, world.inventory())
    quiet = tuple(action for action in plan.actions if action not in plan.pending)
    order = (Move, Fetch, Replace, Retire)
    loud = sorted(plan.pending, key=lambda action: order.index(type(action)))
    world.carry_out(Plan(actions=(*quiet, *loud[:count])))
    assert stale_now(world, saved, allowance) == set()


@settings(max_examples=50)
@given(worlds(odd=True), ALLOWANCES, EDITS)
def test_nothing_is_done_that_the_saved_plan_does_not_say(
    world: World, allowance: Allowance, edits: list[tuple[str, str]]
) -> None:
    saved = steps_of(world.plan(allowance), world.inventory())
    edit(world, edits)
    if not stale_now(world, saved, allowance):
        event("not stale")
        assert set(steps_of(world.plan(allowance), world.inventory())) <= set(saved)


@settings(max_examples=50)
@given(worlds(), ALLOWANCES, st.data())
def test_a_step_whose_file_was_touched_is_stale(
    world: World, allowance: Allowance, data: st.DataObject
) -> None:
    saved = steps_of(world.plan(allowance), world.inventory())
    there = [step.source or step.path for step in saved if (step.source_now or step.now).stamp]
    assume(there)
    path = data.draw(st.sampled_from(there))
    world.disk.touch(path)
    assert stale_now(world, saved, allowance)
