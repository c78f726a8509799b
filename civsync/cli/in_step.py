"""Find out that there is nothing to do before anything is loaded that could do it.

A run with nothing to do is the most common of all (at every start of a machine, in every
CI job), so it gets a way of its own: digests of the documents, a stat of every file.
"""

from civsync.cli.documents import digest_of, digests_of_includes, read_bytes
from civsync.cli.options import Context
from civsync.cli.output import Output, count_text
from civsync.cli.settings import find_project, find_root, state_dir
from civsync.core.codes import ExitCode
from civsync.disk.root import open_root
from civsync.disk.settled import count_if_settled
from civsync.disk.state import read_memo


def count_if_in_step(context: Context, *, frozen: bool = False) -> int | None:
    """Return how many files are in place, if manifest, lock and root agree as they did before.

    None means that somebody has to look closely. With `frozen` the lock may be another one
    than the manifest led to. Raises SafetyError as `open_root`.
    """
    project = find_project(context.settings)
    memo = read_memo(state_dir(), project.manifest)
    if memo is None or memo.manifest_sha256 != digest_of(read_bytes(project.manifest)):
        return None
    lock_sha256 = digest_of(read_bytes(project.lock))
    if not frozen and (
        lock_sha256 != memo.lock_sha256
        or digests_of_includes(project, memo.includes) != memo.includes
    ):
        return None
    place = find_root(context.settings, project, memo.root)
    root = open_root(place, state_dir=state_dir())
    return count_if_settled(root, lock_sha256, state_dir=state_dir())


def tell_in_step(output: Output, files: int) -> ExitCode:
    """Say that nothing is to do, and return the exit status for that."""
    if output.choice.json:
        output.event({"event": "finished", "exit": 0, "done": {}, "received": 0, "failed": []})
    else:
        output.talk(in_step_text(files))
    return ExitCode.OK


def in_step_text(files: int) -> str:
    """Return the line for a root that holds what is wanted."""
    return f"{count_text(files, 'file')} in place, nothing to do"
