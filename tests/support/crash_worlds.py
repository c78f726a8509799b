"""One root and two locks that differ in every way a sync can act on, to be interrupted between.

From either lock to the other a sync fetches, replaces, moves, swaps, copies and retires, so
a kill at any moment of it is a kill in one of those. Laws are checked from outside: by
reading the tree, the locks and the receipt, never by asking the run that was killed.
"""

import gc
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from civsync.demo.artifacts import safetensors
from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.disk.ledger import DiskLedger
from civsync.disk.root import Root, open_root
from support.cli import Project, Ran

FOREIGN = "loras/mine.safetensors"
"""A file of the user's, which must be there after everything, as it was."""

KIB = 1024

NAMED = {0, 1, 4, 5, 8, 75}
"""Exit statuses of runs that knew what had happened."""


def require_named_failure(status: int, err: str) -> None:
    """Nothing but an error that civsync has a code for may come out."""
    assert status in NAMED, err
    assert "Traceback" not in err
    assert "unexpected failure" not in err


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A lock, and the SHA-256 that it wants at each path."""

    lock: Path
    wanted: Mapping[str, str]


class CrashWorld:
    """A project, the registry that it asks, and its two targets."""

    def __init__(self, project: Project, served: Served, one: Target, other: Target) -> None:
        self.project = project
        self.served = served
        self.one = one
        self.other = other
        self.place_foreign()

    def place_foreign(self) -> None:
        """Put the user's own file into the tree."""
        path = self.project.root / FOREIGN
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")

    def words(self, target: Target, *more: str) -> tuple[str, ...]:
        """Return the command line that makes the root hold what `target` wants."""
        return ("sync", "--frozen", "--lock", target.lock.name, "--root", "models", *more)

    def sync(self, target: Target, *more: str) -> Ran:
        """Run a sync to its end."""
        return self.project.run(*self.words(target, *more))

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of every file that has a final name."""
        return {name: sha256(data) for name, data in self.project.files().items()}

    def require_no_wrong_file(self) -> None:
        """Every file is whole and is what one of the locks wants at its path, or the user's."""
        for path, content in self.files().items():
            if path == FOREIGN:
                assert content == sha256(b"mine")
                continue
            allowed = {self.one.wanted.get(path), self.other.wanted.get(path)}
            assert content in allowed, f"{path} holds something else"

    def require_notes(self) -> None:
        """Every file in trash has the note that says where it lay."""
        trash = self.project.root / ".civsync" / "trash"
        files = {path.name for path in trash.glob("*.retired")}
        assert {f"{name}.note" for name in files} <= {path.name for path in trash.glob("*.note")}

    def require_converged(self, target: Target) -> None:
        """The tree is what `target` wants, and civsync owns every file of it."""
        assert self.files() == {**target.wanted, FOREIGN: sha256(b"mine")}
        owned = DiskLedger(self.open_root()).read().owned
        assert {path: each.sha256 for path, each in owned.items()} == target.wanted
        left = {path.name for path in (self.project.root / ".civsync").rglob("*")}
        assert "notes.jsonl" not in left, "the run left its journal behind"

    def open_root(self) -> Root:
        """Open the root with civsync's own adapters."""
        return open_root(self.project.root, state_dir=self.state_dir)

    def finish(self, target: Target) -> None:
        """Run again, as a user would: that alone must put everything right."""
        ran = self.sync(target)
        assert ran.status == 0, ran.err
        self.require_converged(target)

    def finish_here(self, target: Target) -> None:
        """Do what `finish` does, in this process: for long sweeps."""
        ran = self.project.call(*self.words(target))
        assert ran.status == 0, ran.err
        self.require_converged(target)
        # A run is over when its process is: what it held open must not outlive it.
        gc.collect()

    def forget_trash(self) -> None:
        """Empty the trash, so that the next sync has to download."""
        shutil.rmtree(self.project.root / ".civsync" / "trash", ignore_errors=True)

    def forget_root(self) -> None:
        """Go back to a machine that never saw this root."""
        shutil.rmtree(self.project.root, ignore_errors=True)
        shutil.rmtree(self.state_dir, ignore_errors=True)
        self.place_foreign()

    @property
    def state_dir(self) -> Path:
        """Where civsync remembers roots."""
        return self.project.folder / ".home" / "civsync"


