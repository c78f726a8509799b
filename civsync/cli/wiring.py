"""Put adapters together: the source and its transport, the disk below a root."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.declared import find_declared
from civsync.cli.settings import Settings, state_dir
from civsync.core.disk import Receipt
from civsync.core.errors import CivsyncError
from civsync.core.limits import DEFAULT_CONNECTIONS, MIN_SPEED
from civsync.core.link_mode import LinkMode
from civsync.core.plan import Plan
from civsync.core.values import dataclass
from civsync.disk.ledger import DiskLedger
from civsync.disk.lockfile import hold_root
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root, open_root
from civsync.disk.store import DiskStore
from civsync.disk.trash_can import DiskTrashCan

if TYPE_CHECKING:
    from civsync.cli.options import Context
    from civsync.core.secrets import Token
    from civsync.disk.elsewhere import Elsewhere
    from civsync.disk.known_files import KnownFiles
    from civsync.engine.world import World
    from civsync.ports import Reporter
    from civsync.sources.civitai import CivitaiSource
    from civsync.wire.transport import HttpTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Everything below one root."""

    root: Root
    store: DiskStore
    parts: DiskParts
    ledger: DiskLedger
    trash: DiskTrashCan

    def remember(self, world: "World") -> None:
        """Write down what was learned of contents, if that is possible without waiting.

        Only a short cut for the next look: a busy or read-only root is no failure. The look
        did not hold the root, so what another command wrote meanwhile stands instead.
        """
        if not self.root.root_id:
            return
        with contextlib.suppress(CivsyncError), hold_root(self.root, command="civsync status"):
            if self.ledger.read() == world.before:
                self.ledger.commit(world.receipt)


def note_known_files(disk: Disk, receipt: Receipt) -> None:
    """Note for all roots of this machine what is known to lie below this one.

    Only a short cut, as the index itself is: nothing of it is a failure.
    """
    if (index := _known_files()) is not None:
        index.note(disk.root.beneath.root, receipt)


def with_elsewhere(disk: Disk, plan: Plan, mode: LinkMode) -> tuple[Disk, "Elsewhere | None"]:
    """Return a disk whose parts also come from other roots of this machine, if any can."""
    from civsync.disk.elsewhere import Elsewhere

    index = _known_files()
    if mode is LinkMode.OFF or index is None or not plan.fetches:
        return disk, None
    places = index.find({action.want.file.sha256 for action in plan.fetches})
    if not places:
        return disk, None
    elsewhere = Elsewhere(places, mode)
    return replace(disk, parts=DiskParts(disk.root, elsewhere=elsewhere)), elsewhere


def forget_stale(elsewhere: "Elsewhere") -> None:
    """Drop from the index what turned out not to be so."""
    if (index := _known_files()) is not None:
        index.forget(elsewhere.stale)


def _known_files() -> "KnownFiles | None":
    try:
        from civsync.disk.known_files import KnownFiles
    except ImportError:  # Python can be built without SQLite
        return None
    return KnownFiles(state_dir())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """How hard bytes may be pulled; rates in bytes a second, see `HttpTransport`."""

    connections: int = DEFAULT_CONNECTIONS
    limit_rate: int | None = None
    min_speed: int = MIN_SPEED


def open_disk(path: Path, settings: Settings, *, accept_new: bool = False) -> Disk:
    """Open a root without writing anything; it need not exist yet.

    Raises SafetyError as `open_root`; UserError config-invalid, usage.
    """
    declared = find_declared(settings, path)
    root = open_root(
        path,
        state_dir=state_dir(),
        accept_new=accept_new,
        declared=declared,
        durable=settings.durable,
    )
    return Disk(
        root=root,
        store=DiskStore(root),
        parts=DiskParts(root),
        ledger=DiskLedger(root),
        trash=DiskTrashCan(root),
    )


@asynccontextmanager
async def open_wire(
    api_url: str,
    token: "Token | None",
    report: "Reporter",
    *,
    account: str | None = None,
    pull: Pull | None = None,
) -> "AsyncIterator[tuple[CivitaiSource, HttpTransport]]":
    """Open source and transport; nothing is asked before somebody asks.

    `account` is whose the token is, where that was asked before.
    """
    from civsync.decide.origins import api_origin
    from civsync.engine.clock import SystemClock
    from civsync.sources.civitai import CivitaiSource
    from civsync.wire.transport import HttpTransport

    pull = pull or Pull()
    transport = HttpTransport(
        api_host=api_origin(api_url).host,
        connections=pull.connections,
        limit_rate=pull.limit_rate,
        min_speed=pull.min_speed,
    )
    try:
        yield (
            CivitaiSource(
                transport,
                SystemClock(),
                api_url=api_url,
                token=token,
                report=report,
                account=account,
            ),
            transport,
        )
    finally:
        await transport.aclose()


@asynccontextmanager
async def open_source(
    api_url: str, token: "Token | None", report: "Reporter"
) -> "AsyncIterator[CivitaiSource]":
    """Open a source alone."""
    async with open_wire(api_url, token, report) as (source, _):
        yield source


@asynccontextmanager
async def open_source_of(context: "Context", report: "Reporter") -> "AsyncIterator[CivitaiSource]":
    """Open the source that the settings name, with the user's key if there is one."""
    from civsync.cli.credentials import find_credentials
    from civsync.cli.settings import find_api_url

    api_url = find_api_url(context.settings)
    credentials = find_credentials(api_url)
    token = credentials.token if credentials else None
    async with open_source(api_url, token, report) as source:
        if token is not None:
            context.output.hide(token)
        context.account = await source.check_login()
        yield source
