"""Two branches that each add, or each bump, one of sixty models, merged by git itself.

Law: only those conflict where both took the same gap or the same model, and what `civsync
lock` makes of a conflict leaves every other entry as it was, byte for byte.
"""

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from civsync.cli.found_lock import find_lock
from civsync.cli.project import Project
from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.lock import Lock, LockedEntry
from civsync.core.questions import AskModels, AskModelsOfVersions
from civsync.core.request import ById, Entry
from civsync.decide.place import place
from civsync.documents.lock import read_lock, write_lock
from civsync.documents.lock_conflict import split_conflict
from support.factories import (
    Library,
    entry,
    library,
    manifest,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    sha256_of,
)

TRIALS = 120
MODELS = 60

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What one branch ends with; `place` is the gap or the model it took."""

    entries: tuple[Entry, ...]
    lock: Lock
    place: int


class World:
    """Sixty models upstream, the entries that ask for them, and the lock of both."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.numbers = dice.sample(range(100_000, 900_000), MODELS + 4)
        self.ids = sorted(dice.sample(range(1_000, 2_000_000), MODELS))
        self.upstream = {number: self.model(number) for number in self.ids}
        self.entries = tuple(self.ask(number) for number in self.ids)
        self.lock = locked(self.upstream, self.entries, Lock())

    def model(self, number: int) -> RemoteModel:
        return remote_model(number, [self.version()], name=f"Model {number}", type="LORA")

    def version(self) -> RemoteVersion:
        number = self.numbers.pop()
        files = [
            remote_file(
                number * 3 + place,
                f"{self.dice.choice('abcdefgh')}{number}_{place}.safetensors",
                size=self.dice.randrange(1_000, 9_000_000),
                sha256=sha256_of(self.dice.getrandbits(256)),
            )
            for place in range(self.dice.choice((1, 1, 2)))
        ]
        return remote_version(
            number,
            files,
            name=f"v{number % 9}",
            base_model=self.dice.choice(("SD 1.5", "SDXL 1.0", "Pony")),
            published_at=f"2025-0{number % 9 + 1}-01T00:00:00Z",
        )

    def ask(self, number: int) -> Entry:
        pinned = self.dice.random() < 0.5
        return entry(request(number, self.upstream[number].versions[0].id if pinned else "latest"))

    def add(self, gap: int | None = None) -> Branch:
        """Ask for one model more, in this gap between the others."""
        bounds = [500, *self.ids, 2_000_500]
        gap = self.dice.randrange(MODELS + 1) if gap is None else gap
        number = self.dice.choice(
            [n for n in range(bounds[gap] + 1, bounds[gap + 1]) if n not in self.upstream]
        )
        self.upstream[number] = self.model(number)
        entries = (*self.entries, self.ask(number))
        return Branch(
            entries=entries,
            lock=locked(self.upstream, entries, self.lock),
            place=gap,
        )

    def bump(self, at: int | None = None) -> Branch:
        """Move one entry to a version that is new upstream: by an upgrade, or by its pin."""
        at = self.dice.randrange(MODELS) if at is None else at
        old = self.entries[at]
        number = self.ids[at]
        new = self.version()
        older = [replace(each, index=None) for each in self.upstream[number].versions]
        versions = [new, *older]
        self.upstream[number] = remote_model(
            number, versions, name=self.upstream[number].name, type="LORA"
        )
        pinned = isinstance(old.request.version, ById)
        moved = entry(request(number, new.id)) if pinned else old
        entries = (*self.entries[:at], moved, *self.entries[at + 1 :])
        lock = locked(self.upstream, entries, self.lock, upgraded=moved.key)
        return Branch(entries=entries, lock=lock, place=at)


def locked(
    upstream: dict[int, RemoteModel], entries: Sequence[Entry], previous: Lock, upgraded: str = ""
) -> Lock:
    shown = library(*upstream.values())
    done = resolved(shown, *entries, previous=previous, upgrade=lambda e: e.key == upgraded)
    assert not done.failures
    return Lock(entries=place(manifest(*entries), done.entries))


def merge(base: Lock, ours: Lock, theirs: Lock, folder: Path, *, style: str) -> tuple[bytes, bool]:
    """Return what `git merge-file` makes of three locks, and whether it is in conflict."""
    for name, lock in (("ours", ours), ("base", base), ("theirs", theirs)):
        (folder / name).write_bytes(write_lock(lock))
    return merged_texts(folder, style)


