"""Read a lock out of git's history. Runs `git`, and changes nothing.

Only plumbing that prints stored bytes is used, in an environment of its own: no pager, no
prompt, no filter or program that a repository names gets to run.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.limits import LOCK_BYTES
from civsync.core.values import dataclass

SECONDS: Final = 60
"""Git answers from its own disk; longer than this it waits for something."""

_PASSED_ON: Final = ("PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "TEMP")

_TWO_LOCKS: Final = "Name two locks instead: `civsync diff OLD NEW`."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    status: int
    out: bytes
    err: str


def lock_at_revision(lock: Path, revision: str) -> bytes:
    """Return the text that `lock` had at `revision`.

    Raises UserError usage (no git, no repository, no such revision), lock-missing.
    """
    commit = _commit(lock, revision)
    path = f"{commit}:./{lock.name}"
    ran = _git(lock.parent, "cat-file", "-s", path)
    if ran.status != 0:
        raise UserError(
            Code.LOCK_MISSING,
            f"git has no {lock.name} at {revision}",
            subject=str(lock),
            hint="Commit the lock first, or name another revision with --git.",
        )
    size = ran.out.strip()
    if not size.isdigit() or int(size) > LOCK_BYTES:
        raise UserError(
            Code.LOCK_INVALID, f"what git has at {revision} is too large", subject=str(lock)
        )
    return _git(lock.parent, "cat-file", "blob", path).out


def _commit(lock: Path, revision: str) -> str:
    """Return the id of a commit, which no text can make an option or a path of."""
    ran = _git(lock.parent, "rev-parse", "--is-inside-work-tree")
    if ran.status != 0 or ran.out.strip() != b"true":
        dubious = "dubious ownership" in ran.err
        raise UserError(
            Code.USAGE,
            "git does not trust the owner of this folder"
            if dubious
            else "the lock is not in a git repository",
            subject=str(lock),
            hint="Follow git's own advice: `git status` prints it." if dubious else _TWO_LOCKS,
        )
    spec = f"{revision}^{{commit}}"
    ran = _git(lock.parent, "rev-parse", "--verify", "--quiet", "--end-of-options", spec)
    # Before 2.30 git printed the option that it did not know.
    commit = ran.out.decode("ascii", "replace").split("\n")[-2:-1]
    if ran.status != 0 or not commit or not commit[0].isalnum():
        raise UserError(
            Code.USAGE,
            f"git knows no revision {revision!r}",
            subject=str(lock),
            hint="Nothing is committed yet." if revision == "HEAD" else "See `git log --oneline`.",
        )
    return commit[0]


def _git(folder: Path, *words: str) -> _Ran:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "LC_ALL": "C",
        "GIT_PAGER": "cat",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }
    command = ["git", "--no-pager", "--no-replace-objects", "-C", str(folder), *words]
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell; the one free word is checked above
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise UserError(Code.USAGE, "git is not installed", hint=_TWO_LOCKS) from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UserError(
            Code.USAGE, f"git cannot be run: {type(error).__name__}", hint=_TWO_LOCKS
        ) from None
    return _Ran(status=done.returncode, out=done.stdout, err=done.stderr.decode("utf-8", "replace"))
