"""Tiny memory-backed file systems, to fill up or to make read-only. They need root."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[None]:
    """Mount a tmpfs with these options (`size=1m`, `nr_inodes=20`) at `place`; skip if not root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def change_small_disk(place: Path, options: str) -> None:
    """Give the small disk at `place` other options, such as more room."""
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


@contextmanager
def read_only_disk(
    place: Path, before: Callable[[], object] | None = None, *, size: str = "4m"
) -> Iterator[None]:
    """Mount a small disk that is read-only after `before` was called."""
    with small_disk(place, f"size={size}"):
        if before is not None:
            before()
        change_small_disk(place, "ro")
        yield
