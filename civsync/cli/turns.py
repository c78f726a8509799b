"""Take a root for a command, and wait for one's turn where the user wants that."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from civsync.cli.options import Context
from civsync.cli.output import count_text, show
from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.disk.lockfile import POLL_S, hold_root
from civsync.disk.root import Root


@contextmanager
def in_turn(context: Context, root: Root, command: str) -> Iterator[None]:
    """Hold an established root for `command`. Raises DiskError root-busy, naming the holder."""

    def tell(busy: DiskError) -> None:
        context.output.talk(waiting_text(busy, context.wait_s))

    with hold_root(root, command=command, wait_s=context.wait_s, waiting=tell):
        yield


@asynccontextmanager
async def in_turn_async(
    context: Context, root: Root, command: str, tell: Callable[[str], None]
) -> AsyncIterator[None]:
    """Do what `in_turn` does, and let everything else go on meanwhile, signals above all."""
    import anyio

    deadline = anyio.current_time() + context.wait_s
    with ExitStack() as held:
        told = False
        while True:
            try:
                held.enter_context(hold_root(root, command=command))
                break
            except DiskError as busy:
                if busy.code is not Code.ROOT_BUSY or anyio.current_time() >= deadline:
                    raise
                if not told:
                    tell(waiting_text(busy, context.wait_s))
                    told = True
            await anyio.sleep(POLL_S)
        yield


def waiting_text(busy: DiskError, wait_s: int) -> str:
    """Return the line for who waits: for whom, and how long."""
    return f"{show(busy.message)}; waiting up to {count_text(wait_s, 'second')}"
