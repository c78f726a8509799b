"""Roots to run one contract suite on: the twin in memory, and the real thing twice."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from civsync.disk.ledger import DiskLedger
from civsync.disk.parts import DiskParts
from civsync.disk.root import Root, open_root
from civsync.disk.store import DiskStore
from civsync.disk.trash_can import DiskTrashCan
from civsync.ports import BlindParts, Ledger, Parts, Quarantine, Store, TrashCan
from support.memory_disk import (
    MemoryDisk,
    MemoryLedger,
    MemoryParts,
    MemoryStore,
    MemoryTrashCan,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A root with its ports, and the hands of a stranger who edits files.

    `again` opens the same root as the next run would.
    """

    store: Store
    quarantine: Quarantine
    parts: Parts
    blind: BlindParts
    trash: TrashCan
    ledger: Ledger
    put: Callable[[str, bytes], object]
    read: Callable[[str], bytes | None]
    again: Callable[[], "World"]


def memory_world(disk: MemoryDisk) -> World:
    """Return the twin."""
    return World(
        store=MemoryStore(disk),
        quarantine=MemoryStore(disk),
        parts=MemoryParts(disk),
        blind=MemoryParts(disk),
        trash=MemoryTrashCan(disk),
        ledger=MemoryLedger(disk),
        put=disk.put,
        read=disk.read,
        again=lambda: memory_world(disk),
    )


def real_world(folder: Path, *, plain: bool) -> World:
    """Return the real adapters over `folder`; `plain` is the way without descriptors."""
    root = make_root(folder, plain=plain)
    tree = root.path

    def put(path: str, data: bytes) -> None:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)

    def read(path: str) -> bytes | None:
        return (tree / path).read_bytes() if os.path.isfile(tree / path) else None

    return World(
        store=DiskStore(root),
        quarantine=DiskStore(root),
        parts=DiskParts(root),
        blind=DiskParts(root),
        trash=DiskTrashCan(root),
        ledger=DiskLedger(root),
        put=put,
        read=read,
        again=lambda: real_world(folder, plain=plain),
    )


def make_root(folder: Path, *, plain: bool = False) -> Root:
    """Open and establish a root below `folder`, with its own state directory."""
    root = open_root(folder / "models", state_dir=folder / "state", plain=plain)
    root.establish()
    return root


def make_world(kind: str, folder: Path) -> World:
    """Return the world of this kind: "memory", "disk", "plain-disk"."""
    if kind == "memory":
        return memory_world(MemoryDisk())
    if kind == "disk" and os.name == "nt":
        pytest.skip("Windows has no directory descriptors")
    return real_world(folder, plain=kind == "plain-disk")


KINDS = ("memory", "disk", "plain-disk")
