"""Two projects of one user on one machine, with roots of their own, before one registry."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from civsync.demo.registry import Model, Registry
from civsync.demo.served import serve
from support.cli import Project
from support.shop import Shop, Synced


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`one` is in step with what it wants, `other` wants the same, is locked, and has nothing."""

    one: Shop
    other: Shop
    state: Path

    @property
    def index(self) -> Path:
        """The index of known files."""
        return self.state / "known-files.sqlite"

    def rows(self) -> list[tuple[str, str]]:
        """Root and path of each row of the index."""
        with closing(sqlite3.connect(self.index)) as connection:
            rows = connection.execute("SELECT root, path FROM files").fetchall()
        return sorted((Path(root.decode()).parent.name, path) for root, path in rows)

    def execute(self, statement: str, *values: object) -> None:
        """Change the index behind civsync's back."""
        with closing(sqlite3.connect(self.index)) as connection, connection:
            connection.execute(statement, values)

    def sync_other(self, *words: str) -> Synced:
        """Sync the root that has nothing yet."""
        return Synced(ran=self.other.project.call("sync", "--json", "--frozen", *words))

    @property
    def asked(self) -> int:
        """How many requests the registry and its storage have had."""
        return len(self.one.served.requests)


@contextmanager
def two_roots(folder: Path, *sizes: int, other: Path | None = None) -> Iterator[Machine]:
    """Serve a registry to two projects below `folder`; the second one may lie in `other`."""
    registry = Registry()
    with serve(registry) as served:
        one = Shop(
            registry=registry, served=served, project=Project(folder / "one", served.api_url)
        )
        second = Project(other or folder / "other", served.api_url)
        state = folder / "state"
        for project in (one.project, second):
            project.environment["XDG_STATE_HOME"] = str(state)
        models: list[Model] = one.stocked(*sizes)
        two = Shop(registry=registry, served=served, project=second)
        two.locked(*models)
        yield Machine(one=one, other=two, state=state / "civsync")
