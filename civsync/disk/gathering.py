"""Find the files of a folder that may be models. Opens directories only, and writes nothing.

No link is followed: what lies behind one is not below the folder. Whatever is passed over
although its name is that of a model is told, so that nobody has to guess.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Final

from civsync.core.errors import CivsyncError, SafetyError
from civsync.core.names import SafePath, UnsafePathError, parse_path
from civsync.core.values import dataclass
from civsync.disk.beneath import Beneath
from civsync.disk.faults import shown, translate
from civsync.disk.folder import Folder, is_link

_NO_MODELS: Final = frozenset({"node_modules", "site-packages", "__pycache__"})
"""Directories of programs; what lies there belongs to them, whatever it is called."""

_ENVIRONMENT: Final = "pyvenv.cfg"
"""Marks a Python environment (PEP 405)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Something that was passed over. `path` is for people; `code` is one word for scripts."""

    path: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What lies below a folder.

    `sizes` are the files by path, in bytes, sorted by path; `ignored` counts the visible
    files with names of no model.
    """

    sizes: dict[SafePath, int]
    passed: tuple[Passed, ...] = ()
    ignored: int = 0


def gather(beneath: Beneath, wanted: Callable[[str], bool]) -> Gathered:
    """Return the regular files whose name is `wanted`; hidden ones and their like are no news.

    Of several hard links to one file the first by path counts. Raises DiskError where the
    root itself cannot be read.
    """
    walk = _Walk(beneath, wanted)
    walk.run()
    return walk.result()


@dataclass(slots=True)
class _Walk:
    beneath: Beneath
    wanted: Callable[[str], bool]
    found: dict[str, os.stat_result] = field(default_factory=dict)
    passed: list[Passed] = field(default_factory=list)
    ignored: int = 0

    def run(self) -> None:
        """Look into every directory once."""
        pending = [""]
        while pending:
            path = pending.pop()
            try:
                with self.beneath.folder(path) as folder:
                    pending.extend(self._look(folder))
            except OSError as error:
                failure: CivsyncError = translate(error, "read", path or self.beneath.root)
                if not path:
                    raise failure from error
                self._pass(path, "unreadable", failure.message)
            except SafetyError as error:
                # It was a directory an instant ago.
                self._pass(path, "unreadable", error.message)

    def result(self) -> Gathered:
        """Sort out which of the files can be described at all."""
        sizes: dict[SafePath, int] = {}
        inodes: dict[tuple[int, int], str] = {}
        for path, status in sorted(self.found.items()):
            try:
                safe = parse_path(path)
            except UnsafePathError:
                self._pass(path, "unsafe-name", "not every system can have such a name")
                continue
            first = inodes.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                self._pass(path, "hard-link", f"the same file as {shown(first)}")
                continue
            sizes[safe] = status.st_size
        passed = tuple(sorted(self.passed, key=lambda each: each.path))
        return Gathered(sizes=sizes, passed=passed, ignored=self.ignored)

    def _look(self, folder: Folder) -> Iterator[str]:
        """Take the files of one directory, and yield the directories in it."""
        names = folder.names()
        if _ENVIRONMENT in names:
            return
        for name in names:
            if name.startswith(".") or name in _NO_MODELS:
                continue
            status, path = folder.find(name), folder.shown(name)
            if status is None:
                continue
            if is_link(status):
                if path in self.beneath.homes:
                    yield path
                else:
                    self._take_link(path, name)
            elif stat.S_ISDIR(status.st_mode):
                yield path
            elif not self.wanted(name):
                self.ignored += 1
            elif stat.S_ISREG(status.st_mode):
                self.found[path] = status
            else:
                self._pass(path, "special", "it is no file (a pipe, socket or device)")

    def _take_link(self, path: str, name: str) -> None:
        if self.wanted(name) or self._leads_to_folder(path):
            self._pass(path, "symlink", "symbolic links are not followed")
        else:
            self.ignored += 1

    def _leads_to_folder(self, path: str) -> bool:
        return os.path.isdir(os.path.join(self.beneath.root, path))

    def _pass(self, path: str, code: str, reason: str) -> None:
        self.passed.append(Passed(path=shown(path), code=code, reason=reason))
