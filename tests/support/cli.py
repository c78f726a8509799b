"""Run civsync as a user does: in a folder of its own, and a process of its own if it matters."""

import atexit
import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from civsync.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def events(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


class Project:
    """A folder with a manifest, against one API origin."""

    def __init__(self, folder: Path, api_url: str = "http://127.0.0.1:1") -> None:
        self.folder = folder
        self.environment = clean_environment(folder)
        self.environment["CIVSYNC_API_URL"] = api_url
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        """Where the models go."""
        return self.folder / "models"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.folder / "civsync.yaml"

    @property
    def lock(self) -> Path:
        """The lock."""
        return self.folder / "civsync.lock"

    def write(self, *entries: str, head: str = "") -> None:
        """Write a manifest with these items under `models:`; `head` goes above."""
        body = "".join(f"  - {entry}\n" for entry in entries) if entries else "  []\n"
        self.manifest.write_text(f"version: 1\n{head}models:\n{body}", encoding="utf-8")

    def run(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 60,
    ) -> Ran:
        """Run one command to its end."""
        done = subprocess.run(
            command(*words),
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(status=done.returncode, out=done.stdout, err=done.stderr)

    def call(self, *words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
        """Run one command in this process: for long tables, where a process each takes too long.

        Streams, folder and environment are those of `run` while it lasts.
        """
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            contextlib.chdir(self.folder),
            _environment({**self.environment, **(env or {})}),
            _standard_input(stdin),
        ):
            status = int(main(words))
        return Ran(status=status, out=out.getvalue(), err=err.getvalue())

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start one command; the caller ends it."""
        return subprocess.Popen(
            command(*words),
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def files(self) -> dict[str, bytes]:
        """Every file in the tree that is not civsync's own, by its path below the root."""
        found = sorted(path for path in self.root.rglob("*") if path.is_file())
        below = ((path.relative_to(self.root).as_posix(), path) for path in found)
        return {name: path.read_bytes() for name, path in below if not name.startswith(".civsync")}


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _standard_input(text: str) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


def command(*words: str) -> Sequence[str]:
    """Return the command line of civsync as it is installed for this interpreter."""
    return [sys.executable, "-m", "civsync", *words]


_LEFT_OUT = {"CI", "NO_COLOR", "PYTHONDONTWRITEBYTECODE"}
"""The last one would let every process compile civsync anew, which no user's does."""


def clean_environment(folder: Path) -> dict[str, str]:
    """Return this environment without what could change what civsync does."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CIVSYNC_", "CIVITAI_")) and name not in _LEFT_OUT
    }
    environment["XDG_STATE_HOME"] = environment["XDG_CONFIG_HOME"] = str(folder / ".home")
    environment["XDG_RUNTIME_DIR"] = _runtime_dir()
    return environment


@functools.cache
def _runtime_dir() -> str:
    """Make one short folder for the sockets of this process's tests; pytest's are too long."""
    folder = tempfile.mkdtemp(prefix="cs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
