"""A run that can be steered and downloads nothing: the seam `Control` in memory, and served."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from civsync.cli.controls import open_controls
from civsync.cli.options import Context
from civsync.cli.output import OutputChoice
from civsync.cli.progress import JsonLines
from civsync.core.control import (
    Cancel,
    Limit,
    Order,
    Pause,
    Prioritize,
    Resume,
    RunView,
    Stage,
    TransferView,
)
from civsync.core.lock import LockedEntry
from civsync.core.names import SafePath, parse_path
from civsync.core.plan import Fetch, Plan, Want
from civsync.disk.root import Root, open_root
from support.lock_values import locked_entry, locked_file

A, B, C = (parse_path(f"loras/{name}.safetensors") for name in "abc")
WAIT_S = 30
ENTRIES = (
    locked_entry(locked_file(A, "a" * 100, model_id=11), key="11@latest"),
    locked_entry(locked_file(B, "b" * 100, model_id=12), key="12@latest"),
    locked_entry(locked_file(C, "c" * 100, model_id=13), key="13@latest"),
)


@dataclass
class FakeControl:
    """Remembers orders, and changes its view as a run would at once."""

    transfers: dict[SafePath, TransferView] = field(default_factory=dict)
    limit_rate: int | None = None
    orders: list[Order] = field(default_factory=list)

    def view(self) -> RunView:
        return RunView(
            transfers=tuple(self.transfers.values()), received=130, limit_rate=self.limit_rate
        )

    def obey(self, order: Order) -> int:
        self.orders.append(order)
        match order:
            case Pause(paths=paths):
                return self._move(paths, {Stage.RUNNING, Stage.WAITING}, Stage.PAUSED)
            case Resume(paths=paths):
                return self._move(paths, {Stage.PAUSED}, Stage.WAITING)
            case Cancel(paths=paths):
                open_ = {Stage.RUNNING, Stage.WAITING, Stage.PAUSED}
                return self._move(paths, open_, Stage.CANCELLED)
            case Prioritize(paths=paths, priority=priority):
                for path in paths:
                    self.transfers[path] = replace(self.transfers[path], priority=priority)
                return len(paths)
            case Limit(rate=rate):
                self.limit_rate = rate
                return 0

    def _move(self, paths: frozenset[SafePath] | None, from_: set[Stage], to: Stage) -> int:
        moved = [
            each
            for each in self.transfers.values()
            if each.stage in from_ and (paths is None or each.path in paths)
        ]
        for each in moved:
            self.transfers[each.path] = replace(each, stage=to, connections=0)
        return len(moved)


def fake_control(entries: tuple[LockedEntry, ...] = ENTRIES) -> FakeControl:
    """A run of these entries: the first file is running, half of it is there; the rest waits."""
    views: dict[SafePath, TransferView] = {}
    for entry in entries:
        for file in entry.files:
            views[file.path] = TransferView(
                path=file.path,
                entry=entry.key,
                size=file.size,
                held=0 if views else file.size // 2,
                stage=Stage.WAITING if views else Stage.RUNNING,
                priority=entry.priority,
                connections=0 if views else 2,
            )
    return FakeControl(views)


def plan_of(entries: tuple[LockedEntry, ...] = ENTRIES) -> Plan:
    """A plan that fetches all files of these entries."""
    return Plan(
        actions=tuple(
            Fetch(want=Want(entry=entry, file=file)) for entry in entries for file in entry.files
        )
    )


def established(folder: Path) -> Root:
    """An established root."""
    root = open_root(folder, state_dir=folder.with_name(f"{folder.name}-state"))
    root.establish()
    return root


def context_of(choice: OutputChoice | None = None) -> Context:
    """The context of a sync."""
    context = Context()
    context.command = "sync"
    context.output.choice = choice or OutputChoice()
    return context


@contextlib.contextmanager
def steered(
    root: Root,
    control: FakeControl,
    *,
    entries: tuple[LockedEntry, ...] = ENTRIES,
    context: Context | None = None,
) -> Iterator[None]:
    """Take orders for `control` in a thread, as a running sync does, while this lasts."""
    ready, over = threading.Event(), threading.Event()
    spoken = context or context_of()
    display = JsonLines(spoken.output, stream=False)
    failures: list[BaseException] = []

    async def run() -> None:
        async with open_controls(spoken, display, root, control, plan_of(entries)):
            ready.set()
            await anyio.to_thread.run_sync(over.wait)

    def work() -> None:
        try:
            anyio.run(run)
        except BaseException as error:  # noqa: BLE001 - told to the test, in its own thread
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield
    finally:
        over.set()
        thread.join(WAIT_S)
    assert not thread.is_alive()
    assert failures == []