@contextmanager
def crash_world(folder: Path, *, size: int = 300 * KIB) -> Iterator[CrashWorld]:
    """Serve the models, lock both manifests, and leave an empty root."""
    registry = Registry()
    ids = [_add_model(registry, name, size) for name in ("kept", "moved", "dropped", "added")]
    kept, moved, dropped, added = ids
    left, right = (_add_model(registry, name, size // 4) for name in ("left", "right"))
    changed = registry.add_model("changed", type="LORA")
    versions = [changed.add_version(name) for name in ("v1", "v2")]
    for number, version in enumerate(versions):
        version.add_file("changed.safetensors", safetensors(f"changed {number}", size * 3))
    twin = registry.add_model("twin", type="LORA")
    twin.add_version().add_file("twin.safetensors", safetensors("kept", size))
    one = (
        f"model: {kept}",
        f"{{model: {moved}, directory: loras/before}}",
        f"model: {dropped}",
        f"{{model: {changed.id}, version: {versions[0].id}, filename: changed.safetensors}}",
        f"{{model: {left}, filename: left.safetensors}}",
        f"{{model: {right}, filename: right.safetensors}}",
    )
    other = (
        f"model: {kept}",
        f"{{model: {moved}, directory: loras/after/deep}}",
        f"model: {added}",
        f"{{model: {changed.id}, version: {versions[1].id}, filename: changed.safetensors}}",
        f"{{model: {left}, filename: right.safetensors}}",
        f"{{model: {right}, filename: left.safetensors}}",
        f"model: {twin.id}",
    )
    with serve(registry) as served:
        project = Project(folder, served.api_url)
        targets = [_lock(project, name, entries) for name, entries in (("1", one), ("2", other))]
        yield CrashWorld(project, served, *targets)


@contextmanager
def many_small_files(folder: Path, *, files: int, size: int) -> Iterator[CrashWorld]:
    """Serve two versions of so many files in two directories: one target wants the first of each.

    The other one wants the second of every third file, so that these are replaced.
    """
    registry = Registry()
    one, other = [], []
    for number in range(files):
        model = registry.add_model(f"small {number}", type=("LORA", "VAE")[number % 2])
        versions = [model.add_version(name) for name in ("v1", "v2")]
        for at, version in enumerate(versions):
            data = safetensors(f"small {number} {at}", size)
            version.add_file(f"small-{number}.safetensors", data)
        wanted = [
            f"{{model: {model.id}, version: {version.id}, filename: small-{number}.safetensors}}"
            for version in versions
        ]
        one.append(wanted[0])
        other.append(wanted[number % 3 == 0])
    with serve(registry) as served:
        project = Project(folder, served.api_url)
        targets = [
            _lock(project, name, tuple(entries)) for name, entries in (("1", one), ("2", other))
        ]
        yield CrashWorld(project, served, *targets)


def _add_model(registry: Registry, name: str, size: int) -> int:
    model = registry.add_model(name, type="LORA")
    model.add_version().add_file(f"{name}.safetensors", safetensors(name, size))
    return model.id


def _lock(project: Project, name: str, entries: tuple[str, ...]) -> Target:
    project.write(*entries)
    ran = project.run("lock", "--lock", f"{name}.lock")
    assert ran.status == 0, ran.err
    lock = project.folder / f"{name}.lock"
    document = json.loads(lock.read_text("utf-8"))
    files = [file for entry in document["entries"] for file in entry["files"]]
    return Target(lock=lock, wanted={file["path"]: file["sha256"] for file in files})


def sha256(data: bytes) -> str:
    """Return the SHA-256 as the lock writes it."""
    return hashlib.sha256(data).hexdigest()
