"""File systems that lack what others have, mounted for a test: see `support.fuse_passthrough`."""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_PATIENCE_S: Final = 60
"""How long the server may take for a line: far more than it needs, and an end if it hangs."""


class FuseDisk:
    """One such file system at `place`; what it holds lies in `backing`. Made by `fuse_disk`."""

    def __init__(self, server: "subprocess.Popen[bytes]", place: Path, backing: Path) -> None:
        self._server = server
        self.place = place
        self.backing = backing

    def kill_at(self, change: int) -> None:
        """Kill whoever makes that change of the disk, counted from 1, from now on."""
        self._order(change)

    def changes(self) -> int:
        """Return how many changes there were since `kill_at`, and kill nobody any more."""
        return self._order(0)

    def _order(self, number: int) -> int:
        assert self._server.stdin is not None
        self._server.stdin.write(b"%d\n" % number)
        self._server.stdin.flush()
        return int(_line(self._server))


@contextmanager
def fuse_disk(place: Path, backing: Path, *traits: str) -> Iterator[FuseDisk]:
    """Mount one at `place`; skip the test, saying why, if none can be.

    Whatever happens in the block, nothing is mounted and nobody waits for it afterwards: the
    end of the server's stdin is its end, also when this process is killed.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a FUSE file system needs root")
    if not Path("/dev/fuse").exists():
        pytest.skip("this kernel has no FUSE: there is no /dev/fuse")
    for folder in (place, backing):
        folder.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen(
        [sys.executable, "-m", "support.fuse_server", str(place), str(backing), *traits],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A Ctrl-C is for the tests: this one has to unmount what they still use.
        start_new_session=True,
    )
    with server:
        try:
            said = _line(server)
            if said != "ready":
                pytest.skip(f"no FUSE file system can be mounted here: {said}")
            yield FuseDisk(server, place, backing)
        finally:
            _end(server, place)


def _end(server: "subprocess.Popen[bytes]", place: Path) -> None:
    """Let the server go, or make it; without one every call below `place` fails at once."""
    assert server.stdin is not None
    with contextlib.suppress(OSError):
        server.stdin.close()
    try:
        server.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def _line(server: "subprocess.Popen[bytes]") -> str:
    """Return what the server says next; "" if it says nothing."""
    assert server.stdout is not None
    ready, _, _ = select.select([server.stdout], [], [], _PATIENCE_S)
    return server.stdout.readline().decode().strip() if ready else ""
