"""Real file systems in a file, whose power can be cut: ext4 and xfs on loop devices, as root.

A cut is the shutdown ioctl that xfstests uses: from that instant nothing more reaches the
medium, and what was only in memory is lost when the disk is mounted again.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

MIB: Final = 1024 * 1024

FS_IOC_SHUTDOWN: Final = 0x8004587D
"""`_IOR('X', 125, __u32)` of the kernel's `fs.h`."""

LOG_FLUSHED: Final = 1
LOG_LOST: Final = 2
"""Whether the journal in memory still reaches the medium before the end: both happen."""

_MAKE: Final[Mapping[str, tuple[list[str], int]]] = {
    "ext4": (["mkfs.ext4", "-q", "-F"], 192 * MIB),
    "xfs": (["mkfs.xfs", "-q", "-f"], 320 * MIB),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], 256 * MIB),
}
"""How each is made, and the size of the (sparse) file: about the least that its maker takes."""


class LoopDisk:
    """One file system, mounted at `place`. Made by `loop_disk`."""

    def __init__(self, image: Path, place: Path) -> None:
        self._image = image
        self.place = place

    def cut(self, how: int) -> None:
        """Cut the power; `how` is LOG_FLUSHED or LOG_LOST."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(fd)

    def come_back(self) -> None:
        """Mount it again as it is on the medium; nobody may have a file open on it."""
        subprocess.run(["umount", self.place], check=True)
        subprocess.run(["mount", "-o", "loop", self._image, self.place], check=True)


@contextmanager
def loop_disk(kind: str, image: Path, place: Path) -> Iterator[LoopDisk]:
    """Mount a new file system of this kind at `place`; skip the test, saying why, if none can be.

    `image` is the file that it lives in.
    """
    make, size = _MAKE[kind]
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a loop device needs root")
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([*make, image], check=True, capture_output=True)
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no {kind} can be mounted here: {done.stderr.strip()}")
    try:
        yield LoopDisk(image, place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        image.unlink()
