"""Break system calls of civsync with strace: kill at the k-th, fail it, or fake its result."""

import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.cli import Project, Ran, command

_SLACK_S = 60
_KILLED_BY_THEN_S = 20

INJECTED = "(INJECTED)"
"""How strace marks a call in its log whose result is not the system's."""

_CALL = re.compile(r"(\d+) +(\w+)\((?:\d+<([^>]*)>)?")


@functools.cache
def _why_not() -> str:
    """Say why strace cannot be used here; "" if it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    probe = [strace, "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=write", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"strace does not work here: {done.stderr.strip()}" if done.returncode else ""


def need_strace() -> None:
    """Skip the test, saying why, where strace is not there or may not trace."""
    if reason := _why_not():
        pytest.skip(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Ran):
    """How a command ended of whose calls `injected` got another result than the system's."""

    injected: int


def traced(
    *words: str, inject: str, log: Path = Path("/dev/null"), paths: Sequence[Path] = ()
) -> list[str]:
    """Return the command line of civsync with `inject` done to it, such as `fsync:error=EIO`.

    Before the colon there may be several calls, with commas. `when=` counts the calls of
    each thread by itself. With `paths`, only calls on just these files count.

    No signal can be sent from where the quick way of strace stops a call (`--seccomp-bpf`;
    ptrace(2): no signal is taken from a PTRACE_EVENT stop): with it hardly any kill comes.
    """
    calls, _, what = inject.partition(":")
    options = ["-f", *([] if "signal=" in what else ["--seccomp-bpf"]), "-qq", "-o", str(log)]
    options += [word for path in paths for word in ("-P", str(path))]
    return ["strace", *options, "-e", f"trace={calls}", "-e", f"inject={inject}", *command(*words)]


def run_traced(project: Project, *words: str, inject: str, paths: Sequence[Path] = ()) -> Broken:
    """Run civsync to whatever end `inject` brings it to, and count what was done to it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "calls.log")
        done = subprocess.run(
            traced(*words, inject=inject, log=log, paths=paths),
            cwd=project.folder,
            env=project.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SLACK_S,
            check=False,
        )
        injected = log.read_text("utf-8", "replace").count(INJECTED)
    return Broken(status=done.returncode, out=done.stdout, err=done.stderr, injected=injected)


def run_to_kill(project: Project, *words: str, inject: str) -> Ran:
    """Run civsync to the kill that `inject` has for any of its threads, or to its end.

    strace 6.1 now and then leaves all threads stopped when one begins or ends at that moment
    (a SIGSTOP that it does not take); then the kill comes from here, which is one as well.
    """
    process = subprocess.Popen(
        traced(*words, inject=inject),
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=_KILLED_BY_THEN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return Ran(status=process.returncode, out=out, err=err)


KILLED = -signal.SIGKILL


def calls_of(
    project: Project, *words: str, calls: Sequence[str], log: Path
) -> tuple[Ran, list[tuple[str, str, str]]]:
    """Run civsync, and return what all its threads called: thread, call, and the file's path.

    They are in their order. Calls that take no descriptor first have no path.
    """
    options = ["-f", "-y", "-qq", "-o", str(log), "-e", f"trace={','.join(calls)}"]
    done = subprocess.run(
        ["strace", *options, *command(*words)],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SLACK_S,
        check=False,
    )
    found = map(_CALL.match, log.read_text("utf-8").splitlines())
    named = [(each[1], each[2], each[3] or "") for each in found if each is not None]
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr), named
