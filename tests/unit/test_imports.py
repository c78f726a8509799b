"""A run with nothing to do loads only what it needs: each import is paid by every such run.

The process says itself what it loaded, in its last moment.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from civsync.demo.registry import Registry
from civsync.demo.served import serve
from support.cli import Project

SAY_MODULES = (
    "import atexit, json, runpy, sys;"
    "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.__stdout__));"
    "sys.argv = ['civsync', *sys.argv[1:]];"
    "runpy.run_module('civsync', run_name='__main__')"
)

NEVER_OFFLINE = frozenset(
    {"anyio", "asyncio", "certifi", "h11", "http.client", "httpcore", "httpx", "socket", "ssl"}
)
FOR_OTHER_THINGS = frozenset(
    {"concurrent.futures", "jsonschema", "keyring", "rich", "sqlite3", "subprocess", "yaml"}
)
FOR_WORK = frozenset(
    {
        "civsync.cli.acting",
        "civsync.cli.goal",
        "civsync.cli.progress",
        "civsync.core.lock",
        "civsync.core.plan",
        "civsync.decide",
        "civsync.disk.known_files",
        "civsync.disk.parts",
        "civsync.disk.store",
        "civsync.documents.lock",
        "civsync.engine",
        "civsync.sources",
        "civsync.wire",
    }
)


ALL_OF_OURS = frozenset(
    {
        "civsync",
        "civsync.cli",
        "civsync.cli.in_step",
        "civsync.cli.output",
        "civsync.cli.settings",
        "civsync.cli.start",
        "civsync.cli.texts",
        "civsync.core",
        "civsync.core.errors",
        "civsync.core.exits",
        "civsync.core.groups",
        "civsync.core.limits",
        "civsync.core.secrets",
        "civsync.disk",
        "civsync.disk.beneath",
        "civsync.disk.digest",
        "civsync.disk.durable",
        "civsync.disk.faults",
        "civsync.disk.folder",
        "civsync.disk.root",
        "civsync.disk.settled",
        "civsync.disk.slices",
        "civsync.disk.state",
        "civsync.documents",
        "civsync.documents.record",
        "civsync.documents.settled",
    }
)
"""What the plainest run with nothing to do needs: a module more is a millisecond more."""

FOR_OTHER_FLAGS = frozenset(
    {
        "civsync.cli.commands",
        "civsync.cli.groups",
        "civsync.cli.main",
        "civsync.cli.options",
    }
)

HEAVY = frozenset(
    {"dataclasses", "email", "http", "random", "shutil", "tempfile", "traceback", "unicodedata"}
)
"""Modules of the standard library that such a run did without when this was written."""

HEAVY_AT_THE_DOOR = frozenset({"hashlib", "pathlib", "urllib"})
"""The same where click is not loaded, either."""


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is in step: locked, synced, and looked at once more."""
    registry = Registry()
    model = registry.add_model("one")
    model.add_version().add_file("one.safetensors")
    with serve(registry) as served:
        project = Project(tmp_path_factory.mktemp("project"), served.api_url)
        project.write(f"model: {model.id}")
        for words in (("lock",), ("sync",), ("sync",)):
            ran = project.run(*words)
            assert ran.status == 0, ran.err
    return project


def modules_of(project: Project, *words: str) -> set[str]:
    """Run civsync and return what it had loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", SAY_MODULES, *words],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words",
    [("sync",), ("sync", "--locked"), ("sync", "--frozen"), ("status",)],
    ids=" ".join,
)
def test_a_run_with_nothing_to_do_loads_nothing_to_do_it_with(
    words: tuple[str, ...], synced: Project
) -> None:
    loaded = modules_of(synced, *words)
    assert loaded & (NEVER_OFFLINE | FOR_OTHER_THINGS | FOR_WORK) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked for folders")
@pytest.mark.parametrize(
    ("words", "more", "packages"),
    [
        (("sync",), frozenset(), {"blake3", "civsync"}),
        (("sync", "--locked", "-q"), frozenset(), {"blake3", "civsync"}),
        (("sync", "--frozen"), frozenset(), {"blake3", "civsync"}),
        (("status",), frozenset(), {"blake3", "civsync"}),
        (
            ("sync", "--no-progress"),
            FOR_OTHER_FLAGS | {"civsync.cli.commands.sync"},
            {"blake3", "civsync", "click"},
        ),
        (
            ("status", "--no-progress"),
            FOR_OTHER_FLAGS | {"civsync.cli.commands.status"},
            {"blake3", "civsync", "click"},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_run_with_nothing_to_do_loads_these_modules_and_no_other(
    words: tuple[str, ...], more: frozenset[str], packages: set[str], synced: Project
) -> None:
    loaded = modules_of(synced, *words)
    ours = {name for name in loaded if name.partition(".")[0] == "civsync"}
    assert ours == ALL_OF_OURS | more
    outside = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    # What a virtual environment adds to itself as it starts begins with an underscore.
    assert {name for name in outside if not name.startswith("_")} == packages
    assert loaded & (HEAVY if more else HEAVY | HEAVY_AT_THE_DOOR) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("sync", "--dry-run"),
        ("sync", "--check"),
        ("status", "--json"),
        ("list",),
        ("explain", "gone"),
        ("schema", "lock"),
    ],
    ids=" ".join,
)
def test_a_command_that_only_looks_loads_nothing_of_the_network(
    words: tuple[str, ...], synced: Project
) -> None:
    loaded = modules_of(synced, *words)
    assert loaded & (NEVER_OFFLINE | {"yaml", "jsonschema"}) == set()


def test_a_changed_file_is_seen_by_the_very_next_run(synced: Project) -> None:
    """The short way must never be taken where something did change."""
    placed = next(iter(synced.files()))
    path = Path(synced.root / placed)
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    ran = synced.run("sync", "--offline")
    assert ran.status == 8
    assert "modified-file" in ran.err
    path.write_bytes(kept)
    assert synced.run("sync", "--offline").status == 0


@pytest.mark.parametrize("mode", ["--frozen", "--locked"])
def test_a_changed_lock_is_seen_by_the_very_next_run(synced: Project, mode: str) -> None:
    lock = synced.folder / "civsync.lock"
    kept = lock.read_bytes()
    placed = next(iter(synced.files()))
    # As long as before, with its old time: only its digest tells.
    times = lock.stat().st_atime_ns, lock.stat().st_mtime_ns
    lock.write_bytes(kept.replace(placed.encode(), placed.replace("one", "two").encode()))
    os.utime(lock, ns=times)
    ran = synced.run("sync", mode, "--offline", "--dry-run")
    assert "nothing to do" not in ran.err
    ran = synced.run("sync", mode, "-q")
    assert ran.status != 0 or next(iter(synced.files())) != placed
    lock.write_bytes(kept)
    assert synced.run("sync", mode, "--offline").status == 0
    assert next(iter(synced.files())) == placed
