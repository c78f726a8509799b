"""Count what is still to come of all files together, against the space that is free."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from civsync.core.codes import Code
from civsync.core.errors import DiskError
from civsync.core.lock import LockedFile
from civsync.engine.reception import Reception


class Coming:
    """What the files that are received just now will take. Serves several threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._coming: list[tuple[int, Reception]] = []

    @contextmanager
    def room_for(self, file: LockedFile, reception: Reception, free: int) -> Iterator[None]:
        """Count what is to come of a file while it does; `free` bytes were, an instant ago.

        Raises DiskError no-space if it does not fit beside what else is coming: the disk
        may have filled up since the plan was made.
        """
        mine = (file.size, reception)
        need = file.size - reception.part.done.total
        with self._mutex:
            others = sum(size - each.part.done.total for size, each in self._coming)
            have = max(0, free - others)
            if need <= have:
                self._coming.append(mine)
        if need > have:
            raise DiskError(
                Code.NO_SPACE,
                f"{need} bytes are still to come and {have} are free",
                subject=file.path,
                data={"need": need, "have": have},
            )
        try:
            yield
        finally:
            with self._mutex:
                self._coming.remove(mine)
