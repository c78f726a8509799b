"""Receive one file as civsync's transport does, and do nothing else with it.

    python receive_only.py URL FILE

No hash, no flush, no lock: what is left is the cost of the wire. Redirects are followed.
"""

import asyncio
import os
import sys
from collections.abc import Callable

from civsync.core.wire import Head
from civsync.wire.transport import HttpTransport


async def receive(url: str, fd: int) -> None:
    """Pour the body at `url` into `fd`."""
    address: str | None = url
    transport = HttpTransport()
    try:
        while address is not None:
            head_seen: list[Head] = []
            await transport.stream(address, {}, _judge(head_seen, fd))
            status = head_seen[0].status
            address = head_seen[0].header("location") if 300 <= status < 400 else None
            if address is None and status != 200:
                raise SystemExit(f"the server answered {status}")
    finally:
        await transport.aclose()


def _judge(
    seen: list[Head], fd: int
) -> Callable[[Head], Callable[[memoryview | bytes], None] | None]:
    def write(data: memoryview | bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    def judge(head: Head) -> Callable[[memoryview | bytes], None] | None:
        seen.append(head)
        return write if head.status == 200 else None

    return judge


def main() -> None:
    """Receive the file that the command line names."""
    _, url, name = sys.argv
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        asyncio.run(receive(url, fd))
    finally:
        os.close(fd)


if __name__ == "__main__":
    main()
