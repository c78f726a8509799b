"""Break system calls of civsync with strace: kill at the k-th, fail it, or fake its result."""

import functools
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.cli import Project, Ran, command

_SLACK_S = 60


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


def traced(
    *words: str,
    inject: str,
    log: Path = Path("/dev/null"),
    paths: Sequence[Path] = (),
    main_too: bool = False,
) -> list[str]:
    """Return the command line of civsync with `inject` done to it, such as `fsync:error=EIO`.

    Before the colon there may be several calls, with commas. `when=` counts the calls of
    each thread by itself. With `paths`, only calls on just these files count. The quick way
    of strace does nothing to the main thread (seen with 6.1); `main_too` takes the slow one.
    """
    calls = inject.partition(":")[0]
    options = ["-f", *([] if main_too else ["--seccomp-bpf"]), "-qq", "-o", str(log)]
    options += [word for path in paths for word in ("-P", str(path))]
    return ["strace", *options, "-e", f"trace={calls}", "-e", f"inject={inject}", *command(*words)]


def run_traced(
    project: Project,
    *words: str,
    inject: str,
    paths: Sequence[Path] = (),
    main_too: bool = False,
) -> Ran:
    """Run civsync to whatever end `inject` brings it to; a kill is status -9."""
    done = subprocess.run(
        traced(*words, inject=inject, paths=paths, main_too=main_too),
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SLACK_S,
        check=False,
    )
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)


KILLED = -signal.SIGKILL
