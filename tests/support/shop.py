"""A registry with something on offer, a project that wants it, and civsync between them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import Body, read
from civsync.demo.registry import File, Model, Registry
from civsync.demo.served import Served, serve
from support.cli import Project, Ran

DOWNLOADS = "/api/download/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """`registry` is what upstream has, `served` what was asked of it, `project` the user's."""

    registry: Registry
    served: Served
    project: Project

    def offer(self, *sizes: int, bodies: Mapping[str, bytes | Body] | None = None) -> list[Model]:
        """Let upstream have a LORA for each size, and one for each named body."""
        wares: dict[str, bytes | Body] = {
            f"m{len(self.registry.models) + number}.safetensors": safetensors(
                f"ware {len(self.registry.models) + number}", size
            )
            for number, size in enumerate(sizes)
        }
        wares.update(bodies or {})
        models = []
        for name, data in wares.items():
            model = self.registry.add_model(name.partition(".")[0], creator="lab")
            model.add_version("v1", base_model="SDXL 1.0").add_file(name, data)
            models.append(model)
        return models

    def want(self, *models: Model, head: str = "", **keys: str) -> None:
        """Write a manifest with these models; `keys` are added to each entry."""
        more = "".join(f", {key}: {value}" for key, value in keys.items())
        self.project.write(*(f"{{model: {model.id}{more}}}" for model in models), head=head)

    def sync(self, *words: str, env: Mapping[str, str] | None = None) -> "Synced":
        """Run `civsync sync --json` and read how it ended."""
        return Synced(ran=self.project.run("sync", "--json", *words, env=env))

    def stocked(self, *sizes: int) -> list[Model]:
        """Offer, want and sync LORAs of these sizes; forget what that asked."""
        models = self.offer(*sizes)
        self.want(*models)
        ran = self.project.call("sync")
        assert ran.status == 0, ran.err
        self.served.reset_counts()
        return models

    def locked(self, *models: Model, head: str = "") -> None:
        """Write a manifest and lock it; forget what that asked."""
        self.want(*models, head=head)
        ran = self.project.call("lock")
        assert ran.status == 0, ran.err
        self.served.reset_counts()

    @property
    def tree(self) -> dict[str, bytes]:
        """What is under final names."""
        return self.project.files()

    @property
    def control(self) -> Path:
        """The control folder."""
        return self.project.root / ".civsync"

    def parts(self) -> list[int]:
        """Sizes of what is half-received."""
        folder = self.control / "parts"
        return sorted(path.stat().st_size for path in folder.iterdir()) if folder.exists() else []

    def trash(self) -> list[bytes]:
        """Contents of what was retired or replaced."""
        folder = self.control / "trash"
        return sorted(path.read_bytes() for path in folder.glob("*.retired"))

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of each request to the storage so far."""
        return [r.header("range") for r in self.served.requests if r.origin == "storage"]

    def nothing_wrong_under_a_name(self) -> None:
        """Check promise 1: what has a name is exactly some file of upstream."""
        known = {read(file.body) for _, _, file in self.registry.every_file()}
        for name, data in self.tree.items():
            assert data in known, f"{name} holds {len(data)} bytes that upstream never had"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How a sync ended."""

    ran: Ran

    @property
    def status(self) -> int:
        """The exit status."""
        return self.ran.status

    @property
    def end(self) -> dict[str, Any]:
        """The last line: the event `finished`, or an error."""
        last: dict[str, Any] = self.ran.events[-1]
        return last

    @property
    def done(self) -> dict[str, int]:
        """What was done, by kind."""
        done: dict[str, int] = self.end["done"]
        return done

    @property
    def error(self) -> dict[str, Any]:
        """The error of the run as a whole."""
        assert self.end["schema"] == "civsync.error", self.end
        error: dict[str, Any] = self.end["error"]
        return error

    @property
    def failed(self) -> dict[str, dict[str, Any]]:
        """What failed, name of the file to error."""
        return {each["path"].rpartition("/")[2]: each["error"] for each in self.end["failed"]}

    @property
    def codes(self) -> dict[str, str]:
        """What failed, name of the file to code."""
        return {name: error["code"] for name, error in self.failed.items()}

    def events(self, kind: str) -> list[dict[str, Any]]:
        """All events of a kind."""
        return [event for event in self.ran.events if event.get("event") == kind]


@contextmanager
def open_shop(folder: Path, registry: Registry | None = None) -> Iterator[Shop]:
    """Serve a registry to a project in `folder`."""
    registry = registry or Registry()
    with serve(registry) as served:
        yield Shop(registry=registry, served=served, project=Project(folder, served.api_url))


def only_file(model: Model) -> File:
    """Return the file of a model that has one."""
    return model.versions[0].files[0]


def listing(*roots: Path) -> dict[str, tuple[int, ...]]:
    """Return everything below `roots` with its inode, size, mode and times of change."""
    found: dict[str, tuple[int, ...]] = {}
    for root in roots:
        for place in [root, *root.rglob("*")]:
            status = os.lstat(place)
            found[str(place)] = (
                status.st_ino,
                status.st_size,
                status.st_mode,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
    return found


def edit_lock(project: Project, **keys: object) -> None:
    """Change keys of every locked file by hand."""
    document = json.loads(project.lock.read_text("utf-8"))
    for entry in document["entries"]:
        for file in entry["files"]:
            file.update(keys)
    project.lock.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