def merged_texts(folder: Path, *flags: str) -> tuple[bytes, bool]:
    """Return what `git merge-file` makes of three files, and whether it is in conflict."""
    done = subprocess.run(
        ["git", "merge-file", "-p", *filter(None, flags), "ours", "base", "theirs"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode < 128, done.stderr
    return done.stdout, done.returncode > 0  # how many conflicts there are


def settle(
    merged: bytes, entries: Sequence[Entry], shown: Library, folder: Path
) -> tuple[Lock, frozenset[str]]:
    """Do what `civsync lock` does with a text, and say which wanted entries clashed."""
    wanted = manifest(*entries)
    project = Project(manifest=folder / "civsync.yaml", lock=folder / "civsync.lock")
    found = find_lock(project, merged)
    clashes = found.clashes_in(wanted)
    previous = found.believed(wanted) or Lock()
    done = resolved(shown, *entries, previous=previous, upgrade=lambda e: e.key in clashes)
    assert not done.failures
    return Lock(entries=place(wanted, done.entries)), clashes


def union(world: World, ours: Branch, theirs: Branch) -> tuple[Entry, ...]:
    """Merge the entries as people merge a manifest: of two pins of one model one stays."""
    before = {each.key for each in world.entries}
    sides = [ours.entries, theirs.entries]
    world.dice.shuffle(sides)
    changed = {
        each.request.model_id: each for side in sides for each in side if each.key not in before
    }
    kept = [changed.pop(each.request.model_id, each) for each in world.entries]
    return (*kept, *changed.values())


def text_of(locked_entry: LockedEntry) -> bytes:
    return write_lock(Lock(entries=(locked_entry,)))


def test_only_the_same_gap_or_model_conflicts_and_every_conflict_is_settled(
    tmp_path: Path,
) -> None:
    met: Counter[tuple[str, bool]] = Counter()
    for seed in range(TRIALS):
        dice = random.Random(seed)
        world = World(dice)
        kind = ("add", "bump")[seed % 2]
        take = world.add if kind == "add" else world.bump
        ours = take()
        # Of sixty places two branches seldom take one: one trial in three sees to it.
        theirs = take(ours.place if seed % 6 > 3 else None)
        style = dice.choice(["", "--diff3", "--zdiff3"])
        merged, conflict = merge(world.lock, ours.lock, theirs.lock, tmp_path, style=style)
        assert conflict == (ours.place == theirs.place), (seed, kind)
        met[kind, conflict] += 1

        entries = union(world, ours, theirs)
        shown = library(*world.upstream.values())
        shown.asked.clear()
        lock, clashes = settle(merged, entries, shown, tmp_path)
        assert [each.key for each in lock.entries] == sorted(
            (each.key for each in entries), key=lambda key: int(key.split("@")[0])
        )
        assert len(clashes) == (1 if kind == "bump" and conflict else 0), (seed, kind)
        asked = {
            number
            for question in shown.asked
            for number in (
                question.ids
                if isinstance(question, AskModels)
                else question.version_ids
                if isinstance(question, AskModelsOfVersions)
                else ()
            )
        }
        assert len(asked) <= len(clashes), (seed, kind)

        known = {text_of(each) for side in (ours, theirs) for each in side.lock.entries}
        fresh = {each.key: each for each in locked(world.upstream, entries, Lock()).entries}
        for each in lock.entries:
            if each.key in clashes:
                assert each == fresh[each.key], (seed, each.key)
            else:
                assert text_of(each) in known, (seed, each.key)
        text = write_lock(lock)
        if not conflict:
            assert merged == text, (seed, kind)
        again, more = settle(text, entries, shown, tmp_path)
        assert (write_lock(again), more) == (text, frozenset())
        assert read_lock(text) == lock
    assert all(met[kind, conflict] >= 15 for kind in ("add", "bump") for conflict in (True, False))


@pytest.mark.parametrize("style", ["", "--diff3", "--zdiff3"])
def test_each_side_of_a_conflict_is_what_git_makes_of_it_itself(tmp_path: Path, style: str) -> None:
    dice = random.Random(style)
    conflicts = 0
    for _ in range(40):
        base = [dice.choice("abcdefgh") for _ in range(12)]
        for name in ("ours", "base", "theirs"):
            lines = list(base)
            for _ in range(0 if name == "base" else dice.randrange(4)):
                at = dice.randrange(len(lines))
                lines[at : at + dice.randrange(3)] = dice.choices("xyz", k=dice.randrange(3))
            (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        merged, conflict = merged_texts(tmp_path, style)
        sides = split_conflict(merged)
        assert (sides is not None) == conflict
        if sides is not None:
            conflicts += 1
            assert sides.ours == merged_texts(tmp_path, style, "--ours")[0]
            assert sides.theirs == merged_texts(tmp_path, style, "--theirs")[0]
    assert conflicts >= 8
