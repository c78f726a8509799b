"""What in trash may be deleted to make room, and when that is worth it."""

from collections.abc import Iterable

from civsync.core.disk import Trashed
from civsync.core.lock import Lock


def spare_trash(trashed: Iterable[Trashed], lock: Lock) -> tuple[Trashed, ...]:
    """Return what could go, in the order given: nothing that the lock wants, or may want.

    A file that nobody hashed may be any of its size. What has another name, so that deleting
    it gives nothing back, stays, too.
    """
    wanted = {file.sha256: file.size for _, file in lock.files()}
    sizes = set(wanted.values())
    return tuple(
        each
        for each in trashed
        if each.frees
        and (each.size not in sizes if each.sha256 is None else each.sha256 not in wanted)
    )


def enough_of(spare: Iterable[Trashed], missing: int) -> tuple[Trashed, ...]:
    """Return the first of `spare` that give `missing` bytes back; all are not enough: none.

    Half of the room that a run needs would be paid for with a way back, and be of no use.
    """
    chosen: list[Trashed] = []
    for each in spare:
        if missing <= 0:
            break
        chosen.append(each)
        missing -= each.frees
    return tuple(chosen) if missing <= 0 else ()
